"""Servers with UDP on, each of which was seen to answer rightly; who does not is left out, with the reason."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from .bench import Bench
from .plan import alternate
from .process import Server, UdpTargetProcess
from .udp_load import check
from .wire import Account

if TYPE_CHECKING:
    from .systems import Found

START_TRIES: Final = 2
"""A port found free can be taken before the server has it: sessions of other servers take one every moment."""


class Starter:
    """Starts them, and remembers whom not to ask again."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._useless: set[tuple[str, str]] = set()
        """(system, method) pairs that do not answer over UDP."""
        self._serial = 0

    def start_all(
        self, stack: contextlib.ExitStack, turn: int, account: Account, target: UdpTargetProcess
    ) -> list[Server]:
        """One server of each system, which ends with the stack."""
        servers = [self.start(found, account, target) for found in self.systems(turn, account)]
        return [stack.enter_context(server) for server in servers if server is not None]

    def systems(self, turn: int, account: Account) -> list[Found]:
        name = account.method.name
        return [
            found
            for found in alternate(self._bench.systems, turn)
            if found.system.launch_udp is not None
            and name in found.system.methods
            and (found.name, name) not in self._useless
        ]

    def start(self, found: Found, account: Account, target: UdpTargetProcess) -> Server | None:
        """A fresh server that was seen to answer rightly over UDP."""
        why: Exception | None = None
        for _ in range(START_TRIES):
            try:
                return self._start(found, account, target)
            except Exception as error:  # whatever a peer does wrong ends its part, not the run
                why = error
        self._useless.add((found.name, account.method.name))
        self._bench.results.fail(f"{found.name}, {account.method.name}, udp", str(why) or repr(why))
        self._bench.say(f"  {found.name} is left out of UDP with {account.method.name}: {why!r}")
        return None

    def _start(self, found: Found, account: Account, target: UdpTargetProcess) -> Server:
        self._serial += 1
        directory = self._bench.directory / f"udp-{found.name}-{self._serial}"
        server = Server(
            found, account, directory, self._bench.cores, lambda port: found.launch_udp(directory, port, account)
        )
        try:
            check(account, server.address, target.echo)
        except BaseException:
            server.stop()
            raise
        return server

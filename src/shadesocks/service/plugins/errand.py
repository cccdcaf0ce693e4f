"""What a plugin is started for: at a client, or at a server. They differ in where it listens, and how that is seen.

client    we -> loopback port, chosen here -> the plugin -> the server
server    the server's own port -> the plugin -> loopback port of ours
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from .owner import Owner
from .places import answers, free_place, is_free

if TYPE_CHECKING:
    from ...config.model import PluginConfig
    from ...core.address import Address

PORT_TRIES: Final = 3
"""Ports that are tried for one start."""
SILENT_SETTLE: Final = 0.5
"""Seconds after which a plugin for datagrams alone is taken for ready where nobody can see its socket."""


class Errand(Protocol):
    """One plugin's."""

    @property
    def config(self) -> PluginConfig: ...

    @property
    def remote(self) -> Address:
        """What it is told as SS_REMOTE: the server's address at both ends."""

    @property
    def tries(self) -> int:
        """Ports to be tried for one start."""

    def choose(self, last: Address | None) -> Address:
        """Return what it is told as SS_LOCAL: the place of before, if that is given and still to be had.

        Raises:
            OSError: there is none.
        """

    def listens_at(self, local: Address) -> Address:
        """Return where it will listen."""

    async def is_ready(self, place: Address, owner: Owner, seconds: float) -> bool:
        """True once it serves at that place: whose that is by now is known, and for how long it was waited."""


@dataclass(frozen=True, slots=True)
class ClientErrand:
    """To lead to a server."""

    config: PluginConfig
    remote: Address
    """The server."""
    host: str
    """The loopback address at which it listens; a port is chosen."""

    @property
    def tries(self) -> int:
        """Several: who took a port that was free takes one."""
        return PORT_TRIES

    def choose(self, last: Address | None) -> Address:
        """Return a port that is free now: the one of before, so that sessions of datagrams go on."""
        tcp, udp = self.config.mode.tcp, self.config.mode.udp
        if last is not None and is_free(last, tcp=tcp, udp=udp):
            return last
        return free_place(self.host, tcp=tcp, udp=udp)

    def listens_at(self, local: Address) -> Address:
        """Return the port that was chosen."""
        return local

    async def is_ready(self, place: Address, owner: Owner, seconds: float) -> bool:
        """Connect, which is what readiness is for; where only datagrams are carried a look does."""
        return await answers(place) if self.config.mode.tcp else _has_settled(owner, seconds)


@dataclass(frozen=True, slots=True)
class ServerErrand:
    """To listen where a server would."""

    config: PluginConfig
    remote: Address
    """Where that is."""
    behind: Address
    """Where the server listens."""

    @property
    def tries(self) -> int:
        """One: its port is the one that clients know."""
        return 1

    def choose(self, last: Address | None) -> Address:
        """Return where the server listens."""
        return self.behind

    def listens_at(self, local: Address) -> Address:
        """Return the place that clients know."""
        return self.remote

    async def is_ready(self, place: Address, owner: Owner, seconds: float) -> bool:
        """Look: a connect would come to our server as a stranger. It does where a look shows nothing."""
        if not self.config.mode.tcp:
            return _has_settled(owner, seconds)
        return owner is Owner.OURS or await answers(place)


def _has_settled(owner: Owner, seconds: float) -> bool:
    return owner is Owner.OURS or seconds >= SILENT_SETTLE

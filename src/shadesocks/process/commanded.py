"""What a manager's commands changed beside the config, as the master of several workers keeps it, and how all do it.

    worker with the manager   WANT changes  ->  master   binds, notes, CHANGE  ->  every worker   does it, DONE
                                                master   when all have          ->  CHANGED to who wanted them

What was noted here outlives every worker: a new one begins with it. So a change is answered when all that live serve
it, and a worker that dies meanwhile is not waited for. One that cannot do what another one could is replaced.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import ConfigError, Problems
from ..service.manager.change import Change
from ..service.manager.kept import beside
from . import line as said
from .line import pack, unpack

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..core.address import Address
    from ..wire.manager.command import Command
    from .line import Line, Message
    from .places import Member
    from .slots import Slots

log = logging.getLogger(__name__)

_Ports = dict["Address", "ServerConfig"]


@dataclass(slots=True)
class _Pending:
    """Changes that workers do."""

    asker: Line
    asked: int
    """The number by which the asker knows them."""
    outcomes: list[Problems]
    """Of every change; of those that could not begin it is known why."""
    begun: list[int]
    """Places of the others, in the order in which workers have them."""
    before: list[_Ports]
    """What was on their ports."""
    changes: Sequence[Change]
    waits: set[int]
    """Processes that have not done them yet."""
    failed: dict[int, list[Problems]] = field(default_factory=dict)
    """What processes could not do."""
    count: int = 0
    """Processes that have done them."""


class Commanded:
    """Ports that came, changed and went by commands, and those who wait for that."""

    def __init__(self, sockets: Slots) -> None:
        """Begin without any."""
        self._sockets: Final = sockets
        self._ports: Final[dict[int, _Ports]] = {}
        """Those that came, or took the place of one of the config, by number."""
        self._gone: Final[set[Address]] = set()
        """Those of the config that went."""
        self.kept: Final[dict[int, Mapping[str, Any]]] = {}
        """The words of each command, by port."""
        self.replaces: Callable[[int], None] = lambda _pid: None
        """Called for a process that is to be replaced."""
        self._pending: Final[dict[int, _Pending]] = {}
        self._number = 0

    # -- what is served ------------------------------------------------------------------------------

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """Those beside the config."""
        return tuple(server for ports in self._ports.values() for server in ports.values())

    def left_of(self, config: Config) -> Config:
        """Return what of a config is served as it says."""
        if not self._ports and not self._gone:
            return config
        return replace(config, servers=tuple(server for server in config.servers if not self._is_changed(server)))

    def _is_changed(self, server: ServerConfig) -> bool:
        address = server.address
        return address in self._gone or address in self._ports.get(address.port, ())

    def all_of(self, config: Config) -> Config:
        """Return a config with all that is served."""
        left = self.left_of(config)
        return replace(left, servers=(*left.servers, *self.servers))

    def follow(self, config: Config) -> None:
        """The config was read again: its ports are as it says."""
        self._gone.clear()
        for server in config.servers:
            self._ports.get(server.address.port, {}).pop(server.address, None)

    def restore(self, config: Config, commands: Iterable[Command]) -> None:
        """Bind the ports that were kept, before there are workers; those of the config stay as it says."""
        commands = list(commands)
        self.kept.update({command.port or 0: command.members for command in commands})
        for command in beside(commands, {server.address.port for server in config.servers}):
            change = Change(command.port or 0, command.members)
            try:
                self._note(change, self._bind(change, config))
            except ConfigError as error:
                why = "; ".join(each.text for each in error.problems)
                log.warning("manager: port %d was not added: %s", change.port, why)

    # -- changes -------------------------------------------------------------------------------------

    def begin(self, asker: Line, message: Message, config: Config, members: Iterable[Member]) -> list[Member]:
        """Let workers do what one of them wants, and return those who do not listen."""
        changes: list[Change] = unpack(message.descriptors[0])
        outcomes: list[Problems] = []
        begun: list[int] = []
        before: list[_Ports] = []
        keys, named = self._sockets.keys, {server.address: server for server in config.servers}
        for place, change in enumerate(changes):
            try:
                servers = self._bind(change, config)
            except ConfigError as error:
                outcomes.append(tuple(error.problems))
                continue
            was = self._on(change.port, named)
            self._gone.update(was.keys() & named.keys())
            self._note(change, servers)
            outcomes.append(())
            begun.append(place)
            before.append(was)
        self._number += 1
        pending = _Pending(asker, message.number, outcomes, begun, before, changes, set())
        deaf: list[Member] = []
        if begun:
            told = pack([changes[place] for place in begun])
            for member in members:
                if member.leaves or member.left:
                    continue
                new = [sock.fileno() for sock in self._sockets.added(keys, member.slot)]
                if member.line.give(new, said.CHANGE, self._number, (told,)):
                    pending.waits.add(member.pid)
                else:
                    deaf.append(member)
            os.close(told)
        self._sockets.drop(self.all_of(config))
        self._pending[self._number] = pending
        self._look(self._number, pending, config)
        return deaf

    def _on(self, port: int, named: _Ports) -> _Ports:
        """Return what is on a port."""
        here = {at: one for at, one in named.items() if at.port == port and at not in self._gone}
        return {**here, **self._ports.get(port, {})}

    def _bind(self, change: Change, config: Config) -> list[ServerConfig]:
        """Bind what a change wants; raises ConfigError."""
        servers = change.servers(config)
        _, problems = self._sockets.bind(replace(config, servers=tuple(servers)))
        if problems:
            raise ConfigError(problems)
        return servers

    def _note(self, change: Change, servers: Iterable[ServerConfig]) -> None:
        """Serve these, and nothing else on their port."""
        if change.keys is None:
            self._ports.pop(change.port, None)
            self.kept.pop(change.port, None)
        else:
            self._ports[change.port] = {server.address: server for server in servers}
            self.kept[change.port] = change.keys

    def done(self, member: Member, number: int, descriptors: Sequence[int], config: Config) -> None:
        """A worker has done changes, or says why not."""
        outcomes: list[Problems] | None = unpack(descriptors[0]) if descriptors else None
        pending = self._pending.get(number)
        if pending is None or member.pid not in pending.waits:
            return
        pending.waits.discard(member.pid)
        pending.count += 1
        if outcomes is not None:
            pending.failed[member.pid] = outcomes
        self._look(number, pending, config)

    def ended(self, member: Member, config: Config) -> None:
        """A worker is no more, or accepts no more: nobody waits for it."""
        for number, pending in list(self._pending.items()):
            if member.pid in pending.waits:
                pending.waits.discard(member.pid)
                self._look(number, pending, config)

    def _look(self, number: int, pending: _Pending, config: Config) -> None:
        """Answer who asked, once all have done it."""
        if pending.waits:
            return
        del self._pending[number]
        for at, place in enumerate(pending.begun):
            failed = {pid: outcomes[at] for pid, outcomes in pending.failed.items() if outcomes[at]}
            if failed and len(failed) == pending.count:
                pending.outcomes[place] = next(iter(failed.values()))
                self._take_back(pending.changes[place], pending.before[at], config)
            else:
                for pid in failed:
                    self.replaces(pid)
        told = pack(pending.outcomes)
        pending.asker.send(said.CHANGED, pending.asked, (told,))
        os.close(told)

    def _take_back(self, change: Change, before: _Ports, config: Config) -> None:
        """Nobody could do a change: all is as before."""
        named = {server.address: server for server in config.servers}
        self._gone.update(address for address in named if address.port == change.port)
        self._gone.difference_update(address for address in before if before[address] == named.get(address))
        self._ports[change.port] = {at: server for at, server in before.items() if server != named.get(at)}
        self.kept.pop(change.port, None)
        self._sockets.drop(self.all_of(config))

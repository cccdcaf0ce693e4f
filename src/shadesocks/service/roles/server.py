"""A server: a port for each of its servers, and perhaps a manager that lets ports come and go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ...core.address import Address
from ...core.errors import ConfigError
from .server_port import server_port

if TYPE_CHECKING:
    from collections.abc import Collection

    from ...config.model import Config, ServerConfig
    from ...core.errors import Problem
    from ..house import House
    from ..manager.management import Management
    from ..manager.manager import Managed
    from ..port import Port

log = logging.getLogger(__name__)

FOLLOWED: Final = ("handshake_timeout", "dial_timeout", "outbound", "acl", "locals")
"""Fields of a changed configuration that a server goes by: every server has them itself, or has no use for them. A
client goes by them where it has no server, at its own ports and straight ways."""


def ports_of(config: Config) -> list[Port]:
    """Return the ports of the servers of a configuration."""
    return [server_port(server) for server in config.servers]


class ServerRole:
    """See `seam.Role`."""

    has_users = True

    def __init__(self, service: Managed, house: House) -> None:
        self._service: Final = service
        self._house: Final = house
        self.management: Management | None = None
        """What it has to do with managers; None while that is nothing."""

    @property
    def has_packets(self) -> bool:
        """A manager may add any port."""
        return self._house.config.manager_listen is not None

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """Those that listen, with the ports the system chose where 0 was asked for."""
        return self._house.ports.servers

    @property
    def manager_address(self) -> Address | str | None:
        return None if self.management is None else self.management.address

    @property
    def followed(self) -> Collection[str]:
        from ..follow import OF_PORTS

        return (*FOLLOWED, *OF_PORTS)

    def ports(self, config: Config) -> list[Port]:
        return ports_of(config)

    async def bind(self) -> None:
        house = self._house
        config, siblings = house.config, house.siblings
        has_manager = config.manager_listen is not None if siblings is None else siblings.desk is not None
        if not has_manager and (config.manager_address is None or siblings is not None):
            return
        from ..manager.management import Management

        self.management = Management(house.config)
        await self.management.open(house.given, house.siblings)

    def unbind(self) -> None:
        management, self.management = self.management, None
        if management is not None:
            management.abandon()

    def begin(self) -> None:
        house, management = self._house, self.management
        if management is None:
            return
        management.start(self._service, house.shared.reactor, house.given)
        place = management.address
        if place is not None:
            house.other_numbers = (place.port,) if isinstance(place, Address) else ()
            house.settle()
            house.speaker.say("manager", place=str(place))

    async def restore(self) -> None:
        for server in () if self._house.siblings is None else self._house.siblings.beside:
            try:
                await self._service.add(server)
            except ConfigError as error:
                for problem in error.problems:
                    log.error("%s", problem)
        if self.management is not None:
            await self.management.restore()

    def settle(self) -> None:
        """Nothing is kept."""

    async def reload(self, before: Config) -> tuple[Problem, ...]:
        """One that is as before is left alone, unless what all are made with is another; one that is gone or is another
        listens no more."""
        from ..changes import change
        from ..follow import OF_PORTS, differ

        house = self._house
        config, anew = house.config, bool(differ(before, house.config, OF_PORTS))
        problems: list[Problem] = []
        old = {port.port.server: port for port in house.ports if port.port.server is not None}
        taken = {server.address for server in config.servers if server.address.port}
        for server in {*before.servers} - {*config.servers}:
            if server in old and server.address not in taken:
                house.ports.leave(old[server])
        house.settle()
        beside = [server for server in old if server not in before.servers] if anew else []
        for server in (*config.servers, *beside):
            port = old.get(server)
            if port is not None and port in house.ports and not (anew and server.address.port):
                continue
            try:
                await change(house, server, anew=anew)
            except ConfigError as error:
                problems += error.problems
        return tuple(problems)

    async def leave(self) -> None:
        if self.management is not None:
            self._house.other_numbers = ()
            await self.management.close()

    def rest(self) -> None:
        """Nothing is kept ready."""

    def close(self) -> None:
        management, self.management = self.management, None
        if management is not None:
            management.end(self._house.ports.passed())

"""A server: a port for each of its servers, and perhaps a manager that lets ports come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...core.address import Address
from ...core.errors import ConfigError
from .server_port import server_port

if TYPE_CHECKING:
    from socket import SocketType

    from ...config.model import Config, ServerConfig
    from ...core.errors import Problem
    from ..house import House
    from ..manager import Managed
    from ..manager_socket import ManagerSocket
    from ..port import Port

FOLLOWED: Final = ("handshake_timeout", "dial_timeout", "outbound", "acl", "locals")
"""Fields of a changed configuration that a server goes by: every server has them itself, or has no use for them. A
client goes by them where it has no server, at its own ports and straight ways."""


def ports_of(config: Config) -> list[Port]:
    """Return the ports of the servers of a configuration."""
    return [server_port(server) for server in config.servers]


class ServerRole:
    """See `seam.Role`."""

    def __init__(self, service: Managed, house: House) -> None:
        self._service: Final = service
        self._house: Final = house
        self._sock: SocketType | None = None
        self.manager: ManagerSocket | None = None

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
        return None if self.manager is None else self.manager.address

    def ports(self, config: Config) -> list[Port]:
        return ports_of(config)

    async def bind(self) -> None:
        place = self._house.config.manager_listen
        if place is None:
            return
        from ..manager_socket import open_manager

        self._sock = await open_manager(place, self._house.given)

    def unbind(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def begin(self) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        from ..manager_socket import ManagerSocket

        house = self._house
        self.manager = ManagerSocket(sock, self._service, house.shared.reactor, keeps=house.given.lends(sock))
        place = self.manager.address
        house.other_numbers = (place.port,) if isinstance(place, Address) else ()
        house.settle()
        house.speaker.say("manager", place=str(place))

    def settle(self) -> None:
        """Nothing is kept."""

    async def reload(self, config: Config) -> tuple[Problem, ...]:
        """One that is as before is left alone; one that is gone or is another listens no more."""
        from ..changes import change

        house = self._house
        problems: list[Problem] = []
        old = {port.port.server: port for port in house.ports if port.port.server is not None}
        taken = {server.address for server in config.servers if server.address.port}
        for server in {*house.config.servers} - {*config.servers}:
            if server in old and server.address not in taken:
                house.ports.leave(old[server])
        house.settle()
        for server in config.servers:
            port = old.get(server)
            if port is not None and port in house.ports:
                continue
            try:
                await change(house, server)
            except ConfigError as error:
                problems += error.problems
        house.follow(config, FOLLOWED)
        return tuple(problems)

    async def leave(self) -> None:
        if self.manager is not None:
            manager, self.manager = self.manager, None
            self._house.other_numbers = ()
            await manager.close()

    def rest(self) -> None:
        """Nothing is kept ready."""

    def close(self) -> None:
        """Nothing is left."""

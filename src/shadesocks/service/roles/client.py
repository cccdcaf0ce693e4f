"""A client: ports for programs, the roster of its servers, and perhaps subscriptions that name more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .local_port import local_port

if TYPE_CHECKING:
    from ...config.model import Config, ServerConfig
    from ...core.errors import Problem
    from ..house import House
    from ..manager.manager import Managed
    from ..port import Port
    from ..subscriptions.online import Online


def ports_of(config: Config) -> list[Port]:
    """Return the ports of the local listeners of a configuration."""
    return [local_port(local) for local in config.locals]


class ClientRole:
    """See `seam.Role`."""

    has_packets = False
    has_users = False
    manager_address = None
    followed = ()

    def __init__(self, _service: Managed, house: House) -> None:
        self._house: Final = house
        self._online: Online | None = None

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """Those of its file, and of its subscriptions."""
        return tuple(server for roster in self._house.shared.rosters for server in roster.members)

    def ports(self, config: Config) -> list[Port]:
        return ports_of(config)

    async def bind(self) -> None:
        """There is nothing beside its ports."""

    def unbind(self) -> None:
        """There was nothing."""

    def begin(self) -> None:
        if self._house.config.online is not None:
            self._subscribe()

    async def restore(self) -> None:
        """Nothing was kept."""

    def _subscribe(self) -> Online:
        from ..subscriptions.online import Online

        online = self._online = Online()
        online.start(self._house.shared, self._house.config)
        return online

    def settle(self) -> None:
        for roster in self._house.shared.rosters:
            roster.settle()

    async def reload(self, before: Config) -> tuple[Problem, ...]:
        """Its ports stay, and use the servers that the configuration names."""
        from functools import partial

        from ..changes import check_server
        from ..follow import usable

        house = self._house
        servers, refused = usable(house.config.servers, self.servers, partial(check_server, house))
        for roster in house.shared.rosters:
            roster.update(servers)
        if self._online is not None:
            await self._online.follow(house.shared, house.config)
        elif house.config.online is not None:
            self._subscribe()
        return refused

    async def leave(self) -> None:
        if self._online is not None:
            await self._online.close()

    def rest(self) -> None:
        for roster in self._house.shared.rosters:
            roster.rest()

    def close(self) -> None:
        self._online = None
        for roster in self._house.shared.rosters:
            roster.close()

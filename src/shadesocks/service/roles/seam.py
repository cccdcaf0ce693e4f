"""The seam between a service's life and what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...config.model import Config, ServerConfig
    from ...core.address import Address
    from ...core.errors import Problem
    from ..port import Port


class Role(Protocol):
    """One end of the protocol, with what it keeps beside its ports."""

    @property
    def has_users(self) -> bool:
        """Whether it serves people, who may have names."""

    @property
    def has_packets(self) -> bool:
        """Whether datagrams are to be expected, whatever its ports say."""

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """The servers that listen, or those of a client."""

    @property
    def manager_address(self) -> Address | str | None:
        """Where a manager takes commands; None where there is none."""

    @property
    def followed(self) -> Collection[str]:
        """Fields of a changed configuration that this end goes by, beside those that both do (`follow.py`)."""

    def ports(self, config: Config) -> Sequence[Port]:
        """Return the ports that a configuration wants."""

    async def bind(self) -> None:
        """Bind what it listens on beside its ports; raises ConfigError, and nothing is bound then."""

    def unbind(self) -> None:
        """Close that: the start failed."""

    def begin(self) -> None:
        """Do what is to be done once all ports are open."""

    async def restore(self) -> None:
        """Add what another process has kept for this one: the last step of a start."""

    def settle(self) -> None:
        """Look at what is kept, once a second."""

    async def reload(self, before: Config) -> tuple[Problem, ...]:
        """Serve what the house's configuration says now, and no more what it said; return what could not be done."""

    async def leave(self) -> None:
        """Listen no more beside its ports, and ask nobody anything."""

    def rest(self) -> None:
        """Keep nothing ready: no listener accepts any more."""

    def close(self) -> None:
        """Let go of all that is left, while what passed through the ports can still be asked."""

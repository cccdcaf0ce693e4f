"""A server that another one stands in front of."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core.address import Address


@dataclass(frozen=True, slots=True, eq=False)
class Destination:
    """Where everything goes that names its key."""

    name: str
    key: bytes = field(repr=False)
    address: Address

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The one, as a table wants it."""
        return (self.key,)

"""Who may come in: the clients that an access list lets near a server, by their address.

Whoever may not is a stranger like any other: turned away at once, the list itself could be probed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from ..core.address import pack_zoned
from ..core.errors import RemoteProtocolError

if TYPE_CHECKING:
    from ..wire.packet import PacketHost, Talk
    from .acl import Acl

Admits = Callable[[str], bool]
"""(IP text): True for a client that may come in."""


def everybody(_ip: str) -> bool:
    """Let everybody in."""
    return True


def gate_of(acl: Acl | None) -> Admits:
    """Return whom a list lets in."""
    if acl is None:
        return everybody

    def admits(ip: str) -> bool:
        packed = pack_zoned(ip)
        return packed is not None and acl.admits(packed)

    return admits


class GatedHost:
    """A packet host that does not hear those who may not come in."""

    __slots__ = ("_admits", "_host", "_name_of")

    def __init__(self, host: PacketHost, admits: Admits, name_of: Callable[[Any], tuple[str, int]]) -> None:
        self._host = host
        self._admits = admits
        self._name_of = name_of

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """See `packet.PacketHost`."""
        if not self._admits(self._name_of(source)[0]):
            raise RemoteProtocolError("unwelcome")
        return self._host.identify(packet, source, out, at)

    def meet(self, key: Hashable) -> Talk:
        """See `packet.PacketHost`."""
        return self._host.meet(key)

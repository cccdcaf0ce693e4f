"""What a server may dial: the operator's rules over the safe default, judged name by name and address by address.

In this order: closed ports, the access list, the special addresses, this process's own listeners (`net/origin`).
A name is judged before it is looked up, and again with each address that is dialled, so that one name with many
meanings gains nothing. An access list opens a special address only with a network no wider than the block that
closes it: 10.0.0.0/8 opens 10.1.2.3, 0.0.0.0/0 opens nothing, and 169.254.169.254 is opened by itself alone. What a
list blocks is blocked in whatever IPv6 address carries it, and 0.0.0.0 with 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..core.address import pack_ip, pack_zoned
from ..core.errors import DialError
from ..core.networks import unmapped
from ..net.origin import FORBIDDEN, NOT_AN_ADDRESS, OriginPolicy, everywhere, prefix_of
from ..net.resolve import fold

if TYPE_CHECKING:
    from .acl import Acl

RULE: Final = "rule"
"""The word for what the access list refuses."""
PORT: Final = "port"
"""The word for a port that is closed."""


class TargetRules:
    """A `connect.Judge`: one for each access list; the policy beneath is the process's."""

    __slots__ = ("_acl", "_origin", "_ports")

    def __init__(self, origin: OriginPolicy, acl: Acl | None = None, ports: Sequence[tuple[int, int]] = ()) -> None:
        """Make the rules; `ports` are closed, in ranges that hold both their ends."""
        self._origin = origin
        self._acl = acl
        self._ports = frozenset(port for low, high in ports for port in range(low, high + 1))

    def refuse_name(self, host: str) -> str | None:
        """See `connect.Judge`. IP texts are judged as the addresses that they are."""
        if self._acl is None or pack_ip(host) is not None:
            return None
        try:
            allowed = self._acl.outbound_host(fold(host))
        except DialError:
            return None  # no name: the resolver says so
        return RULE if allowed is False else None

    def refuse_unseen(self, name: str, port: int) -> str | None:
        """Return why a name, in its one form, may not be dialled though its addresses are not known here, or None."""
        if port in self._ports:
            return PORT
        if self._acl is None:
            return None
        allowed = self._acl.outbound_host(name)
        return None if (self._acl.outbound_default if allowed is None else allowed) else RULE

    def refuse(self, ip: str, port: int, host: str = "") -> str | None:
        """See `connect.Judge`."""
        if port in self._ports:
            return PORT
        acl = self._acl
        if acl is None:
            return self._origin.refuse(ip, port)
        packed = pack_zoned(ip)
        if packed is None:
            return NOT_AN_ADDRESS
        packed = unmapped(packed)
        if acl.refuse_target(_name(host), packed):
            return RULE
        if any(acl.outbound_ip(other) is False for other in everywhere(packed)[1:]):
            return RULE
        word = self._origin.closed(ip)
        if word is not None:
            opened = None if word in (FORBIDDEN, NOT_AN_ADDRESS) else acl.opened(packed)
            if opened is None or opened < prefix_of(packed):
                return word
        return self._origin.own(ip, port)


def _name(host: str) -> str | None:
    """Return a host as the rules for names see it, None for an address."""
    if not host or pack_ip(host) is not None or "%" in host:
        return None
    try:
        return fold(host)
    except DialError:
        return None

"""Where one user may go: within what the server allows to everybody, never beyond it.

A target is allowed if its port is in a range, and if it is named, lies below a name, or is an address within a
network. A name that stands in no rule may still lead to an address that does: then the address decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from ...core.address import pack_ip, pack_zoned
from ...core.errors import DialError
from ...core.networks import NetworkSet, parse_network
from ...net.resolve import fold
from ..targets import PORT, RULE

if TYPE_CHECKING:
    from ...core.limits import Limits
    from ...net.connect import Judge


class Allowed:
    """Ports and targets of one user; None of either is all."""

    __slots__ = ("__weakref__", "_names", "_networks", "_ports")

    def __init__(self, ports: Sequence[tuple[int, int]] | None, targets: Sequence[str] | None) -> None:
        """Make the rules, of targets as `config/limits.py` takes them."""
        self._ports = ports
        self._names: frozenset[str] | None = None
        self._networks = NetworkSet()
        if targets is None:
            return
        names, networks = set(), []
        for target in targets:
            text = target[1:-1] if target[:1] + target[-1:] == "[]" else target
            try:
                networks.append(parse_network(text.partition("%")[0]))
            except ValueError:
                with suppress(DialError):  # what nobody can ask for allows nothing
                    names.add(fold(text.removeprefix("*.")))
        self._names, self._networks = frozenset(names), NetworkSet(networks)

    def refuse_name(self, host: str) -> str | None:
        """Return the word for why a host is not allowed, whatever its addresses are; None if one may be."""
        if self._names is None or self._networks or pack_ip(host) is not None:
            return None
        return None if self._is_named(host) else RULE

    def refuse(self, ip: str, port: int, host: str = "") -> str | None:
        """Return the word for why an address may not be dialled, None if it may; `host` is the name it was found by."""
        if not self._is_open(port):
            return PORT
        if self._names is None:
            return None
        packed = pack_zoned(ip)
        if packed is not None and self._networks.holds(packed):
            return None
        return None if host and self._is_named(host) else RULE

    def refuse_unseen(self, name: str, port: int) -> str | None:
        """Return the word for why a name is not allowed whose addresses others look up; see `guarded.Judge`."""
        if not self._is_open(port):
            return PORT
        return None if self._names is None or self._is_named(name) else RULE

    def narrow(self, judge: Judge) -> Narrowed:
        """See `connect.Rights`."""
        return Narrowed(judge, self)

    def _is_open(self, port: int) -> bool:
        return self._ports is None or any(low <= port <= high for low, high in self._ports)

    def _is_named(self, host: str) -> bool:
        assert self._names is not None, "asked only where there are names"
        if pack_ip(host) is not None:
            return False
        try:
            name = fold(host)
        except DialError:
            return False
        while name not in self._names:
            _, dot, name = name.partition(".")
            if not dot:
                return False
        return True


class Narrowed:
    """A `connect.Judge` for one user: what the server's own judge allows, and the user's limits as well."""

    __slots__ = ("_allowed", "_judge")

    def __init__(self, judge: Judge, allowed: Allowed) -> None:
        self._judge = judge
        self._allowed = allowed

    def refuse_name(self, host: str) -> str | None:
        """See `connect.Judge`."""
        return self._judge.refuse_name(host) or self._allowed.refuse_name(host)

    def refuse(self, ip: str, port: int, host: str = "") -> str | None:
        """See `connect.Judge`."""
        return self._judge.refuse(ip, port, host) or self._allowed.refuse(ip, port, host)


_SHARED: Final[WeakValueDictionary[Any, Allowed]] = WeakValueDictionary()
"""Most users of an operator have the same rules, or none: one object for all of them, while any of them is there."""


def allowed_of(limits: Limits) -> Allowed | None:
    """Return the rules of a user; None where all is allowed."""
    if limits.ports is None and limits.targets is None:
        return None
    key = limits.ports, limits.targets
    allowed = _SHARED.get(key)
    if allowed is None:
        allowed = _SHARED[key] = Allowed(*key)
    return allowed

"""Where one user may go: within what the server allows to everybody, never beyond it.

A target is allowed if its port is in a range, and if it is named, lies below a name, or is an address within a
network. A name that stands in no rule may still lead to an address that does: then the address decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ...core.address import pack_ip, pack_zoned
from ...core.errors import DialError
from ...core.networks import NetworkSet, parse_network
from ...net.resolve import fold
from ..targets import PORT, RULE

if TYPE_CHECKING:
    from ...net.connect import Judge

PORT_MOST: Final = 65_535


class Allowed:
    """Ports and targets of one user; None of either is all."""

    __slots__ = ("_names", "_networks", "_ports")

    def __init__(self, ports: Sequence[tuple[int, int]] | None, targets: Sequence[str] | None) -> None:
        """Make the rules.

        Raises:
            ValueError: a target is neither a name, nor an address, nor a network.
        """
        self._ports = ports
        self._names: frozenset[str] | None = None
        self._networks = NetworkSet()
        if targets is None:
            return
        names, networks = set(), []
        for target in targets:
            if "/" in target or pack_ip(target) is not None:
                try:
                    networks.append(parse_network(target))
                except ValueError as error:
                    raise ValueError(f"the target {target!r} is none: {error}") from None
                continue
            try:
                names.add(fold(target.removeprefix("*.")))
            except DialError:
                raise ValueError(f"the target {target!r} is neither a name nor an address") from None
        self._names, self._networks = frozenset(names), NetworkSet(networks)

    def refuse_name(self, host: str) -> str | None:
        """Return the word for why a host is not allowed, whatever its addresses are; None if one may be."""
        if self._names is None or self._networks or pack_ip(host) is not None:
            return None
        return None if self._is_named(host) else RULE

    def refuse(self, ip: str, port: int, host: str = "") -> str | None:
        """Return the word for why an address may not be dialled, None if it may; `host` is the name it was found by."""
        if self._ports is not None and not any(low <= port <= high for low, high in self._ports):
            return PORT
        if self._names is None:
            return None
        packed = pack_zoned(ip)
        if packed is not None and self._networks.holds(packed):
            return None
        return None if host and self._is_named(host) else RULE

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

"""Which way a client's request goes: through the server, or straight to its target, as an access list says.

A name goes the way of its own rules. Where none speaks of it, and the list has networks for the way that is not the
default, its addresses decide; a name that cannot be looked up here goes the default way, because where the server is
it may have a meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.address import pack_zoned
from ..core.errors import DialError
from ..net.resolve import fold
from ..net.story import until
from .acl import Way

if TYPE_CHECKING:
    from ..core.address import Address
    from ..net.connect import Names
    from ..net.end import End
    from ..net.lookup import Found
    from .acl import Acl
    from .seams import Dialer, First, Request


class Ways:
    """The way of each target, by one access list."""

    __slots__ = ("_acl", "names")

    def __init__(self, acl: Acl, names: Names) -> None:
        self._acl = acl
        self.names = names

    def of(self, host: str) -> Way | None:
        """Return the way of a host, None where its addresses decide."""
        packed = pack_zoned(host)
        if packed is not None:
            return self._acl.client_ip(packed)
        try:
            way = self._acl.client_host(fold(host))
        except DialError:
            return self._acl.default  # no name: whoever dials it will say so
        if way is None and not self._acl.needs_addresses:
            return self._acl.default
        return way

    def of_addresses(self, found: tuple[Found, ...]) -> Way:
        """Return the way of a name with these addresses; of none, the default."""
        if not found:
            return self._acl.default
        packed = (pack_zoned(ip) for _, ip in found)
        return self._acl.client_addresses([each for each in packed if each is not None])


class AclRouter:
    """A `seams.Router` of two dialers."""

    __slots__ = ("_by_address", "_dialers", "_ways")

    def __init__(self, ways: Ways, direct: Dialer, proxied: Dialer) -> None:
        self._ways = ways
        self._dialers = {Way.BYPASS: direct, Way.PROXY: proxied}
        self._by_address = ByAddress(ways, self._dialers)

    def pick(self, request: Request) -> Dialer:
        """Return the dialer of the request's target."""
        way = self._ways.of(request.target.host)
        return self._by_address if way is None else self._dialers[way]


class ByAddress:
    """A dialer that looks a name up to know which dialer to take."""

    __slots__ = ("_dialers", "_ways")

    def __init__(self, ways: Ways, dialers: dict[Way, Dialer]) -> None:
        self._ways = ways
        self._dialers = dialers

    async def dial(self, target: Address, first: First) -> End:
        """See `seams.Dialer`."""
        names = self._ways.names
        try:
            found = names.cached(target.host)
            if found is None:
                found = await until(names.lookup(target.host))
        except DialError:
            found = ()
        return await self._dialers[self._ways.of_addresses(found)].dial(target, first)

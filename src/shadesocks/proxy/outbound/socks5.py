"""Through a SOCKS5 proxy (RFC 1928, RFC 1929). The dialogue itself is `wire/socks5.py`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ...core.address import Address
from ...net.end import End
from ...wire.socks5 import UDP_ASSOCIATE, ask
from ..seams import First
from .dialogue import Means, converse
from .shadowsocks import Connect

if TYPE_CHECKING:
    from ...core.secret import Secret

_ANYWHERE: Final = Address("0.0.0.0", 0)  # noqa: S104 - where we send from is not known before we do (RFC 1928 §7)


class Socks5Dialer:
    """Asks one proxy for targets. Names go as names: the proxy resolves them."""

    __slots__ = ("_connect", "_means", "_password", "_user")

    def __init__(self, connect: Connect, means: Means, user: str, password: Secret) -> None:
        """`connect` leads to the proxy; without a user no login is offered."""
        self._connect = connect
        self._means = means
        self._user = user
        self._password = password

    async def dial(self, target: Address, first: First) -> End:
        """Connect to the proxy, ask for the target, and send `first` when it is reached; see `seams.Dialer`."""
        end, _ = await converse(self._means, self._connect, partial(ask, target=target, login=self._login()), first)
        return end

    async def associate(self) -> tuple[End, Address]:
        """Ask for an association; return the connection it lives by, and where its datagrams are to be sent.

        The address is as the proxy gave it: all zeros stand for the proxy's own.

        Raises:
            DialError, LocalProtocolError: as `dial`.
        """
        parse = partial(ask, target=_ANYWHERE, command=UDP_ASSOCIATE, login=self._login())
        return await converse(self._means, self._connect, parse)

    def _login(self) -> tuple[str, str] | None:
        return (self._user, self._password.reveal()) if self._user else None

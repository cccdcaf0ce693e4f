"""Through an HTTP proxy, by CONNECT. The dialogue itself is `wire/http_connect.py`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...core.address import Address
from ...net.end import End
from ...wire.http_connect import ask
from ..seams import First
from .dialogue import Means, converse
from .shadowsocks import Connect

if TYPE_CHECKING:
    from ...core.secret import Secret


class HttpDialer:
    """Asks one proxy for targets. Names go as names: the proxy resolves them."""

    __slots__ = ("_connect", "_means", "_password", "_user")

    def __init__(self, connect: Connect, means: Means, user: str, password: Secret) -> None:
        """`connect` leads to the proxy; without a user no login is sent."""
        self._connect = connect
        self._means = means
        self._user = user
        self._password = password

    async def dial(self, target: Address, first: First) -> End:
        """Connect to the proxy, ask for the target, and send `first` when it is reached; see `seams.Dialer`."""
        login = (self._user, self._password.reveal()) if self._user else None
        end, _ = await converse(self._means, self._connect, partial(ask, target=target, login=login), first)
        return end

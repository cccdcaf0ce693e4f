"""Through an HTTP proxy: logins, refusals, and what they become for who asked."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.core.secret import Secret
from shadesocks.proxy.outbound.chain import HttpHop
from tests.proxy.outbound.hops import PASSWORD, USER, Net, echo, run

TARGET = Address("example.com", 80)
OK = b"HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\nContent-Length: 99\r\n\r\n"


@pytest.mark.parametrize("wanted", [False, True])
def test_a_login_goes_along(wanted: bool) -> None:
    async def story(net: Net) -> None:
        proxy = await net.http(login=wanted, answer=OK)
        hop = HttpHop(proxy.address, USER, Secret(PASSWORD))
        program = await net.join(net.chain(hop), await net.listen(echo), b"x")
        program.end()
        assert await program.hear_all() == b"hello x 1"

    run(story)


@pytest.mark.parametrize("user", ["", USER])
def test_a_login_that_is_missing_or_wrong(user: str) -> None:
    async def story(net: Net) -> None:
        proxy = await net.http(login=True)
        with pytest.raises(DialError) as failed:
            await net.dial(net.chain(HttpHop(proxy.address, user, Secret("wrong"))), TARGET)
        assert failed.value.code == "bad_login"
        assert "407" in str(failed.value)
        assert not net.asked

    run(story)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 403 Access violation\r\n\r\n", "denied"),
        (b"HTTP/1.0 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nsorry", "host_unreachable"),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", "dial_timeout"),
        (b"HTTP/1.1 405 Method Not Allowed\r\n\r\n", "bad_command"),
    ],
)
def test_a_refusal_is_told(answer: bytes, word: str) -> None:
    async def story(net: Net) -> None:
        with pytest.raises(DialError) as failed:
            await net.dial(net.chain(await net.http(answer=answer)), TARGET, b"first")
        assert failed.value.code == word

    run(story)


def test_an_ipv6_target_stands_in_brackets() -> None:
    async def story(net: Net) -> None:
        proxy = await net.http(answer=b"HTTP/1.1 403 No\r\n\r\n")
        with pytest.raises(DialError):
            await net.dial(net.chain(proxy), Address("2001:db8::1", 443))
        assert net.asked == [("http", "2001:db8::1", 443)]

    run(story)

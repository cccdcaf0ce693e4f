"""Through a SOCKS5 proxy: logins, refusals, and what they become for who asked."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.core.reasons import REASONS
from shadesocks.core.secret import Secret
from shadesocks.proxy.outbound.chain import SocksHop
from shadesocks.proxy.outbound.socks5 import Socks5Dialer
from tests.proxy.outbound.hops import PASSWORD, USER, Net, echo, run, scripted

TARGET = Address("example.com", 80)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_login_is_given_where_it_is_wanted(wanted: bool) -> None:
    async def story(net: Net) -> None:
        proxy = await net.socks(login=wanted)
        hop = SocksHop(proxy.address, USER, Secret(PASSWORD))
        program = await net.join(net.chain(hop), await net.listen(echo), b"x")
        program.end()
        assert await program.hear_all() == b"hello x 1"

    run(story)


@pytest.mark.parametrize(("user", "word"), [("", "no_method"), (USER, "bad_login")])
def test_a_login_that_is_missing_or_wrong(user: str, word: str) -> None:
    async def story(net: Net) -> None:
        proxy = await net.socks(login=True)
        with pytest.raises(DialError) as failed:
            await net.dial(net.chain(SocksHop(proxy.address, user, Secret("wrong"))), TARGET)
        assert failed.value.code == word
        assert "wrong" not in str(failed.value)
        assert not net.asked

    run(story)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (1, "refused"),
        (2, "denied"),
        (3, "unreachable"),
        (4, "host_unreachable"),
        (5, "refused"),
        (6, "dial_timeout"),
        (7, "bad_command"),
        (8, "bad_address"),
        (99, "refused"),
    ],
)
def test_a_refusal_is_told(reply: int, word: str) -> None:
    async def story(net: Net) -> None:
        with pytest.raises(DialError) as failed:
            await net.dial(net.chain(await net.socks(reply=reply)), TARGET, b"first")
        assert failed.value.code == word
        assert word in REASONS

    run(story)


@pytest.mark.parametrize(
    "nonsense",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\x00\x04\x00\x00\x01", b"\x00\x5a", b"\x05\x00\x05\x00\x00\x07"],
)
def test_nonsense_is_noticed(nonsense: bytes) -> None:
    async def story(net: Net) -> None:
        async with scripted(net, nonsense) as address:
            with pytest.raises(DialError) as failed:
                await net.dial(net.chain(SocksHop(address)), TARGET)
        assert failed.value.code in ("bad_hop", "bad_address")

    run(story)


def test_an_association_is_a_connection_and_an_address() -> None:
    async def story(net: Net) -> None:
        script = b"\x05\x00" + b"\x05\x00\x00\x01\x00\x00\x00\x00\x04\xd2"
        async with scripted(net, script) as address:
            dialer = Socks5Dialer(lambda first: net.connect_to(address, first), net.means, "", Secret(""))
            end, bound = await net.reactor.spawn(dialer.associate())
        assert bound == Address("0.0.0.0", 1234)
        net.drop(end)

    run(story)

"""The story of one connection, with parts made for it."""

from __future__ import annotations

import asyncio

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.net.end import End
from shadesocks.net.story import until as of_loop
from shadesocks.proxy.seams import First
from shadesocks.proxy.users.account import Account
from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.proxy.users.meter import Meter
from tests.service.rig import run, until
from tests.wire.codecs import SEALED, salt_of, shadow_of
from tests.wire.hearing import ClientHearing, make_request

from .rig import NOW, Stage, receive, shadow_inbound, stage

TARGET = Address("target.example", 443)


@pytest.mark.parametrize("name", SEALED)
def test_a_request_reaches_its_target_and_the_answer_its_client(name: str) -> None:
    async def story() -> None:
        with stage() as made:
            strangers = made.strangers(1000.0)
            sock = made.enter(shadow_inbound(made, shadow_of(name), strangers))
            stream = make_request(shadow_of(name), TARGET, [b"first", b"more"], salt=salt_of(name), now=NOW)
            sock.sendall(stream)
            loop = asyncio.get_running_loop()
            got = b""
            while len(got) < len(b"firstmore"):
                got += await loop.sock_recv(made.target.far, 100)
            assert got == b"firstmore"
            assert made.target.dialled == [(TARGET, b"first")]
            assert len(strangers) == 0
            await loop.sock_sendall(made.target.far, b"answer")
            made.target.far.shutdown(1)
            client = ClientHearing(shadow_of(name), salt_of(name), NOW)
            while piece := await receive(sock):
                client.feed(piece)
            client.end()
            assert (client.word, bytes(client.payload)) == ("", b"answer")
            sock.shutdown(1)
            await until(lambda: made.ledger.words == {"done": 1})
            assert not made.ledger.relays
            assert [word for word, _ in made.ledger.dials] == ["done"]

    run(story())


@pytest.mark.parametrize(("stage_word", "word"), [("dial", "refused"), ("dial", "denied"), ("resolve", "no_name")])
def test_a_target_that_cannot_be_reached_closes_promptly(stage_word: str, word: str) -> None:
    """After authentication speed is fine: an end of file, and no reset though more had been sent."""

    async def story() -> None:
        with stage() as made:
            made.target.error = DialError(word, "", stage_word)
            name = "aes-128-gcm"
            sock = made.enter(shadow_inbound(made, shadow_of(name), made.strangers(1000.0)))
            sock.sendall(make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name)) + bytes(10_000))
            assert await receive(sock) == b""
            assert made.ledger.stages == [(stage_word, word)]
            assert [word for word, _ in made.ledger.dials] == [word]

    run(story())


@pytest.mark.parametrize("word", ["done", "refused"])
def test_it_is_told_how_long_a_dial_took_without_the_handshake_before(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        with stage() as made:
            name, dial = "aes-128-gcm", made.target.dial
            made.target.error = None if word == "done" else DialError(word)

            async def slow(target: Address, first: First) -> End:
                answer = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.1, answer.set_result, None)
                await of_loop(answer)
                return await dial(target, first)

            monkeypatch.setattr(made.target, "dial", slow)
            sock = made.enter(shadow_inbound(made, shadow_of(name), made.strangers(1000.0)))
            stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name))
            sock.sendall(stream[:-1])
            await asyncio.sleep(0.3)
            asked_at = asyncio.get_running_loop().time()
            sock.sendall(stream[-1:])
            await until(lambda: bool(made.ledger.dials))
            [(said, seconds)] = made.ledger.dials
            assert said == word
            assert 0.099 <= seconds <= asyncio.get_running_loop().time() - asked_at

    run(story())


def test_a_salt_is_recorded_once_the_address_is_known_and_not_before() -> None:
    """Reliability S4: who forwards only the first bytes of a handshake must not burn the client's salt."""

    async def story() -> None:
        with stage() as made:
            name = "aes-256-gcm"
            stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name))
            inbound = shadow_inbound(made, shadow_of(name), made.strangers(1000.0))
            for size in (32, 50, len(stream) - 1):
                made.enter(inbound).sendall(stream[:size])
            await asyncio.sleep(0)
            assert made.salts.recorded == []
            made.enter(inbound).sendall(stream)
            await until(lambda: len(made.target.dialled) == 1)
            assert made.salts.recorded == [salt_of(name)]

    run(story())


def user(made: Stage, limits: Limits = FREE) -> Meter:
    return Meter(made.reactor, Account("ann", limits), lambda: NOW)


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_users_connection_is_counted_to_the_byte(name: str, pieces: int) -> None:
    """Also what came with the handshake, in however many reads, and what stood before the payload."""

    async def story() -> None:
        with stage() as made:
            meter = user(made)
            sock = made.enter(shadow_inbound(made, shadow_of(name), made.strangers(1000.0), meter=meter))
            stream = make_request(shadow_of(name), TARGET, [b"first", b"more"], salt=salt_of(name), now=NOW)
            for at in range(0, len(stream), -(-len(stream) // pieces)):
                sock.sendall(stream[at : at - (-len(stream) // pieces)])
                await asyncio.sleep(0.01)
            await until(lambda: meter.account.live == 1)
            made.target.far.send(b"answer")
            got = await receive(sock)
            await until(lambda: meter.account.sweep(0, NOW) == NOTHING)
            assert meter.account.counts == Counts(9, 6, len(stream), len(got))
            sock.shutdown(1)
            made.target.far.shutdown(1)
            await until(lambda: made.ledger.words == {"done": 1})
            assert meter.account.live == meter.account.connections == 0

    run(story())


def test_a_users_connection_whose_target_is_not_reached_is_counted_out() -> None:
    async def story() -> None:
        with stage() as made:
            made.target.error = DialError("refused")
            meter = user(made, Limits(connections=1))
            name = "aes-128-gcm"
            for count in (1, 2):
                salt = bytes([count]) * len(salt_of(name))
                sock = made.enter(shadow_inbound(made, shadow_of(name), made.strangers(1000.0), meter=meter))
                sock.sendall(make_request(shadow_of(name), TARGET, [b"first"], salt=salt))
                assert await receive(sock) == b""
                assert made.ledger.words == {"refused": count}
            assert meter.account.connections == 0

    run(story())


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(enabled=False), "disabled"),
        (Limits(expires=NOW), "expired"),
        (Limits(quota=Quota(0)), "quota"),
        (Limits(connections=0), "connections"),
        (Limits(sources=0), "sources"),
    ],
)
def test_a_user_over_a_limit_looks_like_a_stranger(limits: Limits, word: str) -> None:
    async def story() -> None:
        with stage() as made:
            name = "aes-128-gcm"
            strangers = made.strangers(0.1)
            sock = made.enter(shadow_inbound(made, shadow_of(name), strangers, meter=user(made, limits)))
            sock.sendall(make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name)))
            await until(lambda: len(strangers) == 1)
            sock.sendall(bytes(5000))
            assert await receive(sock) == b"", "nothing but the end of file, at the deadline of all strangers"
            assert made.ledger.stages == [("handshake", word)]
            assert made.target.dialled == []

    run(story())


def test_a_request_waits_until_its_user_has_speed_for_it() -> None:
    """Before anybody dials: what it brings would pass at once."""

    async def story() -> None:
        with stage() as made:
            meter, name = user(made, Limits(up_speed=1024)), "aes-128-gcm"
            bucket = meter.account.up_bucket
            assert bucket is not None
            bucket.take(10**6, made.reactor.loop.time())
            socks = []
            for count in (1, 2):
                stream = make_request(shadow_of(name), TARGET, [b"first"], salt=bytes([count]) * len(salt_of(name)))
                socks.append(made.enter(shadow_inbound(made, shadow_of(name), made.strangers(1000.0), meter=meter)))
                socks[-1].sendall(stream)
            await until(lambda: meter.account.owed == 10)
            assert made.target.dialled == []
            meter.change(FREE)
            await until(lambda: len(made.target.dialled) == 2)
            await until(lambda: meter.account.live == 2)
            assert meter.account.owed == 0

    run(story())


def test_an_internal_error_ends_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        with stage() as made:
            name = "aes-128-gcm"
            made.target.error = RuntimeError("a bug")  # type: ignore[assignment]  # on purpose: nobody raises that
            sock = made.enter(shadow_inbound(made, shadow_of(name), made.strangers(1000.0)))
            sock.sendall(make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name)))
            assert await receive(sock) == b""
            assert made.reactor.errors == 1
            assert not made.reactor.stories

    run(story())
    assert "a bug" in caplog.text

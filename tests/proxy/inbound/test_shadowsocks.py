"""The server's face: replay, clocks, and the letter of the specification."""

from __future__ import annotations

import asyncio

import pytest

from shadesocks.core.address import Address
from shadesocks.proxy.inbound.shadowsocks import ShadowsocksInbound
from tests.proxy.rig import CLIENT, NOW, Salts, receive, shadow_inbound, stage
from tests.service.rig import run, until
from tests.wire.codecs import AEAD2022, SEALED, salt_of, shadow_of
from tests.wire.hearing import make_request

TARGET = Address("target.example", 443)


@pytest.mark.parametrize("name", SEALED)
def test_the_same_bytes_are_served_once(name: str) -> None:
    async def story() -> None:
        with stage() as made:
            inbound = shadow_inbound(made, shadow_of(name), made.strangers(1000.0))
            stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW)
            made.enter(inbound).sendall(stream)
            await until(lambda: len(made.target.dialled) == 1)
            again = made.enter(inbound)
            again.sendall(stream)
            again.shutdown(1)
            assert await receive(again) == b""
            assert len(made.target.dialled) == 1

    run(story())


@pytest.mark.parametrize("name", AEAD2022)
@pytest.mark.parametrize("strict", [True, False])
def test_a_split_header_is_for_the_strict_no_header(name: str, strict: bool) -> None:
    async def story() -> None:
        with stage() as made:
            strangers = made.strangers(1000.0)
            inbound = shadow_inbound(made, shadow_of(name), strangers, strict=strict)
            stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW)
            sock = made.enter(inbound)
            sock.sendall(stream[:20])
            for _ in range(10):  # turns of the loop: the first piece is read in one of its own
                await asyncio.sleep(0)
            sock.sendall(stream[20:])
            if strict:
                sock.shutdown(1)
                assert await receive(sock) == b""
                assert not made.target.dialled
            else:
                await until(lambda: len(made.target.dialled) == 1)

    run(story())


def test_a_clock_that_differs_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        with stage() as made:
            name = "2022-blake3-aes-256-gcm"
            inbound = shadow_inbound(made, shadow_of(name), made.strangers(1000.0))
            for letter in (b"1", b"2"):
                sock = made.enter(inbound)
                sock.sendall(make_request(shadow_of(name), TARGET, [b"x"], salt=salt_of(name, letter), now=NOW + 95))
                sock.shutdown(1)
                assert await receive(sock) == b""

    run(story())
    assert caplog.text.count("differs from our clock by 95 s") == 1


def test_a_failed_handshake_is_told_at_once_to_whoever_asked() -> None:
    async def story() -> None:
        with stage() as made:
            told: list[tuple[object, str]] = []
            inbound = ShadowsocksInbound(
                shadow_of("aes-256-gcm"),
                Salts(),
                made.strangers(1000.0),
                lambda: NOW,
                bytes,
                suspect=lambda client, error: told.append((client, error.code)),
            )
            sock = made.enter(inbound)
            sock.sendall(bytes(200))
            await until(lambda: bool(told))
            assert told == [(CLIENT, "auth_failed")]
            assert not made.ledger.words, "its silence has only begun"
            sock.shutdown(1)
            assert await receive(sock) == b""

    run(story())

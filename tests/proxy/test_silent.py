"""Strangers: one behaviour for whoever fails, one deadline, and who goes when there are too many."""

from __future__ import annotations

import asyncio

import pytest

from shadesocks.core.address import Address
from shadesocks.proxy.silent import source_of
from tests.service.rig import run, until
from tests.wire.codecs import SEALED, salt_of, shadow_of
from tests.wire.hearing import make_request

from .rig import NOW, receive, shadow_inbound, stage

TARGET = Address("target.example", 443)
DEADLINE = 0.3
NAME = "2022-blake3-aes-128-gcm"


def good(name: str) -> bytes:
    return make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW)


def flipped(name: str) -> bytes:
    return good(name)[:-1] + bytes([good(name)[-1] ^ 1])


@pytest.mark.parametrize("name", SEALED)
def test_nothing_is_sent_before_the_deadline_and_then_an_end_of_file(name: str) -> None:
    async def story() -> None:
        with stage() as made:
            made.salts.recorded.append(salt_of(name, b"r"))
            inbound = shadow_inbound(made, shadow_of(name), made.strangers(DEADLINE))
            replayed = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name, b"r"), now=NOW)
            began = made.reactor.loop.time()
            probes = {"nothing": b"", "short": good(name)[:-1], "wrong": flipped(name), "noise": b"x" * 500}
            probes["replayed"] = replayed
            socks = {what: made.enter(inbound) for what in probes}
            for what, sock in socks.items():
                sock.sendall(probes[what])
            closed = await asyncio.gather(*(receive(sock) for sock in socks.values()))
            assert set(closed) == {b""}
            assert made.reactor.loop.time() - began >= DEADLINE - 0.01
            assert not made.target.dialled
            await until(lambda: made.ledger.words.total() == len(probes))
            assert set(made.ledger.words) == {"short", "auth", "replay"}
            assert sorted(made.ledger.sizes) == sorted(len(probe) for probe in probes.values())

    run(story())


@pytest.mark.parametrize("probe", [b"", b"x", b"x" * 500, good(NAME)[:-1], flipped(NAME)])
def test_who_ends_first_gets_its_end_of_file_at_once(probe: bytes) -> None:
    async def story() -> None:
        with stage() as made:
            strangers = made.strangers(1000.0)
            sock = made.enter(shadow_inbound(made, shadow_of(NAME), strangers))
            sock.sendall(probe)
            sock.shutdown(1)
            assert await receive(sock) == b""
            assert len(strangers) == 0
            assert made.ledger.sizes == [len(probe)]

    run(story())


def test_who_waits_to_ask_can_be_told_from_all_others() -> None:
    """A client keeps a connection ready: nothing was read from it, and nothing is there to be read."""

    async def story() -> None:
        with stage() as made:
            strangers, others = made.strangers(1000.0), made.strangers(1000.0)
            inbound = shadow_inbound(made, shadow_of(NAME), strangers)
            probes = {"waits": b"", "short": good(NAME)[:-1], "wrong": flipped(NAME), "late": b""}
            socks = {what: made.enter(inbound) for what in probes}
            elsewhere = made.enter(shadow_inbound(made, shadow_of(NAME), others))
            gone = made.enter(inbound)
            for what, sock in socks.items():
                sock.sendall(probes[what])
            await until(lambda: len(list(strangers.waiting)) == 3)
            socks["late"].sendall(good(NAME))
            gone.close()
            assert len(list(strangers.waiting)) == 1
            strangers.hang_up()
            made.reactor.settle()
            assert await receive(socks["waits"]) == b""
            await until(lambda: made.ledger.words == {"stopped": 1, "unused": 1})
            await until(lambda: [first for _, first in made.target.dialled] == [b"first"])
            assert len(list(others.waiting)) == 1
            elsewhere.close()
            strangers.close()
            await until(lambda: not len(strangers))

    run(story())


def test_who_says_nothing_and_leaves_is_told_from_who_said_something() -> None:
    async def story() -> None:
        with stage() as made:
            inbound = shadow_inbound(made, shadow_of(NAME), made.strangers(1000.0))
            made.enter(inbound).close()
            sock = made.enter(inbound)
            sock.sendall(good(NAME)[:-1])
            sock.close()
            await until(lambda: made.ledger.words == {"unused": 1, "left_early": 1})

    run(story())


def test_policy_fin_ends_at_once_and_reads_on() -> None:
    async def story() -> None:
        with stage() as made:
            sock = made.enter(shadow_inbound(made, shadow_of(NAME), made.strangers(1000.0, policy="fin")))
            sock.sendall(b"x" * 100)
            assert await receive(sock) == b""
            sock.sendall(b"x" * 100)
            sock.shutdown(1)
            await until(lambda: made.ledger.words["auth"] == 1)

    run(story())


def test_policy_reset_closes_at_once() -> None:
    async def story() -> None:
        with stage() as made:
            strangers = made.strangers(1000.0, policy="reset")
            sock = made.enter(shadow_inbound(made, shadow_of(NAME), strangers))
            sock.sendall(b"x" * 100)
            await until(lambda: made.ledger.words["auth"] == 1)
            assert len(strangers) == 0

    run(story())


def test_the_oldest_of_the_heaviest_source_goes_first() -> None:
    async def story() -> None:
        with stage() as made:
            strangers = made.strangers(1000.0, limit=4)
            inbound = shadow_inbound(made, shadow_of(NAME), strangers)
            heavy = [made.enter(inbound, ("192.0.2.1", port)) for port in range(3)]
            light = made.enter(inbound, ("192.0.2.2", 1))
            assert len(strangers) == 4
            newcomer = made.enter(inbound, ("192.0.2.3", 1))
            assert await receive(heavy[0]) == b""
            assert made.ledger.words == {"evicted": 1}
            for sock in (*heavy[1:], light, newcomer):
                with pytest.raises(BlockingIOError):
                    sock.recv(1)
            strangers.close()
            assert len(strangers) == 0

    run(story())


def test_a_bad_chunk_after_the_handshake_makes_a_stranger_again() -> None:
    async def story() -> None:
        with stage() as made:
            strangers = made.strangers(DEADLINE)
            sock = made.enter(shadow_inbound(made, shadow_of(NAME), strangers))
            sock.sendall(good(NAME))
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(made.target.far, 5) == b"first"
            sock.sendall(b"x" * 100)
            began = loop.time()
            assert await receive(sock) == b""
            assert loop.time() - began >= DEADLINE - 0.05
            assert made.ledger.words["bad_chunk"] == 1 + 1  # the relay's end, and the stranger's

    run(story())


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2"),
        ("2001:db8:1:2::6", "2001:db8:1:2"),
        ("2001:db8::6", "2001:db8:0:0"),
        ("::1", "0:0:0:0"),
        ("fe80::1%eth0", "fe80:0:0:0"),
    ],
)
def test_a_source_is_an_address_or_a_network_of_64_bits(host: str, source: str) -> None:
    assert source_of((host, 1)) == source
    assert source_of(None) == ""

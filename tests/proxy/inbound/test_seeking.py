"""Streams of many users on one port, while it is tried whose they are: over socket pairs, in a real reactor."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.trial import Trial
from shadesocks.net import slices as slices_file
from shadesocks.net.poller import event_models
from shadesocks.proxy.inbound import seeking
from shadesocks.proxy.inbound.shadowsocks import ShadowsocksInbound
from shadesocks.proxy.users.user import User
from shadesocks.wire.chunks import SIZE_SIZE
from shadesocks.wire.editions import make_tried_shadow
from tests.proxy.rig import CLIENT, Stage, receive, shadow_inbound, stage
from tests.service.rig import run, until
from tests.wire.hearing import ClientHearing, make_request
from tests.wire.keyrings import client_shadow, keyring_of, user_key

NAME = "aes-128-gcm"
TARGET = Address("target.example", 443)
MANY = 1000
BEFORE = METHODS[NAME].salt_size + SIZE_SIZE
"""Bytes on which keys are tried."""
_salts = (number.to_bytes(METHODS[NAME].salt_size) for number in range(1, 1 << 30))


def request(number: int, payload: bytes = b"first") -> bytes:
    return make_request(client_shadow(NAME, number), TARGET, [payload], salt=next(_salts))


class Port:
    """A port of many users."""

    def __init__(self, made: Stage, count: int = MANY, deadline: float = 1000.0, limit: int = 1000) -> None:
        self.made = made
        self.keyring = keyring_of(NAME, count)
        self.strangers = made.strangers(deadline, limit)
        self.inbound: ShadowsocksInbound = shadow_inbound(
            made, make_tried_shadow(METHODS[NAME], self.keyring), self.strangers
        )

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *_error: object) -> None:
        self.inbound.close()
        self.made.reactor.settle()

    def enter(self, data: bytes = b"", client: Any = CLIENT) -> socket.socket:
        sock = self.made.enter(self.inbound, client)
        if data:
            sock.sendall(data)
        return sock

    @property
    def searches(self) -> int:
        return len(self.made.reactor.slices)


def dialled(made: Stage) -> int:
    return len(made.target.dialled)


@pytest.mark.parametrize("number", [0, 15, 16, MANY - 1])
def test_each_is_served(number: int) -> None:
    async def story() -> None:
        with stage() as made, Port(made) as port:
            stream = request(number)
            sock = port.enter(stream)
            await until(lambda: dialled(made) == 1)
            assert made.target.dialled == [(TARGET, b"first")]
            assert [is_found for _, is_found in made.ledger.searches] == [True]
            assert next(iter(made.ledger.relays)).user is port.keyring.holder(user_key(NAME, number))
            made.target.far.send(b"answer")
            hearing = ClientHearing(client_shadow(NAME, number), stream[:16])
            while len(hearing.payload) < 6:
                hearing.feed(await receive(sock))
            assert bytes(hearing.payload) == b"answer"

    run(story())


def test_in_pieces_and_with_more_behind() -> None:
    """What comes while a search is under way is kept, in its order."""

    async def story() -> None:
        with stage() as made, Port(made) as port:
            stream = request(MANY - 1, b"p" * 30_000)
            sock = port.enter(stream[:10])
            await turns(3)
            sock.sendall(stream[10 : BEFORE - 1])
            await turns(3)
            assert not port.searches
            sock.sendall(stream[BEFORE - 1 : BEFORE])
            await until(lambda: port.searches == 1)
            for at in range(BEFORE, len(stream), 7000):
                sock.sendall(stream[at : at + 7000])
                await turns(1)
            await until(lambda: dialled(made) == 1)
            got = bytearray()
            while len(got) < 30_000:
                got += await receive(made.target.far)
            assert got == b"p" * 30_000
            (relay,) = made.ledger.relays
            assert relay.left.taken == len(stream)

    run(story())


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_whoever_is_known_at_his_address_waits_for_nobody() -> None:
    async def story() -> None:
        with stage() as made, Port(made) as port:
            here = ("192.0.2.1", 1)
            port.keyring.used(user_key(NAME, 700), b"\xc0\x00\x02\x01")
            for number in range(100):
                port.enter(bytes(200), ("198.51.100.1", number))
            assert port.searches == 0
            await until(lambda: port.searches == 100)
            sock = port.enter(request(700), here)
            await until(lambda: dialled(made) == 1)
            assert port.searches > 50
            sock.close()

    run(story())


def test_one_from_elsewhere_waits_no_longer_for_a_hundred_than_for_one() -> None:
    """The searches of one source take the turn of one."""

    async def story() -> None:
        with stage() as made, Port(made, 500) as port:
            for number in range(100):
                port.enter(bytes(200), ("198.51.100.1", number))
            await until(lambda: port.searches > 90)
            port.enter(request(499), ("192.0.2.1", 1))
            await until(lambda: dialled(made) == 1)
            assert port.searches > 90, "most of the others still wait"

    run(story())


@pytest.mark.parametrize("count", [1, 10, MANY])
def test_who_has_no_key_meets_silence(count: int) -> None:
    async def story() -> None:
        with stage() as made, Port(made, count, deadline=0.5) as port:
            sock = port.enter(request(MANY + 1))
            began = asyncio.get_running_loop().time()
            assert await receive(sock) == b""
            assert asyncio.get_running_loop().time() - began >= 0.4
            assert made.ledger.words == {"auth": 1}
            assert made.ledger.sizes == [len(request(MANY + 1))]
            assert [is_found for _, is_found in made.ledger.searches] == [False]
            assert not made.target.dialled

    run(story())


def test_the_deadline_ends_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadesocks.wire.search.Search.step", lambda _search: False)

    async def story() -> None:
        with stage() as made, Port(made, 3, deadline=0.2) as port:
            sock = port.enter(request(1))
            assert await receive(sock) == b""
            assert made.ledger.words == {"short": 1}
            await turns(3)
            [(seconds, is_found)] = made.ledger.searches
            assert not is_found
            assert 0.15 < seconds < 10
            assert port.searches == 0
            assert not made.reactor.stories

    run(story())


@pytest.mark.parametrize("end", ["fin", "reset"])
@pytest.mark.parametrize("size", [100, 70_000, 3_000_000])
@pytest.mark.parametrize("model", event_models())
def test_who_ends_during_his_search_gets_his_end_at_once(
    end: str, size: int, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a step is done any more, or its time would tell how many users there are: as with one key.

    However much he said: he is read from as any stranger is.
    """
    steps = []

    def step(_search: object, _most: int = 0) -> bool:
        steps.append(1)
        return False

    monkeypatch.setattr("shadesocks.wire.search.Search.step", step)
    monkeypatch.setattr("shadesocks.net.slices.Slices._turn", lambda _slices: None)

    async def story() -> None:
        with stage(model) as made, Port(made, 3) as port:
            sock = port.enter(bytes(BEFORE))
            await until(lambda: port.searches == 1)
            await asyncio.get_running_loop().sock_sendall(sock, bytes(size - BEFORE))
            if end == "fin":
                sock.shutdown(socket.SHUT_WR)
            else:
                sock.close()
            await until(lambda: bool(made.ledger.words))
            assert steps == [1], "the one of the beginning"
            assert made.ledger.words == {"auth": 1}
            if end == "fin":
                assert made.ledger.sizes == [size], "whether it was kept or not"
            assert port.searches == seeking.Seeking.kept_by_all == 0

    run(story())


def test_who_says_all_and_ends_is_served_where_he_is_known() -> None:
    async def story() -> None:
        with stage() as made, Port(made) as port:
            port.keyring.used(user_key(NAME, 700), b"elsewhere")
            sock = port.enter(request(700))
            sock.shutdown(socket.SHUT_WR)
            await until(lambda: dialled(made) == 1)
            assert await receive(made.target.far) == b"first"

    run(story())


def test_a_salt_that_is_known_is_refused_before_any_search(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        with stage() as made, Port(made) as port:
            stream = request(7)
            port.enter(stream)
            await until(lambda: dialled(made) == 1)
            monkeypatch.setattr("shadesocks.wire.search.Search.step", None)
            again = port.enter(stream[:16])
            await turns(5)
            again.shutdown(socket.SHUT_WR)
            assert await receive(again) == b""
            assert made.ledger.words == {"replay": 1}

    run(story())


@pytest.mark.parametrize(("all_of_them", "each"), [(64 << 20, 200_000), (100_000, 64 << 10)])
def test_what_is_kept_during_a_search_is_bounded(all_of_them: int, each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond is read, too, as of any stranger, and lost."""
    monkeypatch.setattr(seeking, "KEPT_MOST", 200_000)
    monkeypatch.setattr(seeking, "KEPT_ALL", all_of_them)
    monkeypatch.setattr("shadesocks.wire.search.Search.step", lambda _search, _most=0: False)
    found: list[seeking.Seeking] = []
    begin = seeking.Seeking.__init__

    def noted(self: seeking.Seeking, *args: Any) -> None:
        begin(self, *args)
        found.append(self)

    monkeypatch.setattr(seeking.Seeking, "__init__", noted)

    async def story() -> None:
        with stage() as made, Port(made, 3) as port:
            socks = [port.enter(bytes(BEFORE)) for _ in range(3)]
            await until(lambda: port.searches == 3)
            for sock in socks:
                await asyncio.get_running_loop().sock_sendall(sock, bytes(1_000_000))
            kept = [len(one.kept) for one in found]
            assert seeking.Seeking.kept_by_all == sum(kept)
            assert max(kept[1:]) <= each
            assert all(one.has_lost for one in found)

    run(story())
    assert seeking.Seeking.kept_by_all == 0


def test_who_says_more_than_is_kept_is_known_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeking, "KEPT_MOST", 100_000)

    async def story() -> None:
        with stage() as made, Port(made) as port:
            turn = slices_file.Slices._turn
            monkeypatch.setattr(slices_file.Slices, "_turn", lambda _slices: None)
            sock = port.enter()
            await asyncio.get_running_loop().sock_sendall(sock, request(MANY - 1, b"p" * 500_000))
            await until(lambda: port.searches == 1)
            await turns(20)
            monkeypatch.setattr(slices_file.Slices, "_turn", turn)
            made.reactor.slices._turn()
            await until(lambda: not port.searches)
            await turns(5)
            assert not dialled(made)
            sock.close()
            await until(lambda: made.ledger.words == {"limit": 1})
            assert [*port.keyring.near(b"\xc0\x00\x02\x07")] == [user_key(NAME, MANY - 1)]

    run(story())


def test_where_too_many_search_the_last_is_silent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_file, "JOBS_MAX", 2)
    monkeypatch.setattr("shadesocks.wire.search.Search.step", lambda _search: False)

    async def story() -> None:
        with stage() as made, Port(made, 3) as port:
            for _ in range(3):
                port.enter(bytes(100))
            await turns(5)
            assert port.searches == 2
            assert len(made.reactor.stories) == 2, "the third waits for nothing any more"
            port.enter(bytes(100), ("198.51.100.1", 1))
            await turns(5)
            assert port.searches == 2
            assert len(made.reactor.stories) == 2, "one of the many gave way"
            assert not made.ledger.words, "and all are silent"

    run(story())


def test_the_table_changes_during_a_search() -> None:
    async def story() -> None:
        with stage() as made, Port(made) as port:
            port.enter(request(MANY - 1))
            gone = port.enter(request(MANY - 2))
            await until(lambda: port.searches == 2)
            late = User("late", (user_key(NAME, MANY - 1),))
            port.keyring.set([late])
            await until(lambda: dialled(made) == 1)
            assert next(iter(made.ledger.relays)).user is late
            gone.shutdown(socket.SHUT_WR)
            assert await receive(gone) == b""
            assert dialled(made) == 1

    run(story())


def test_a_house_that_closes_ends_its_searches() -> None:
    async def story() -> None:
        with stage() as made, Port(made, 20_000) as port:
            sock = port.enter(request(40_000))
            await until(lambda: port.searches == 1)
            port.inbound.close()
            made.reactor.settle()
            assert port.searches == 0
            assert await receive(sock) == b""
            assert not made.reactor.stories

    run(story())


def test_who_ends_waits_for_none_of_those_who_search_from_there() -> None:
    """As with one key: a prober with many connections cannot see that some wait for others."""

    async def story() -> None:
        with stage() as made, Port(made) as port:
            for _ in range(100):
                port.enter(bytes(200))
            await until(lambda: port.searches == 100)
            sock = port.enter(request(MANY + 1))
            sock.shutdown(socket.SHUT_WR)
            assert await receive(sock) == b""
            assert port.searches > 50

    run(story())


def test_beside_many_searches_a_stranger_costs_no_step_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of them would keep those waiting who are known, and these still wait for nobody."""
    tried: list[int] = []
    find = Trial.find

    def counted(self: Trial, keys: Any) -> bytes | None:
        tried.append(len(keys))
        return find(self, keys)

    monkeypatch.setattr(Trial, "find", counted)

    async def story() -> None:
        with stage() as made, Port(made) as port:
            port.keyring.used(user_key(NAME, 700), b"\xc0\x00\x02\x01")
            for number in range(200):
                port.enter(bytes(200), (f"198.51.100.{number}", 1))
            monkeypatch.setattr("shadesocks.net.slices.Slices._turn", lambda _slices: None)
            await until(lambda: port.searches == 200)
            assert sum(tried) <= 16 * seeking.AT_ONCE_MOST
            port.enter(request(700), ("192.0.2.1", 1))
            await until(lambda: dialled(made) == 1)
            assert sum(tried) <= 16 * seeking.AT_ONCE_MOST + 1
            for source in list(made.reactor.slices._jobs):
                made.reactor.slices.clear(source)

    run(story())


def test_beside_many_searches_a_key_that_was_used_lately_is_found_soon() -> None:
    async def story() -> None:
        with stage() as made, Port(made) as port:
            port.keyring.used(user_key(NAME, 700), b"elsewhere")
            for number in range(250):
                port.enter(bytes(200), (f"198.51.100.{number}", 1))
            await until(lambda: port.searches > 100)
            port.enter(request(700), ("192.0.2.1", 1))
            await until(lambda: dialled(made) == 1)
            assert port.searches > 50

    run(story())

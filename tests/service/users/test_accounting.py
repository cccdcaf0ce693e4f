"""Users of a running service: who is let in, what is counted for whom, and what changes while they are connected."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config, Mode, ServerConfig
from shadesocks.config.user import Credential, UserConfig, parse_user
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.core.secret import Secret
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.service import follow
from shadesocks.service.service import Service
from shadesocks.service.shared import wall
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row, Stored
from shadesocks.service.users import accounting
from shadesocks.service.users.accounting import Accounting
from shadesocks.service.users.kept import Kept

from .. import rig, test_service_udp
from ..rig import run, server_config, socks, started, until
from .test_tables import METHODS, client, closed, datagrams, service, shared, streams, text

KEY = Secret(text("k"))


def limited(names: str = "ab", limits: Limits = FREE, port: int = 0, **more: Any) -> ServerConfig:
    """A server with a user for each letter, the first of whom has limits."""
    server = shared(names=names, port=port)
    first, *others = server.users or ()
    return replace(server, users=(replace(first, limits=limits, **more), *others))


def users_of(far: Service) -> Accounting:
    found = far._house.accounting
    assert found is not None
    return found


async def row(far: Service, name: str) -> dict[str, Any]:
    users_of(far).sweep()
    (found,) = await users_of(far).rows(name)
    return found


async def turned(users: Accounting) -> None:
    """Wait until the tables hold the keys that are valid now."""
    if users._turning is not None:
        await users._turning


@asynccontextmanager
async def connected(far: Service, name: str) -> AsyncIterator[Service]:
    async with client(KEY, Secret(text(name)), at=far.addresses[0]) as near:
        yield near


def test_both_ways_and_both_protocols_are_counted_for_whom_they_are() -> None:
    async def story() -> None:
        async with service(limited()) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            async with connected(far, "a") as near:
                assert len(await streams(near, target, bytes(5000))) == 5000
                assert len(await datagrams(near, other, bytes(700))) == 700
            async with connected(far, "b") as near:
                assert len(await streams(near, target, bytes(30))) == 30
            await until(lambda: not far.totals[0])
            a, b = await row(far, "a"), await row(far, "b")
            assert (a["up"], a["down"]) == (5700, 5700)
            assert (b["up"], b["down"]) == (30, 30)
            assert a["wire_up"] > 5700
            assert (a["quota"], a["used"], a["left"], a["refused"]) == (None, None, None, None)
            assert [each["name"] for each in await users_of(far).rows()] == ["a", "b"]

    run(story())


def test_who_has_the_password_of_a_port_has_a_name_and_limits_too(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        anna = UserConfig("anna", (), Limits(quota=Quota(10_000)))
        server = replace(server_config("aes-256-gcm"), mode=Mode.TCP_AND_UDP, users=(anna,))
        async with (
            service(server) as far,
            rig.target(rig.echo) as target,
            test_service_udp.echo() as other,
            client(server.password, at=far.addresses[0], method="aes-256-gcm") as near,
        ):
            assert len(await streams(near, target, bytes(3000))) == 3000
            assert len(await datagrams(near, other, bytes(500))) == 500
            await until(lambda: not far.totals[0])
            assert (await row(far, "anna"))["left"] == 3000
            assert len(await streams(near, target, bytes(100_000))) < 100_000
            assert await streams(near, target, b"no more") == b""
            assert (await row(far, "anna"))["refused"] == "quota"

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    assert any(" user anna up 3000 down 3000 " in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "limits",
    [Limits(enabled=False), Limits(expires=1), Limits(quota=Quota(0)), Limits(connections=0, sessions=0)],
    ids=["disabled", "expired", "quota", "none at all"],
)
def test_who_is_refused_meets_silence_and_has_a_line(limits: Limits, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = replace(limited(limits=limits), handshake_timeout=0.3)
        async with service(server) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            async with connected(far, "a") as near:
                assert await streams(near, target, b"hello") == b""
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await datagrams(near, other, b"hello" * 20)
            async with connected(far, "b") as near:
                assert await streams(near, target, b"hello") == b"hello"

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    (line,) = (line for line in caplog.text.splitlines() if " handshake " in line)
    assert " user a up 0 down 0 " in line


def test_a_reload_changes_limits_of_connections_that_live() -> None:
    async def story() -> None:
        async with service(limited()) as far, rig.target(rig.echo) as target, connected(far, "a") as near:
            at = far.addresses[0]
            await far.reload(replace(far.config, servers=(limited(port=at.port),)))
            reader, writer, _ = await socks(near, target)
            writer.write(b"x" * 100)
            assert await reader.readexactly(100) == b"x" * 100
            inode = far._house.ports.every
            await far.reload(replace(far.config, servers=(limited(port=at.port, limits=Limits(quota=Quota(500))),)))
            assert far._house.ports.every == inode, "the port is the same"
            writer.write(b"y" * 100)
            assert await reader.readexactly(100) == b"y" * 100
            writer.write(b"z" * 1000)
            assert len(await reader.read()) <= 1000, "it ended"
            assert await streams(near, target, b"hello") == b""
            await far.reload(replace(far.config, servers=(limited(port=at.port, limits=Limits(quota=Quota(10**6))),)))
            assert await streams(near, target, b"hello") == b"hello"
            await closed(writer)

    run(story())


def test_who_is_gone_finishes_and_is_counted_but_begins_no_more() -> None:
    async def story() -> None:
        async with service(limited()) as far, rig.target(rig.echo) as target, connected(far, "a") as near:
            at = far.addresses[0]
            await far.reload(replace(far.config, servers=(limited(port=at.port),)))
            reader, writer, _ = await socks(near, target)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            account = users_of(far).accounts.find("a")
            assert account is not None
            await far.reload(replace(far.config, servers=(limited("b", port=at.port),)))
            assert await streams(near, target, b"hello") == b""
            writer.write(b"y" * 10)
            assert await reader.readexactly(10) == b"y" * 10
            await closed(writer)
            await until(lambda: not far.totals[0])
            users_of(far).sweep()
            users_of(far).sweep()
            assert account.counts.up == 11
            assert users_of(far).accounts.find("a") is None
            assert [each["name"] for each in await users_of(far).rows()] == ["b"]

    run(story())


class Datagrams:
    """A UDP session of a client, which stays."""

    def __init__(self, near: Service, target: Address) -> None:
        self._near, self._target = near, target

    async def __aenter__(self) -> Datagrams:
        self._writer, reply = await test_service_udp.ask(self._near)
        self._relay = test_service_udp.relay_of(reply)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.bind((rig.HOST, 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sock.close()
        await closed(self._writer)

    async def trip(self, said: bytes) -> bytes:
        """Say something, and return what comes back; empty where nothing does."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self._sock, b"\0\0\0" + self._target.pack() + said, self._relay)
        try:
            async with asyncio.timeout(0.3):
                return (await loop.sock_recv(self._sock, 2048))[10:]
        except TimeoutError:
            return b""


@pytest.mark.parametrize("method", [*METHODS, "aes-256-gcm"])
@pytest.mark.parametrize("change", ["removed", "renamed", "dropped", "other keys", "nothing"])
def test_sessions_by_keys_that_are_taken_away_end_and_connections_go_on(method: str, change: str) -> None:
    def server(*users: UserConfig, port: int = 0) -> ServerConfig:
        made = shared(method, "b", port)
        return replace(made, users=users, password=Secret("") if is_tried else made.password)

    def keys(letters: str) -> tuple[Credential, ...]:
        return tuple(Credential(Secret(text(letter, method))) for letter in letters)

    is_tried = method == "aes-256-gcm"
    ben = UserConfig("ben", keys("b"))
    after = {
        "removed": (ben,),
        "renamed": (ben, UserConfig("carl", keys("ac"))),
        "dropped": (ben, UserConfig("anna", keys("c"))),
        "other keys": (UserConfig("anna", keys("da")), ben),
        "nothing": (UserConfig("anna", keys("ac")), ben),
    }[change]
    stays = change in ("other keys", "nothing")

    async def story() -> None:
        async with AsyncExitStack() as held:
            enter = held.enter_async_context
            before = server(UserConfig("anna", keys("ac")), ben)
            far = await enter(service(before))
            at, own = far.addresses[0], () if is_tried else (before.password,)
            await far.reload(replace(far.config, servers=(replace(before, address=at),)))
            target, other = await enter(rig.target(rig.echo)), await enter(test_service_udp.echo())
            anna = await enter(client(*own, keys("a")[0].password, at=at, method=method))
            bens = await enter(client(*own, keys("b")[0].password, at=at, method=method))
            one, two = await enter(Datagrams(anna, other)), await enter(Datagrams(bens, other))
            assert await one.trip(b"x") == await two.trip(b"x") == b"x"
            reader, writer, _ = await socks(anna, target)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            await far.reload(replace(far.config, servers=(server(*after, port=at.port),)))
            live = [session for relay in far._shared.crowd.relays for session in relay.sessions.values()]
            assert sorted(session.user.name for session in live) == ["anna", "ben"][not stays :]
            assert far.journal.reasons["revoked"] == (not stays)
            assert await one.trip(b"y") == (b"y" if stays or change == "renamed" else b"")
            assert await two.trip(b"y") == b"y"
            writer.write(b"y")
            assert await reader.readexactly(1) == b"y"
            await closed(writer)

    run(story())


def test_a_session_ends_with_the_time_of_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        clock = [1_000_000]
        monkeypatch.setattr(accounting, "wall", lambda: clock[0])
        ends = Credential(Secret(text("a")), None, 1_000_100), Credential(Secret(text("c")))
        async with AsyncExitStack() as held:
            far = await held.enter_async_context(service(limited(credentials=ends)))
            other = await held.enter_async_context(test_service_udp.echo())
            nears = [await held.enter_async_context(connected(far, name)) for name in "ac"]
            one, two = [await held.enter_async_context(Datagrams(near, other)) for near in nears]
            for clock[0], expected in ((1_000_099, b"x"), (1_000_100, b""), (1_000_099, b"x")):
                users_of(far).sweep()
                await turned(users_of(far))
                assert await one.trip(b"x") == expected
                assert await two.trip(b"x") == b"x"
            assert far.journal.reasons["revoked"] == 1

    run(story())


def test_tables_of_many_are_filled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between which the loop turns; and tables whose users are as they were are left alone."""

    async def story() -> None:
        monkeypatch.setattr(accounting, "PIECE", 10)
        names = [f"user {number}" for number in range(100)]
        users = [
            UserConfig(name, (Credential(Secret(base64.b64encode(number.to_bytes(16)).decode())),))
            for number, name in enumerate(names)
        ]
        many = replace(shared(), users=tuple(users), address=Address(rig.HOST, 1))
        few = replace(shared(names="ab"), address=Address(rig.HOST, 2))
        books = Accounting()
        await books.follow(Config(servers=(many, few)))
        tables = [books.table(server) for server in (many, few)]
        assert all(tables)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        filled: list[object] = []
        fill = UserTable.set

        def note(table: UserTable[User], users: list[User]) -> list[User]:
            filled.append(table)
            return fill(table, users)

        monkeypatch.setattr(UserTable, "set", note)
        await books.follow(Config(servers=(replace(many, users=tuple(users[1:])), few)))
        assert turns >= 9
        assert filled == [tables[0]]
        assert [user.name for user in tables[0] or ()] == names[1:]
        counting.cancel()
        await books.close()

    run(story())


def test_two_that_fill_the_tables_at_once_do_so_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that ends while others are read is not there afterwards."""

    async def story() -> None:
        clock = [1_000_000]
        monkeypatch.setattr(accounting, "wall", lambda: clock[0])
        monkeypatch.setattr(accounting, "PIECE", 1)
        ends = Credential(Secret(text("a")), None, 1_000_100), Credential(Secret(text("c")))
        server = replace(limited("abd", credentials=ends), address=Address(rig.HOST, 1))
        books = Accounting()
        await books.follow(Config(servers=(server,)))
        table = books.table(server)
        assert table is not None
        following = asyncio.create_task(books.follow(Config(servers=(limited("abd", credentials=ends, port=1),))))
        await asyncio.sleep(0)
        clock[0] += 100
        books.sweep()
        await following
        await until(lambda: books._turning is None or books._turning.done())
        books.sweep()
        await until(lambda: books._turning is None or books._turning.done())
        assert [user.keys for user in table] == [(b"c" * 16,), (b"b" * 16,), (b"d" * 16,)]
        assert books._turn_at == accounting._NEVER
        await books.close()

    run(story())


@asynccontextmanager
async def dialling(
    far: Service, near: Service, port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.Future[Any]]]:
    """A connection whose target is looked up until the test finds it."""
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    far._shared.names.lookup = lambda host: asyncio.shield(found)  # type: ignore[method-assign]
    reader, writer, _ = await socks(near, Address("somewhere.test", port))
    writer.write(b"x")
    [served] = far._house.ports.every
    flow = served.face.flow
    assert flow is not None
    await until(lambda: flow.dialling == 1)
    yield reader, found
    await closed(writer)


def test_who_is_disabled_while_his_target_is_reached_is_cut_off_by_the_next_sweep() -> None:
    async def story() -> None:
        async with service(limited()) as far, rig.target(rig.echo) as target, connected(far, "a") as near:
            at = far.addresses[0]
            await far.reload(replace(far.config, servers=(limited(port=at.port),)))
            async with dialling(far, near, target.port) as (reader, found):
                await far.reload(replace(far.config, servers=(limited(port=at.port, limits=Limits(enabled=False)),)))
                await far.reload(replace(far.config, servers=(limited("b", port=at.port),)))  # as `user del` does it
                users_of(far).sweep()
                found.set_result(((socket.AF_INET, target.host),))
                await until(lambda: users_of(far).accounts.find("a") is None or bool(far.totals[0]))
                users_of(far).sweep()
                assert await reader.read() in (b"", b"x")
                assert far.journal.reasons["disabled"] == 1
                users_of(far).sweep()
                assert users_of(far).accounts.find("a") is None

    run(story())


def test_who_is_gone_while_his_target_is_reached_is_counted_where_he_was() -> None:
    async def story() -> None:
        async with service(limited()) as far, rig.target(rig.echo) as target, connected(far, "a") as near:
            at = far.addresses[0]
            await far.reload(replace(far.config, servers=(limited(port=at.port),)))
            async with dialling(far, near, target.port) as (reader, found):
                account = users_of(far).accounts.find("a")
                await far.reload(replace(far.config, servers=(limited("b", port=at.port),)))
                users_of(far).sweep()
                await far.reload(replace(far.config, servers=(limited("ab", port=at.port),)))
                found.set_result(((socket.AF_INET, target.host),))
                assert await reader.readexactly(1) == b"x"
                users_of(far).sweep()
                assert users_of(far).accounts.find("a") is account
                assert account is not None
                assert account.counts.up == 1

    run(story())


def test_a_password_opens_the_door_between_two_instants(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        clock = [1_000_000]
        monkeypatch.setattr(accounting, "wall", lambda: clock[0])
        ends = (
            Credential(Secret(text("a")), None, 1_000_100),
            Credential(Secret(text("c")), 1_000_050, None),
        )
        async with service(limited(credentials=ends)) as far, rig.target(rig.echo) as target:
            for at, expected in ((0, "a"), (50, "ac"), (100, "c")):
                clock[0] = 1_000_000 + at
                users_of(far).sweep()
                for name in "ac":
                    async with connected(far, name) as near:
                        assert await streams(near, target, b"hello") == (b"hello" if name in expected else b"")

    run(story())


def test_a_server_that_comes_brings_its_users_and_takes_them_along() -> None:
    async def story() -> None:
        async with service(server_config(METHODS[0])) as far, rig.target(rig.echo) as target:
            assert far._house.accounting is None, "nobody had a name"
            at = await far.add(limited("xy", Limits(connections=1)))
            async with client(KEY, Secret(text("x")), at=at) as near:
                assert await streams(near, target, b"hello") == b"hello"
                await until(lambda: not far.totals[0])
                assert (await row(far, "x"))["up"] == 5
            assert await far.remove(at)
            users_of(far).sweep()
            assert await users_of(far).rows() == []

    run(story())


def test_one_name_at_two_ports_is_one_user() -> None:
    async def story() -> None:
        servers = (limited("a", Limits(quota=Quota(3000))), limited("a"))
        async with service(*servers) as far, rig.target(rig.echo) as target:
            for at, expected in zip(far.addresses, (2000, 1500), strict=True):
                async with client(KEY, Secret(text("a")), at=at) as near:
                    assert len(await streams(near, target, bytes(1000))) <= expected
                    await until(lambda: not far.totals[0])
            assert (await row(far, "a"))["left"] == 0 or (await row(far, "a"))["used"] >= 3000
            assert (await row(far, "a"))["up"] <= 2000

    run(story())


# -- with a store ----------------------------------------------------------------------------------


def kept(path: Path, change: Callable[[SqliteStore], object]) -> None:
    """Do something to a store, as another process would."""
    store = SqliteStore(str(path))
    store.open()
    try:
        change(store)
    finally:
        store.close()


def stored(name: str, limits: Limits = FREE, port: int | None = None) -> UserConfig:
    return UserConfig(name, (Credential(Secret(text(name))),), limits, port=port)


def with_store(path: Path, *servers: ServerConfig) -> Config:
    return Config(servers=servers, allow_private=True, store=Secret(str(path)))


def test_users_of_the_store_are_served_and_what_they_used_outlives_the_service(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    kept(path, lambda store: write_user(store, stored("s", Limits(quota=Quota(5000)))))

    async def life(left: int) -> None:
        async with started(Service.server(with_store(path, shared()))) as far, rig.target(rig.echo) as target:
            assert (await row(far, "s"))["left"] == left
            async with connected(far, "s") as near:
                assert len(await streams(near, target, bytes(1000))) == 1000
            async with connected(far, "a") as near:
                assert len(await streams(near, target, bytes(10))) == 10

    run(life(5000))
    run(life(3000))
    seen: list[Stored] = []
    kept(path, lambda store: seen.extend(store.users()))
    sums = {each.name: each.counts for each in seen}
    assert (sums["s"].up, sums["s"].down) == (2000, 2000)
    assert (sums["a"].up, sums["a"].down) == (20, 20)


def test_who_is_new_and_has_nothing_left_is_refused_before_his_key_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, limits = tmp_path / "users.db", Limits(quota=Quota(100))
    kept(path, lambda store: store.write(Batch("somebody", 1, (Row("s", wall() // 3600, 100, 50, 120, 60),))))
    words: list[str | None] = []
    fill, admitted = UserTable.set, Kept.admit

    async def story() -> None:
        async with started(Service.server(with_store(path, shared()))) as far:

            def watched(table: UserTable[User], users: Iterable[User]) -> list[User]:
                account = users_of(far).accounts.find("s")
                words.append(None if account is None else account.refuse(wall()))
                return fill(table, users)

            async def admit(*given: Any) -> None:
                await admitted(*given)
                users_of(far).sweep()
                assert "s" not in users_of(far).users, "nobody is told of him before"

            monkeypatch.setattr(UserTable, "set", watched)
            monkeypatch.setattr(Kept, "admit", admit)
            users_of(far)._leaving.add("s")  # he was here before, and comes back
            kept(path, lambda store: write_user(store, stored("s", limits)))
            assert not await far.reload(with_store(path, shared()))
            monkeypatch.undo()

    run(story())
    assert words == ["quota"]


def test_a_reload_reads_the_store_again(tmp_path: Path) -> None:
    path = tmp_path / "users.db"

    async def story() -> None:
        config = with_store(path, shared())
        async with started(Service.server(config)) as far, rig.target(rig.echo) as target:
            at = far.addresses[0]
            config = with_store(path, shared(port=at.port))
            await far.reload(config)
            async with connected(far, "s") as near:
                assert await streams(near, target, b"hello") == b""
                kept(path, lambda store: write_user(store, stored("s", Limits(quota=Quota(4000)))))
                assert await far.reload(config) == ()
                assert len(await streams(near, target, bytes(1990))) == 1990
                assert await streams(near, target, bytes(100_000)) != bytes(100_000)
                assert await streams(near, target, b"hello") == b""
                kept(path, lambda store: store.reset("s", wall()))
                await far.reload(config)
                assert await streams(near, target, b"hello") == b"hello"
                kept(path, lambda store: store.drop("s"))
                await far.reload(config)
                assert await streams(near, target, b"hello") == b""

    run(story())


def test_one_at_a_port_of_his_own_comes_and_goes(tmp_path: Path) -> None:
    from shadesocks.cli.place import free_port

    path, port = tmp_path / "users.db", free_port()

    async def story() -> None:
        config = with_store(path, shared())
        async with started(Service.server(config)) as far, rig.target(rig.echo) as target:
            config = with_store(path, shared(port=far.addresses[0].port))
            await far.reload(config)
            kept(path, lambda store: write_user(store, stored("s", port=port)))
            assert await far.reload(config) == ()
            own = Address(far.addresses[0].host, port)
            async with client(Secret(text("s")), at=own) as near:
                assert await streams(near, target, b"hello") == b"hello"
                await until(lambda: not far.totals[0])
                assert (await row(far, "s"))["ports"] == [port]
                kept(path, lambda store: store.drop("s"))
                await far.reload(config)
                assert own not in far.addresses

    run(story())


@pytest.mark.parametrize(("before", "after"), [("a.db", "b.db"), ("a.db", None), (None, "a.db")])
def test_another_store_is_in_force_after_a_restart(before: str | None, after: str | None, tmp_path: Path) -> None:
    """Until then those of the old one are users, at every reload."""
    for letter in "ab":
        kept(tmp_path / f"{letter}.db", lambda store, name=letter: write_user(store, stored(name)))  # type: ignore[misc]

    def config(name: str | None) -> Config:
        return replace(with_store(tmp_path, shared(names="f")), store=None if name is None else at(name))

    def at(name: str) -> Secret:
        return Secret(str(tmp_path / name))

    async def story() -> None:
        names = {"f"} if before is None else {"f", "a"}
        async with started(Service.server(config(before))) as far:
            for _ in range(2):
                assert not await far.reload(config(after))
                assert far.reloaded is not None
                assert (far.reloaded.applied, far.reloaded.restart) == (True, ("store",))
                assert {*users_of(far).users} == names
                assert far.config.store == config(before).store

    run(story())


def test_a_store_that_cannot_be_used_keeps_the_service_from_starting(tmp_path: Path) -> None:
    async def story() -> None:
        far = Service.server(with_store(tmp_path, shared()))
        with pytest.raises(ConfigError, match="store"):
            await far.start()
        await far.stop()

    run(story())


def test_a_definition_that_makes_no_sense_leaves_one_user_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "users.db"
    kept(path, lambda store: store.put("odd", '{"quota": []}'))
    kept(path, lambda store: write_user(store, stored("s")))

    async def story() -> None:
        async with started(Service.server(with_store(path, shared()))) as far, rig.target(rig.echo) as target:
            async with connected(far, "s") as near:
                assert await streams(near, target, b"hello") == b"hello"
            assert "odd" not in users_of(far).users

    run(story())
    assert "store: odd is left out: quota is a number of bytes" in caplog.text


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_reload_compares_users_beside_the_loop(
    is_stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands it would stand still: so the loop itself compares only those who are another."""
    count = 2 * follow.MANY
    definitions = {
        f"u{number}": {"password": base64.b64encode(number.to_bytes(16)).decode()} for number in range(count)
    }
    compared, compare = [0], UserConfig.__eq__

    def counted(one: UserConfig, other: object) -> bool:
        if threading.current_thread() is threading.main_thread():
            compared[0] += 1
        return compare(one, other)

    def read(note: str) -> Config:
        """Return what the file says, or the store."""
        users = [parse_user(name, {**members, "note": note * (name == "u7")}) for name, members in definitions.items()]
        if not is_stored:
            return Config(servers=(replace(server, users=tuple(users)),))
        store = SqliteStore(tmp_path / "users.db")
        store.open()
        for user in users if not store.users() else [users[7]]:
            write_user(store, user)
        store.close()
        return Config(servers=(server,), store=Secret(str(tmp_path / "users.db")))

    server = shared(names="")

    async def story() -> None:
        async with started(Service.server(read(""))) as far:
            monkeypatch.setattr(UserConfig, "__eq__", counted)
            assert not await far.reload(read("new"))
            monkeypatch.undo()
            (found,) = await users_of(far).rows("u7")
            assert found["note"] == "new"
            assert far.reloaded is not None
            assert "(users: u7 changed)" in far.reloaded.changed[0]
        assert compared[0] <= 10

    run(story())

"""Subscriptions: servers come, change and stay, whatever their server does."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from shadesocks.config.model import Config, OnlineConfig, ServerConfig
from shadesocks.core.secret import Secret
from shadesocks.service.subscriptions.subscription import JITTER, NOTES_MAX, RETRY_FIRST, Source, Subscriptions
from tests.certificates import Authority
from tests.document_server import Answer, DocumentServer, answer, document_server

if TYPE_CHECKING:
    from shadesocks.service.subscriptions.passage import Passage

PASSWORD = "mVt5-kd93Qpz_0Lr2xWc"


def server(port: int, **more: object) -> dict[str, object]:
    keys = {"id": str(port), "remarks": f"s{port}", "server": "h.example", "server_port": port, "password": PASSWORD}
    return {**keys, "method": "aes-256-gcm", **more}


def document(*ports: int, etag: str = "", **more: object) -> bytes:
    text = json.dumps({"version": 1, "servers": [server(port) for port in ports], **more})
    return answer(text, ETag=etag) if etag else answer(text)


def ports(servers: tuple[ServerConfig, ...]) -> list[int]:
    return [each.address.port for each in servers]


class Told:
    """Hears of servers."""

    def __init__(self) -> None:
        self.all: list[list[int]] = []
        self.came = asyncio.Event()

    def take(self, servers: tuple[ServerConfig, ...]) -> None:
        self.all.append(ports(servers))
        self.came.set()

    async def next(self) -> list[int]:
        async with asyncio.timeout(20):
            await self.came.wait()
        self.came.clear()
        return self.all[-1]


def config_of(*urls: str, **more: Any) -> Config:
    return Config(online=OnlineConfig(tuple(map(Secret, urls)), **more))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what subscriptions warned of; a loop in debug mode has warnings of its own on a busy machine."""
    mine = [record for record in caplog.records if record.name == "shadesocks.service.subscriptions.subscription"]
    return [record.getMessage() for record in mine if record.levelno == logging.WARNING]


Story = Callable[[DocumentServer, Source, Told], Awaitable[None]]


def with_source(story: Story, *answers: Answer, directory: Path | None = None, limit: float = 20) -> None:
    """Run a story of one source that is fetched when the story says so."""

    async def run() -> None:
        async with document_server(*answers) as documents:
            told = Told()
            config = config_of(documents.url())
            subscriptions = Subscriptions(config, told.take, str(directory) if directory else None, limit=limit)
            (source,) = subscriptions.sources
            await story(documents, source, told)

    asyncio.run(run())


def with_subscriptions(
    story: Callable[[DocumentServer, Subscriptions, Told], Awaitable[None]],
    *answers: Answer,
    directory: Path | None = None,
    limit: float = 20,
) -> None:
    """Run a story of subscriptions that were started."""

    async def run() -> None:
        async with document_server(*answers) as documents:
            told = Told()
            config = config_of(documents.url())
            subscriptions = Subscriptions(config, told.take, str(directory) if directory else None, limit=limit)
            subscriptions.start()
            try:
                await story(documents, subscriptions, told)
            finally:
                await subscriptions.close()

    asyncio.run(run())


# One fetch


def test_servers_come_and_change() -> None:
    async def story(_documents: DocumentServer, source: Source, told: Told) -> None:
        assert await source.fetch()
        assert await source.fetch()
        assert await source.fetch()
        assert told.all == [[1, 2], [2, 3]], "no word where nothing changed"
        assert [each.id for each in source.servers] == ["2", "3"]

    with_source(story, document(1, 2), document(1, 2), document(2, 3))


def test_an_etag_saves_the_document() -> None:
    async def story(documents: DocumentServer, source: Source, told: Told) -> None:
        assert await source.fetch()
        assert await source.fetch()
        assert [heard.get("if-none-match") for heard in documents.heard] == [None, '"a"']
        assert (told.all, ports(source.servers)) == ([[1]], [1])

    with_source(story, document(1, etag='"a"'), answer(status=304))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (answer(status=500), "the server answers 500"),
        (answer("<html>", Content_Type="text/html"), "a web page came in its place"),
        (answer("hello"), "it is neither a document of SIP008"),
        (answer("x" * (1 << 21)), "it is larger than"),
        (answer(status=302, Location="http://h.example/"), "it is redirected to a place that is not https://"),
        (document(1, version=2), "its version is not 1"),
        (answer(json.dumps({"version": 1, "servers": [server(1, method="rot13")]})), "none of its servers can be used"),
        (answer(json.dumps({"version": 1, "servers": [server(1, password="")]})), "none of its servers can be used"),
        (answer(json.dumps({"version": 1, "servers": [server(1, plugin="x")]})), "none of its servers can be used"),
    ],
)
def test_a_failure_changes_nothing(bad: bytes, why: str, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async def story(documents: DocumentServer, source: Source, told: Told) -> None:
        assert not await source.fetch()
        assert not await source.fetch()
        assert source.failure.startswith(why)
        assert "it has brought no server yet" in caplog.text
        assert await source.fetch()
        assert source.failure == ""
        assert not await source.fetch()
        assert ports(source.servers) == [1, 2]
        assert told.all == [[1, 2]]
        assert "its servers serve on" in caplog.text
        assert "if-none-match" not in documents.heard[1], "an ETag of what was not taken would keep it out for ever"
        again = Subscriptions(config_of(documents.url()), told.take, str(tmp_path)).sources[0]
        again.recall()
        assert ports(again.servers) == [1, 2], "the copy is the last good one"

    with_source(story, bad, bad, document(1, 2), bad, directory=tmp_path)
    assert sum(record.getMessage().endswith("it has brought no server yet") for record in caplog.records) == 1
    assert "secret" not in caplog.text
    assert PASSWORD not in caplog.text


def test_a_slow_server_is_a_failure() -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def story(_documents: DocumentServer, source: Source, _told: Told) -> None:
        assert not await source.fetch()
        assert source.failure == "it took more than 0.2 s"

    with_source(story, silence, limit=0.2)


def test_a_first_document_without_servers_is_told_as_well() -> None:
    async def story(_documents: DocumentServer, source: Source, told: Told) -> None:
        assert await source.fetch()
        assert await source.fetch()
        assert told.all == [[]]

    with_source(story, document())


def test_servers_that_are_gone_are_gone() -> None:
    async def story(_documents: DocumentServer, source: Source, told: Told) -> None:
        await source.fetch()
        assert await source.fetch()
        assert told.all == [[1], []]

    with_source(story, document(1), document())


def test_a_bad_server_costs_no_other_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    entries = [server(1, method="rot13"), server(2), server(3, method="rc4-md5", remarks="old")]
    said = answer(json.dumps({"version": 1, "servers": entries}))

    async def story(_documents: DocumentServer, source: Source, told: Told) -> None:
        await source.fetch()
        await source.fetch()
        assert told.all == [[2]]

    with_source(story, said)
    lines = warnings(caplog)
    assert len(lines) == 2
    assert "servers[0]: this server is left out: its method is none of the Shadowsocks family" in lines[0]
    assert "servers[1] (old): this server is left out: method: " in lines[1]


def test_of_many_bad_servers_some_are_told(caplog: pytest.LogCaptureFixture) -> None:
    entries = [server(port, method=f"rot{port}") for port in range(1, 100)] + [server(100)]

    async def story(_documents: DocumentServer, source: Source, _told: Told) -> None:
        await source.fetch()

    with_source(story, answer(json.dumps({"version": 1, "servers": entries})))
    lines = warnings(caplog)
    assert len(lines) == NOTES_MAX + 1
    assert lines[-1].endswith(f"and {99 - NOTES_MAX} more like these")


@pytest.mark.parametrize("name", ["obfs-local", "/usr/bin/obfs-local"])
def test_a_plugin_needs_leave(name: str) -> None:
    said = answer(json.dumps({"version": 1, "servers": [server(1, plugin=name), server(2)]}))

    async def run(allowed: tuple[str, ...]) -> list[int]:
        async with document_server(said) as documents:
            config = config_of(documents.url(), allowed_plugins=allowed)
            source = Subscriptions(config, Told().take).sources[0]
            await source.fetch()
            return ports(source.servers)

    assert asyncio.run(run(())) == [2]
    assert asyncio.run(run(("obfs", "local", "/usr/bin"))) == [2]
    assert asyncio.run(run((name,))) == [1, 2]


# A life


def test_a_start_waits_for_nothing_and_the_kept_copy_serves(tmp_path: Path) -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def run() -> None:
        async with document_server(document(1, 2, etag='"a"'), silence) as documents:
            config, told = config_of(documents.url()), Told()
            first = Subscriptions(config, told.take, str(tmp_path))
            assert await first.sources[0].fetch()
            assert told.all == [[1, 2]]
            documents.asked.clear()

            again = Subscriptions(config, told.take, str(tmp_path))
            again.start()
            assert ports(again.servers) == [1, 2]
            assert told.all == [[1, 2], [1, 2]], "they are there before anything was asked"
            await documents.asked.wait()
            assert documents.heard[-1]["if-none-match"] == '"a"'
            await again.close()

    asyncio.run(run())


def test_a_kept_copy_is_judged_by_the_config_of_today(tmp_path: Path) -> None:
    said = answer(json.dumps({"version": 1, "servers": [server(1, plugin="p"), server(2)]}))

    async def run() -> None:
        async with document_server(said, answer(status=500)) as documents:
            config = config_of(documents.url(), allowed_plugins=("p",))
            source = Subscriptions(config, Told().take, str(tmp_path)).sources[0]
            assert await source.fetch()
            assert ports(source.servers) == [1, 2]
            source = Subscriptions(config_of(documents.url()), Told().take, str(tmp_path)).sources[0]
            source.recall()
            assert ports(source.servers) == [2]

    asyncio.run(run())


def test_a_copy_that_is_of_no_use_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(documents: DocumentServer, source: Source, told: Told) -> None:
        assert await source.fetch()
        none = Subscriptions(config_of(documents.url()), told.take, str(tmp_path))
        path = source._copy.path
        assert path is not None
        path.write_text(json.dumps({"format": 1, "document": "hello"}))
        none.sources[0].recall()
        assert none.servers == ()
        assert "the kept copy is of no use" in caplog.text

    with_source(story, document(1), directory=tmp_path)


def test_who_asks_again_is_answered_at_once() -> None:
    async def story(_documents: DocumentServer, subscriptions: Subscriptions, told: Told) -> None:
        assert await told.next() == [1]
        subscriptions.refresh()
        assert await told.next() == [2]

    with_subscriptions(story, document(1), document(2))


def test_after_a_failure_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadesocks.service.subscriptions.subscription.RETRY_FIRST", 0.01)

    async def story(documents: DocumentServer, _subscriptions: Subscriptions, told: Told) -> None:
        assert await told.next() == [1]
        assert len(documents.heard) == 3

    with_subscriptions(story, answer(status=503), answer(status=503), document(1))


def test_waits_grow_to_the_interval_and_differ() -> None:
    source = Subscriptions(config_of("https://h.example/", interval=600.0), Told().take).sources[0]
    for failures, wait in ((0, 600.0), (1, RETRY_FIRST), (2, 2 * RETRY_FIRST), (5, 16 * RETRY_FIRST), (10**6, 600.0)):
        waits = {source._rest(failures) for _ in range(50)}
        assert len(waits) > 1
        assert all(abs(each / wait - 1) <= JITTER / 2 for each in waits)


def test_an_error_of_ours_ends_no_subscription(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    async def story(_documents: DocumentServer, source: Source, _told: Told) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("shadesocks.service.subscriptions.subscription.read_document", fails)
            assert not await source.fetch()
        assert await source.fetch()

    with_source(story, document(1))
    assert "internal error: ZeroDivisionError()" in caplog.text


def test_an_error_of_who_takes_them_ends_none_either(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        told = Told()
        fails = True

        def take(servers: tuple[ServerConfig, ...]) -> None:
            if fails:
                raise ZeroDivisionError
            told.take(servers)

        async with document_server(document(1, etag='"a"')) as documents:
            source = Subscriptions(config_of(documents.url()), take, str(tmp_path)).sources[0]
            assert not await source.fetch()
            assert source.servers == ()
            fails = False
            assert await source.fetch()
            fails = True
            again = Subscriptions(config_of(documents.url()), take, str(tmp_path)).sources[0]
            again.recall()
            assert (again.servers, told.all) == ((), [[1]])

    asyncio.run(run())
    assert caplog.text.count("internal error: ZeroDivisionError()") == 2


def test_several_sources_are_one_list_and_fail_each_for_itself() -> None:
    async def run() -> None:
        async with document_server(document(1, 2)) as one, document_server(answer(status=500), document(2, 3)) as two:
            told = Told()
            subscriptions = Subscriptions(config_of(one.url(), two.url()), told.take)
            first, second = subscriptions.sources
            assert await first.fetch()
            assert not await second.fetch()
            assert ports(subscriptions.servers) == [1, 2]
            assert await second.fetch()
            assert told.all == [[1, 2], [1, 2, 3]]

    asyncio.run(run())


def test_over_tls() -> None:
    authority = Authority()

    async def run() -> None:
        async with document_server(document(1), context=authority.server(["127.0.0.1"])) as documents:
            config = config_of(documents.url())
            trusting = Subscriptions(config, Told().take, context=authority.client()).sources[0]
            assert await trusting.fetch()
            assert ports(trusting.servers) == [1]
            other = Subscriptions(config, Told().take, context=Authority().client()).sources[0]
            assert not await other.fetch()
            assert other.failure.startswith("its certificate cannot be trusted")

    asyncio.run(run())


def test_a_close_gives_up_what_is_under_way() -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def story(documents: DocumentServer, subscriptions: Subscriptions, _told: Told) -> None:
        await documents.asked.wait()
        await subscriptions.close()
        await subscriptions.close()

    with_subscriptions(story, silence)


def test_the_address_is_in_no_repr() -> None:
    config = config_of("https://h.example/hush-hush")
    assert "hush-hush" not in repr(config)
    assert "hush-hush" not in repr(replace(config, log_level="debug"))


# Another way


class OtherWay:
    """A passage that leads to a document server, whatever host is asked for."""

    def __init__(self, port: int, leads: bool = True) -> None:
        self._port = port
        self._leads = leads
        self.asked: list[str] = []

    def leads_to(self, host: str) -> bool:
        self.asked.append(host)
        return self._leads

    def connect(self, host: str, port: int) -> socket.socket:
        self.asked.append(f"{host}:{port}")
        return socket.create_connection(("127.0.0.1", self._port))


def with_other_way(
    story: Callable[[Source, OtherWay], Awaitable[None]], *answers: Answer, straight: Answer | None = None, **how: bool
) -> None:
    """Run a story of a source that is out of reach, or answers `straight`, but for another way."""

    async def run() -> None:
        async with document_server(*answers) as documents, document_server(straight or cut_off) as near:
            way = OtherWay(documents.port, **how)
            config = config_of(near.url())
            (source,) = Subscriptions(config, Told().take, passage=cast("Passage", way), limit=20).sources
            await story(source, way)

    asyncio.run(run())


async def cut_off(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def test_what_does_not_come_straight_comes_through_the_servers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story(source: Source, way: OtherWay) -> None:
        assert await source.fetch()
        assert ports(source.servers) == [1]
        assert await source.fetch()
        assert ports(source.servers) == [2]
        host, port = source.host.split(":")
        assert way.asked == [host, f"{host}:{port}"] * 2

    with_other_way(story, document(1), document(2))
    told = [record.getMessage() for record in caplog.records if "through the servers" in record.getMessage()]
    assert len(told) == 1, "once, and not again for the same reason"
    assert "it is fetched through the servers, since the straight way failed: " in told[0]


def test_where_no_way_leads_both_reasons_are_told(caplog: pytest.LogCaptureFixture) -> None:
    async def story(source: Source, _way: OtherWay) -> None:
        assert not await source.fetch()

    with_other_way(story, answer(status=500))
    (told,) = warnings(caplog)
    assert "; and through the servers: the server answers 500; it has brought no server yet" in told


@pytest.mark.parametrize("said", [answer(status=404), answer("<html>", Content_Type="text/html"), answer("hello")])
def test_an_answer_is_an_answer(said: bytes) -> None:
    async def story(source: Source, way: OtherWay) -> None:
        assert not await source.fetch()
        assert way.asked == []

    with_other_way(story, document(1), straight=said)


def test_nothing_goes_where_the_way_does_not_lead() -> None:
    async def story(source: Source, way: OtherWay) -> None:
        assert not await source.fetch()
        assert way.asked == [source.host.split(":")[0]]

    with_other_way(story, document(1), leads=False)

"""The page of counters: what is answered to whom, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shadesocks.cli.place import free_port
from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service import needs
from shadesocks.service.metrics import page as file
from shadesocks.service.metrics.page import CLIENTS_MOST, HEAD_MOST, MetricsPage
from shadesocks.service.service import Service

from ..rig import HOST, run, server_config, started, until

CONFIG = Config(servers=(server_config(),))


@asynccontextmanager
async def opened() -> AsyncIterator[MetricsPage]:
    async with started(Service.server(CONFIG)) as service:
        page = MetricsPage(Address(HOST, free_port()), service)
        await page.open()
        try:
            yield page
        finally:
            await page.close()
            await page.close()


async def asked(page: MetricsPage, *pieces: bytes) -> tuple[str, bytes]:
    """Send a request, and return the status and the body of the answer."""
    reader, writer = await asyncio.open_connection(HOST, page.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        answer = await reader.read()
    except ConnectionError:
        return "", b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body


def test_prometheus_can_read_it() -> None:
    async def story() -> None:
        async with opened() as page:
            head, body = await asked(page, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
            assert head.startswith("HTTP/1.1 200 OK\r\n")
            assert "Content-Type: text/plain; version=" in head
            assert f"Content-Length: {len(body)}" in head
            names = {family.name for family in text_string_to_metric_families(body.decode())}
            assert {"ss_bytes", "ss_open_connections", "ss_event_loop_lag_seconds"} <= names

    run(story())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /metrics?x=1 HTTP/1.0\r\n\r\n", "200"),
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"\r\n\r\n", "400"),
        (b"\x16\x03\x01\x00\x05 x\r\n\r\n", "400"),
        (b"GET /metrics\r\n\r\n", "400"),
        (b"x" * (3 * HEAD_MOST), ""),
    ],
)
def test_what_is_no_question_for_it_is_answered_so(request_: bytes, status: str) -> None:
    async def story() -> None:
        async with opened() as page:
            head, body = await asked(page, request_)
            assert head.partition(" ")[2][:3] == status
            assert (status == "200") <= (not body), "a HEAD has no body"
            head, _ = await asked(page, *(bytes([byte]) for byte in b"GET /metrics HTTP/1.1\r\n\r\n"))
            assert " 200 " in head, "in whatever pieces"

    run(story())


def test_who_is_slow_or_one_too_many_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with opened() as page:
            held = [await asyncio.open_connection(HOST, page.port) for _ in range(CLIENTS_MOST)]
            await until(lambda: len(page._writers) == CLIENTS_MOST)
            assert await asked(page, b"GET /metrics HTTP/1.1\r\n\r\n") == ("", b"")
            for _, writer in held:
                writer.close()
            await until(lambda: not page._writers)
            monkeypatch.setattr(file, "LIMIT", 0.05)
            assert await asked(page, b"GET") == ("", b"")
            late = await asyncio.open_connection(HOST, page.port)
        late[1].close()

    run(story())


def test_a_place_that_is_taken_is_waited_for(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(file, "AGAIN", 0.01)

    async def story() -> None:
        async with opened() as first, started(Service.server(CONFIG)) as service:
            second = MetricsPage(Address(HOST, first.port), service)
            await second.open()
            assert not second.port
            await first.close()
            await until(lambda: bool(second.port))
            assert " 200 " in (await asked(second, b"GET /metrics HTTP/1.1\r\n\r\n"))[0]
            await second.close()

    run(story())
    assert caplog.text.count("cannot listen") == 1


def test_it_is_there_where_the_config_wants_it() -> None:
    async def story() -> None:
        async with started(Service.server(CONFIG)) as service:
            await MetricsPage(None, service).open()
            port = free_port()
            page = MetricsPage(Address(HOST, port), service)
            await page.open()
            reader, writer = await asyncio.open_connection(HOST, port)
            await page.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOST, port)
            writer.close()
            assert await _end(reader)

    run(story())


async def _end(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


def test_other_machines_may_read_it_where_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with started(Service.server(CONFIG)) as service:
            page = MetricsPage(Address("0.0.0.0", free_port()), service)
            with caplog.at_level(logging.WARNING):
                await page.open()
            await page.close()

    run(story())
    assert "can read the counters" in caplog.text


@pytest.mark.parametrize(
    ("host", "is_told"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False)]
    + [(host, True) for host in ("localhost.example.org", "127.example.org", "::1:2")],
)
def test_only_what_never_leaves_the_machine_goes_unsaid(
    host: str, is_told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def cannot(*_: object, **__: object) -> asyncio.Server:
        raise OSError("no such place")

    async def story() -> None:
        async with started(Service.server(CONFIG)) as service:
            monkeypatch.setattr(asyncio, "start_server", cannot)
            page = MetricsPage(Address(host, 9464), service)
            with caplog.at_level(logging.WARNING):
                await page.open()
            await page.close()

    run(story())
    assert ("can read the counters" in caplog.text) is is_told


def test_without_its_library_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda _name: None)

    async def story() -> None:
        with pytest.raises(ConfigError, match=r"pip install 'shadesocks\[metrics\]'"):
            await Service.server(replace(CONFIG, metrics=Address(HOST, 9))).start()
        async with started(Service.server(CONFIG)):
            pass

    run(story())

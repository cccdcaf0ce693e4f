"""Documents over HTTPS: verified, limited in time and size, and never named whole in what goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from shadesocks.service.subscriptions import download
from shadesocks.service.subscriptions.download import (
    REDIRECTS_MAX,
    SIZE_MAX,
    Download,
    DownloadError,
    Fetched,
    in_thread,
)
from tests.certificates import Authority
from tests.document_server import DocumentServer, answer, document_server

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def fetch(*answers: bytes | Connection, limit: float = 20, etag: str = "", modified: str = "") -> Fetched | None:
    """Fetch a document from a server of this machine."""

    async def story() -> Fetched | None:
        async with document_server(*answers) as server:
            return await Download(server.url(), etag, modified).run(limit)

    return asyncio.run(story())


def refusal(*answers: bytes | Connection, limit: float = 20) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(*answers, limit=limit)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


# What comes


def test_a_document() -> None:
    found = fetch(answer("{ö}", Content_Type="application/json; charset=utf-8", ETag='"a"', Last_Modified="then"))
    assert found == Fetched("{ö}", '"a"', "then")
    assert "ö" not in repr(found)


def test_what_it_asks() -> None:
    async def story() -> dict[str, str]:
        async with document_server(answer("x")) as server:
            await Download(server.url("/a%20b?c=d"), '"a"', "then").run()
            return server.heard[0]

    heard = asyncio.run(story())
    assert heard["path"] == "/a%20b?c=d"
    assert (heard["if-none-match"], heard["if-modified-since"]) == ('"a"', "then")
    assert heard["user-agent"] == "shadesocks"
    assert heard["host"].startswith("127.0.0.1:")


def test_nothing_new() -> None:
    assert fetch(answer(status=304), etag='"a"') is None
    assert fetch(answer(status=304), modified="then") is None
    assert refusal(answer(status=304)) == "the server answers 304"


def test_gzip() -> None:
    text = "x" * 100_000
    assert fetch(answer(gzip.compress(text.encode()), Content_Encoding="gzip")) == Fetched(text)


def test_a_document_by_the_default_type_of_php_is_one() -> None:
    assert fetch(answer("c3M6Ly8=", Content_Type="text/html; charset=UTF-8")) == Fetched("c3M6Ly8=")


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert fetch(answer(b"\xef\xbb\xbf{}")) == Fetched("{}")


def test_validators_that_cannot_be_sent_back_are_forgotten() -> None:
    assert fetch(answer("x", ETag="\xe9", Last_Modified="y" * 2000)) == Fetched("x")


# What does not


@pytest.mark.parametrize("status", [204, 206, 400, 401, 403, 404, 410, 500, 503])
def test_other_answers(status: int) -> None:
    assert refusal(answer("secret", status)) == f"the server answers {status}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer("<html>secret", Content_Type="text/html"), "a web page came in its place"),
        (answer("x", Content_Encoding="br"), "it is packed in a way that was not asked for"),
        (answer(b"\xff"), "it is not UTF-8"),
        (answer(b"no gzip", Content_Encoding="gzip"), "what came cannot be unpacked"),
        (answer(gzip.compress(b"x" * 99)[:-5], Content_Encoding="gzip"), "what came cannot be unpacked"),
        (b"secret\r\n\r\n", "what came is no answer of HTTP, or not all of one"),
        (b"", "what came is no answer of HTTP, or not all of one"),
        (answer(b"x" * 9)[:-1], "what came is no answer of HTTP, or not all of one"),
    ],
)
def test_what_is_no_document(said: bytes, why: str) -> None:
    assert refusal(said) == why


@pytest.mark.parametrize("packed", [False, True])
def test_too_large(packed: bool) -> None:
    most = b"x" * SIZE_MAX
    found = fetch(answer(gzip.compress(most), Content_Encoding="gzip") if packed else answer(most))
    assert found is not None
    assert len(found.text) == SIZE_MAX
    more = most + b"x"
    said = answer(gzip.compress(more * 8), Content_Encoding="gzip") if packed else answer(more)
    assert refusal(said) == "it is larger than 1 MiB, more than servers need"


def test_an_endless_answer_is_read_no_further() -> None:
    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Word\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    assert "larger than" in refusal(flood)


def test_a_slow_server_costs_the_limit_and_no_more() -> None:
    assert refusal(silence, limit=0.2) == "it took more than 0.2 s"

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Word\r\nContent-Length: 99\r\n\r\n")
        while True:  # always something, and never all of it
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert refusal(drip, limit=0.3) == "it took more than 0.3 s"


def test_a_server_that_greets_nobody() -> None:
    """A handshake of TLS that never comes is given up as well; no thread is left to wait for it."""

    async def story() -> None:
        async with document_server(silence) as server:
            url = server.url().replace("http:", "https:")
            with pytest.raises(DownloadError, match="it took more than"):
                await Download(url, context=Authority().client()).run(0.2)

    asyncio.run(story())
    for thread in threading.enumerate():
        if thread.name == "subscription":
            thread.join(5)
            assert not thread.is_alive()


def test_nobody_there() -> None:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{sock.getsockname()[1]}/secret"
        with pytest.raises(DownloadError, match=r"^the server cannot be reached: connection refused$"):
            asyncio.run(Download(url).run())


def test_who_waits_may_go() -> None:
    async def story() -> None:
        async with document_server(silence) as server:
            waiting = asyncio.create_task(Download(server.url()).run())
            await server.asked.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(story())


# Redirects


def redirect(to: str, status: int = 302) -> bytes:
    return answer(status=status, Location=to)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int) -> None:
    assert fetch(redirect("/other", status), answer("x")) == Fetched("x")


def test_few_of_them() -> None:
    assert fetch(*[redirect("/other")] * REDIRECTS_MAX, answer("x")) == Fetched("x")
    assert refusal(redirect("/other")) == f"it is redirected more than {REDIRECTS_MAX} times"


@pytest.mark.parametrize(
    "to",
    [
        *("http://h.example/secret", "file:///secret", "ftp://127.0.0.1/", "", "https://u:p@h/", "javascript:alert(1)"),
        *("https://[", "https://[::1", "https://h:99999/", "https://h:x/", "//[", "https://h/" + "a" * 5000),
    ],
)
def test_where_none_may_lead(to: str) -> None:
    assert refusal(redirect(to)) == "it is redirected to a place that is not https://"


def test_from_the_internet_into_a_private_network_never(monkeypatch: pytest.MonkeyPatch) -> None:
    places = iter((None, "loopback"))
    monkeypatch.setattr(download, "special", lambda _ip: next(places))

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as inside:
            inside.settimeout(20)
            ways = iter((download.straight, lambda _host, _port: socket.create_connection(inside.getsockname())))
            async with document_server(redirect("/other")) as server:
                with pytest.raises(DownloadError, match=r"^it is redirected from the Internet into a private network$"):
                    await Download(server.url(), connect=lambda host, port: next(ways)(host, port)).run()
            with inside.accept()[0] as visitor:
                assert visitor.recv(1) == b""  # not a word was said

    asyncio.run(story())


def test_from_https_to_http_never() -> None:
    authority = Authority()

    async def story() -> DocumentServer:
        async with document_server(answer("x")) as plain:
            context = authority.server(["127.0.0.1"])
            async with document_server(redirect(plain.url()), context=context) as server:
                with pytest.raises(DownloadError, match=r"^it is redirected to a place that is not https://$"):
                    await Download(server.url(), context=authority.client()).run()
            return plain

    assert asyncio.run(story()).heard == []


# Trust


def over_tls(names: list[str], client: ssl.SSLContext | None, authority: Authority) -> Fetched | None:
    async def story() -> Fetched | None:
        async with document_server(answer("x"), context=authority.server(names)) as server:
            return await Download(server.url(), context=client).run()

    return asyncio.run(story())


def test_a_certificate_that_fits() -> None:
    authority = Authority()
    assert over_tls(["127.0.0.1"], authority.client(), authority) == Fetched("x")


def test_certificates_that_do_not() -> None:
    authority = Authority()
    with pytest.raises(DownloadError, match=r"^its certificate cannot be trusted: .* '127\.0\.0\.1'"):
        over_tls(["other.example"], authority.client(), authority)
    for stranger in (Authority().client(), None):
        with pytest.raises(DownloadError, match=r"its certificate cannot be trusted: .* SSL_CERT_FILE names"):
            over_tls(["127.0.0.1"], stranger, authority)


def test_plain_http_on_the_port_of_tls() -> None:
    async def story() -> None:
        async with document_server(answer("x")) as server:
            with pytest.raises(DownloadError):
                await Download(server.url().replace("http:", "https:"), context=Authority().client()).run()

    asyncio.run(story())


# Threads


def test_what_a_thread_brings() -> None:
    async def story() -> None:
        assert await in_thread(lambda: 7) == 7
        with pytest.raises(KeyError):
            await in_thread(lambda: dict[str, int]()["x"])

    asyncio.run(story())

"""A web server for tests of subscriptions: it answers what it is told to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.listening import accept_no_more

Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""The bytes of an answer, or what is done with the connection in its place."""


def answer(body: bytes | str = b"", status: int = 200, **headers: str) -> bytes:
    """Return an answer of HTTP; `_` stands for `-` in the names of headers."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


@dataclass
class DocumentServer:
    """What it says, and what it heard."""

    port: int = 0
    scheme: str = "http"
    answers: list[Answer] = field(default_factory=list)
    """One for each request; the last one goes on."""
    heard: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request, in small letters; the path is `path`."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each request."""

    def url(self, path: str = "/secret") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            try:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
                self.heard.append(headers | {"path": lines[0].split()[1]})
                said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self.asked.set()
                if isinstance(said, bytes):
                    writer.write(said)
                    await writer.drain()
                else:
                    await said(reader, writer)
            finally:
                writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def document_server(*answers: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[DocumentServer]:
    """Serve documents on a port of this machine; over TLS with a context."""
    documents = DocumentServer(scheme="http" if context is None else "https", answers=list(answers))
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await documents.serve(reader, writer)
        except asyncio.CancelledError:  # which `asyncio` would tell the log of
            writer.transport.abort()
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    documents.port = server.sockets[0].getsockname()[1]
    try:
        yield documents
    finally:
        await accept_no_more(server)
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()

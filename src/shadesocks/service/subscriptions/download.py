"""One document over HTTPS, by the standard library, in a thread of its own.

    download = Download(url)          nothing is done yet
    found = await download.run(30)    what came, or None for "not modified"

The certificate is verified as the system says. Whoever serves the document may be slow, endless, or somebody else:
there is one time limit for all of it, one size limit for what is unpacked, and redirects lead to https:// only. The
address is a secret, and so is the document: no sentence made here holds more than the host.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import zlib
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from ...config.hosts import UnfitError
from ...config.urls import check_url
from ...core.errors import ShadesocksError
from ...net.origin import special

if TYPE_CHECKING:
    from collections.abc import Iterator

Result = TypeVar("Result")

TIME_LIMIT: Final = 30.0
"""Seconds for everything, from the look-up of the name to the last byte: as in shadowsocks-rust."""
SIZE_MAX: Final = 1 << 20
"""Bytes of a document, packed and unpacked: 3,000 servers of SIP008, or 10,000 links. Nobody serves as many, and a
client that is fed more is attacked."""
REDIRECTS_MAX: Final = 3
"""One for a host that moved, one for a path, one in reserve."""
STEP_LIMIT: Final = 10.0
"""Seconds for one step without an answer: connecting, or the next bytes."""
VALIDATOR_MAX: Final = 1024
"""Characters of an ETag; a hash and a time have below 100."""

_PIECE: Final = 1 << 16
_GZIP: Final = 16 + zlib.MAX_WBITS
_MOVED: Final = frozenset((301, 302, 303, 307, 308))
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_PAGES: Final = frozenset(("text/html", "application/xhtml+xml"))
"""What a login page, a hotel's network or an error of a shop looks like, where it begins with a tag: panels written in
PHP serve documents by its default type, which is the first of these."""
_AGENT: Final = "shadesocks"
"""Some panels choose the form of a document by it; a version would be of use to nobody."""


_UNKNOWN_ISSUER: Final = frozenset((18, 19, 20, 21))
"""X509_V_ERR_...: signed by itself, or by somebody who is not known here."""
_OWN_AUTHORITY: Final = " (an authority of your own goes into a file that SSL_CERT_FILE names)"
_ACCEPT: Final = "application/json, text/plain, */*"


class DownloadError(ShadesocksError):
    """The document did not come. The text is a clause for the log: "the server answers 404"."""

    code = "download"


class OutOfReachError(DownloadError):
    """It did not come for a reason that may lie on the way: another way may bring it."""


Connect = Callable[[str, int], socket.socket]
"""Returns a socket that leads to a host and a port, or raises OSError; called in a thread."""


def straight(host: str, port: int) -> socket.socket:
    """Connect as any program does."""
    return socket.create_connection((host, port), STEP_LIMIT)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document, and what to show its server the next time."""

    text: str = field(repr=False)
    etag: str = ""
    last_modified: str = ""


def in_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """Do something in a thread of its own, a daemon: one that hangs in the system's resolver holds up no exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def run() -> None:
        try:
            tell = partial(_succeed, done, work())
        except Exception as error:  # the top of a thread
            tell = partial(_fail, done, error)
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(tell)

    Thread(target=run, name="subscription", daemon=True).start()
    return done


def _succeed(done: asyncio.Future[Result], result: Result) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


class Download:
    """One attempt to fetch one document."""

    def __init__(
        self,
        url: str,
        etag: str = "",
        last_modified: str = "",
        context: ssl.SSLContext | None = None,
        connect: Connect | None = None,
    ) -> None:
        """Make one; `context` says whom to trust, by default whom the system trusts; `connect` is `straight`."""
        self._url = url
        self._connect = connect or straight
        self._validators = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        self._context = context
        # Guarded by the lock: what `abort` closes under the thread's hands.
        self._lock = Lock()
        self._sock: socket.socket | None = None
        self._aborted = False
        # The thread's alone.
        self._came_from_outside = False

    async def run(self, limit: float = TIME_LIMIT) -> Fetched | None:
        """Fetch it; None where it is as it was.

        Raises:
            DownloadError: it did not come.
        """
        try:
            async with asyncio.timeout(limit):
                return await in_thread(self._fetch)
        except TimeoutError:
            raise OutOfReachError(f"it took more than {limit:g} s") from None
        finally:
            self.abort()

    def abort(self) -> None:
        """End the thread's wait for the other end, if there is one."""
        with self._lock:
            self._aborted = True
            if self._sock is not None:
                with suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    # In the thread

    def _fetch(self) -> Fetched | None:
        url = self._url
        for _ in range(REDIRECTS_MAX + 1):
            try:
                # Both: of an answer that ends with its connection, the answer alone holds the socket.
                with closing(self._connection(url)) as connection, self._ask(connection, url) as response:
                    if response.status not in _MOVED:
                        return self._answer(response)
                    url = _follow(url, response.getheader("Location", ""))
            finally:
                self._release()
        raise DownloadError(f"it is redirected more than {REDIRECTS_MAX} times")

    def _answer(self, response: http.client.HTTPResponse) -> Fetched | None:
        if response.status == _NOT_MODIFIED and any(self._validators.values()):
            return None
        if response.status != _OK:
            raise DownloadError(f"the server answers {response.status}")
        return self._read(response)

    def _connection(self, url: str) -> http.client.HTTPConnection:
        """Connect; what can be shut down from elsewhere is there before the first byte is waited for."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
        connection = kind(host, parts.port, timeout=STEP_LIMIT)
        with _told():
            context = None if parts.scheme == "http" else self._context or ssl.create_default_context()
            sock = self._connect(host, parts.port or connection.default_port)
            try:
                self._check_place(sock)
                sock.settimeout(STEP_LIMIT)
                self._hold(sock)
                connection.sock = sock if context is None else context.wrap_socket(sock, server_hostname=host)
            except BaseException:
                sock.close()
                raise
        return connection

    def _check_place(self, sock: socket.socket) -> None:
        """Refuse a redirect from the Internet into this machine's own networks, whatever name leads there."""
        peer = sock.getpeername()
        if not isinstance(peer, tuple):  # a way through the servers, which refuse such places themselves
            return
        inside = special(peer[0].partition("%")[0]) is not None
        if inside and self._came_from_outside:
            raise DownloadError("it is redirected from the Internet into a private network")
        self._came_from_outside |= not inside

    def _hold(self, sock: socket.socket) -> None:
        with self._lock:
            if self._aborted:
                raise DownloadError("it was given up")
            self._sock = sock.dup()  # its number stays ours whatever TLS does to the other

    def _release(self) -> None:
        with self._lock:
            if self._sock is not None:
                self._sock.close()
                self._sock = None

    def _ask(self, connection: http.client.HTTPConnection, url: str) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": _AGENT, "Accept": _ACCEPT, "Accept-Encoding": "gzip", "Connection": "close"}
        headers |= {name: value for name, value in self._validators.items() if value}
        with _told():
            connection.request("GET", path, headers=headers)
            return connection.getresponse()

    def _read(self, response: http.client.HTTPResponse) -> Fetched:
        packing = response.getheader("Content-Encoding", "").strip().lower()
        if packing not in ("", "identity", "gzip", "x-gzip"):
            raise DownloadError("it is packed in a way that was not asked for")
        with _told():
            data = b"".join(_unpacked(response) if packing.endswith("gzip") else _limited(response))
        text = _text(data)
        if text is None:
            raise DownloadError("it is not UTF-8")
        if response.headers.get_content_type().lower() in _PAGES and text.lstrip().startswith("<"):
            raise DownloadError("a web page came in its place")
        return Fetched(text, _validator(response, "ETag"), _validator(response, "Last-Modified"))


@contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong on the way into a clause without addresses."""
    try:
        yield
    except DownloadError:
        raise
    except Exception as error:
        why = _why(error)
    else:
        return
    raise OutOfReachError(why) from None  # errors of libraries carry what they read


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        own = _OWN_AUTHORITY if error.verify_code in _UNKNOWN_ISSUER else ""
        return f"its certificate cannot be trusted: {error.verify_message.lower() or 'it is not verified'}{own}"
    if isinstance(error, ssl.SSLError):
        return "the server does not speak TLS as it should"
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, zlib.error):
        return "what came cannot be unpacked"
    if isinstance(error, http.client.HTTPException):
        return "what came is no answer of HTTP, or not all of one"
    if isinstance(error, OSError | UnicodeError):
        return f"the server cannot be reached: {(getattr(error, 'strerror', '') or type(error).__name__).lower()}"
    return f"an internal error: {type(error).__name__}"


def _follow(url: str, location: str) -> str:
    """Return where a redirect leads."""
    checked = ""
    with suppress(UnfitError, ValueError):  # the second: what looks like an address, and is none
        target = urljoin(url, location) if location else ""
        if urlsplit(target).scheme == "https" or url.startswith("http://"):
            checked = check_url(target)
    if not checked:
        raise DownloadError("it is redirected to a place that is not https://")
    return checked


def _limited(response: http.client.HTTPResponse) -> Iterator[bytes]:
    left = SIZE_MAX
    while piece := response.read1(_PIECE):
        left -= len(piece)
        if left < 0:
            raise _too_large()
        yield piece
    if response.length:  # the server promised more
        raise http.client.IncompleteRead(b"")


def _unpacked(response: http.client.HTTPResponse) -> Iterator[bytes]:
    unpack = zlib.decompressobj(_GZIP)
    left = SIZE_MAX
    for piece in _limited(response):
        while piece and not unpack.eof:
            data = unpack.decompress(piece, left + 1)
            left -= len(data)
            if left < 0:
                raise _too_large()
            yield data
            piece = unpack.unconsumed_tail
    if not unpack.eof:
        raise zlib.error("truncated")


def _too_large() -> DownloadError:
    return DownloadError(f"it is larger than {SIZE_MAX >> 20} MiB, more than servers need")


def _validator(response: http.client.HTTPResponse, name: str) -> str:
    value = response.getheader(name, "").strip()
    return value if len(value) <= VALIDATOR_MAX and value.isascii() and value.isprintable() else ""


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None

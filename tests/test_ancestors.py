"""Each old program that is here relays through itself, by every method it is listed with; --whole runs them all."""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.ancestors import ANCESTORS, missing, need, run_pair
from tests.echo import UdpTarget
from tests.interop.streams import digest
from tests.peers import HOST, need_curl
from tests.peers import whole as whole
from tests.socks_udp import associate

BODY: Final = bytes.fromhex(digest(7, 1)) * 8000
"""256 kB: many reads of every program, and no period of a power of two within its first chunks."""

TABLE: Final = [(name, method) for name, ancestor in ANCESTORS.items() for method in ancestor.methods]


class _Page(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        came = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(came)))
        self.end_headers()
        self.wfile.write(came[::-1])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[int]:
    """The port of a web server that answers what it is sent, backwards."""
    with http.server.HTTPServer((HOST, 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("name", "method"), TABLE)
def test_relays_with_itself(name: str, method: str, page: int, tmp_path: Path, whole: bool) -> None:
    """curl posts a page through it, and gets back what came: both directions, byte by byte."""
    ancestor = need(name)
    curl = need_curl()
    if not whole and method not in {ancestor.methods[0], ancestor.methods[-1]}:
        pytest.skip("sampled; --whole runs every method")
    (tmp_path / "body").write_bytes(BODY)
    with run_pair(name, method, tmp_path) as (_, near):
        proxy = f"socks5h://{HOST}:{near.port}"
        line = (curl, "-sS", "-m", "20", "-H", "Expect:", "-x", proxy, "--data-binary", f"@{tmp_path / 'body'}")
        done = subprocess.run(
            (*line, "-o", str(tmp_path / "answer"), f"http://{ancestor.target}:{page}/"),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{done.stderr}\n{near.log()[-2000:]}"
    assert (tmp_path / "answer").read_bytes() == BODY[::-1]


def _echo(sock, data, sender) -> None:  # type: ignore[no-untyped-def]
    sock.sendto(data, sender)


@pytest.mark.parametrize("name", [name for name, ancestor in ANCESTORS.items() if len(ancestor.udp) == 2])
def test_relays_datagrams_with_itself(name: str, tmp_path: Path) -> None:
    """A datagram goes through both of its ends and back."""
    ancestor = need(name)
    with (
        contextlib.closing(UdpTarget(_echo)) as target,
        run_pair(name, ancestor.methods[0], tmp_path) as (_, near),
        associate(near.address) as association,
    ):
        association.send(b"is anybody there?", target.address)
        assert association.receive() == (b"is anybody there?", target.address)


def test_says_why_one_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One sentence, with its name, its version and what to do."""
    for ancestor in ANCESTORS.values():
        missing.cache_clear()
        monkeypatch.setattr("tests.ancestors.os.access", lambda *_: False)
        reason = missing(ancestor.name)
        assert reason is not None
        assert reason.startswith(f"{ancestor.title} {ancestor.version} is not here: ")
        assert ancestor.remedy in reason
    missing.cache_clear()

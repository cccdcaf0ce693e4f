"""The stage of the list: our programs under their old names, a page, a name server, and the clients that people have.

Called by the tests of this folder. A program is started as the user of the old one started it: by its name, with its
file and its flags. What it is asked through it is what the original's suite asked: curl a page by name, dig a name.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any, Final

from tests.echo import DnsServer
from tests.interop.streams import digest
from tests.interop.test_dns import Forwarder, ask
from tests.peers import (
    HOST,
    ROOT,
    START_LIMIT,
    START_TRIES,
    Program,
    StartError,
    free_port,
    need_curl,
    need_tool,
    ports_of,
)
from tests.peers import start as start_program
from tests.socks_udp import Address

PAGE: Final = bytes.fromhex(digest(7, 1)) * 2_000
"""64,000 bytes, without a period of a power of two."""
_PORT_KEYS: Final = ("server_port", "local_port")
_SCRIPTS: Final = Path(sys.executable).parent


class Ports(dict[int, int]):
    """The ports that a file names, and the free ones that take their place."""

    def __missing__(self, old: int) -> int:
        new = free_port()
        while new in self.values():
            new = free_port()
        self[old] = new
        return new

    def in_file(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Return a file with its ports replaced, each of the type that it had."""
        return {
            key: self._of(value)
            if key in _PORT_KEYS
            else {self._of(port): password for port, password in value.items()}
            if key == "port_password"
            else value
            for key, value in keys.items()
        }

    def in_flags(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return flags with those in braces replaced."""
        return tuple(re.sub(r"\{(\d+)\}", lambda found: str(self[int(found[1])]), word) for word in words)

    def _of(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._of(item) for item in value]
        return str(self[int(value)]) if isinstance(value, str) else self[value]


def first_port(keys: Mapping[str, Any] | None, ports: Ports) -> int:
    """Return a port on which a server with this file listens."""
    if keys is None:
        return ports[8388]
    named = keys.get("port_password") or keys["server_port"]
    return int(named if isinstance(named, int | str) else next(iter(named)))


def command(name: str) -> tuple[str, ...]:
    """How our program is started by an old name."""
    script = _SCRIPTS / name
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-m", "shadesocks", "as", name)


def environment(folder: Path) -> dict[str, str]:
    """What a program is started with: these sources, and a home where nothing is."""
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(folder))
    return {**os.environ, **homes, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def ours(
    name: str, folder: Path, port: int, *words: str, keys: Mapping[str, Any] | None = None, udp: bool = True
) -> Iterator[Program]:
    """Run our program under an old name until the block ends; enters it once it listens on the port.

    One that wrote a traceback fails the test.
    """
    file: tuple[str, ...] = ()
    if keys is not None:
        path = folder / f"{name}-{port}.json"
        path.write_text(dumps(keys, indent=4))
        file = ("-c", str(path))
    with start_program((*command(name), *file, *words), port, folder, title=f"our-{name}", udp=udp) as program:
        yield program
    assert "Traceback (most recent call last)" not in program.log(), program.log()[-8000:]


@contextlib.contextmanager
def managing(folder: Path, port: int, *words: str, keys: Mapping[str, Any]) -> Iterator[Program]:
    """Run our server with a manager on a UDP port, and perhaps nothing else; enters once that is there."""
    path = folder / f"managed-{port}.json"
    path.write_text(dumps(keys, indent=4))
    line = (*command("ssserver"), "-c", str(path), *words)
    log = folder / f"managed-{port}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(folder),
        )
    program = Program("our-managed-ssserver", process, port, log)
    try:
        until(lambda: port in ports_of(process.pid, "udp") or not program.alive, "the manager")
        if not program.alive:
            raise StartError(program.log())
        yield program
    finally:
        program.stop()
    assert "Traceback (most recent call last)" not in program.log(), program.log()[-8000:]


def told(tool: socket.socket, manager: Address, command: bytes) -> bytes:
    """Return what a manager answers to a command; statistics that come between are no answer."""
    tool.sendto(command, manager)
    while (answer := tool.recvfrom(65_536)[0]).startswith(b"stat:"):
        pass
    return answer


def until(told: Callable[[], bool], what: str, limit: float = START_LIMIT) -> None:
    """Wait for something that another process does and tells nobody."""
    give_up_at = time.monotonic() + limit
    while not told():
        assert time.monotonic() < give_up_at, what
        time.sleep(0.01)


def retried(story: Callable[[], None]) -> None:
    """Run a story again where a port that was free was taken before the program had it."""
    for attempt in range(START_TRIES):
        try:
            return story()
        except StartError as error:
            if attempt + 1 == START_TRIES or not re.search("(?i)in use|EADDRINUSE", str(error)):
                raise
    return None


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self._answer(self.server.page)  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"]))[::-1])

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Web:
    """A web server on loopback: one page for who asks, and what was sent, backwards, for who posts."""

    def __init__(self, page: bytes = PAGE, tls: ssl.SSLContext | None = None) -> None:
        self._server = http.server.ThreadingHTTPServer((HOST, 0), _Handler)
        self._server.daemon_threads = False
        self.page = self._server.page = page  # type: ignore[attr-defined]
        self.asked: list[str] = []
        self._server.asked = self.asked  # type: ignore[attr-defined]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What curl did."""

    code: int
    body: bytes
    told: str

    @property
    def proxied(self) -> bool:
        """Whether a SOCKS proxy had a hand in it, as curl tells."""
        return "SOCKS5 request granted" in self.told


def fetch(port: int, url: str, *options: str) -> Fetched:
    """Ask for a page through the client on a port, the way the original's suite did."""
    line = (need_curl(), "-v", "-L", "--noproxy", "", "--socks5-hostname", f"{HOST}:{port}", "-m", "15", *options, url)
    done = subprocess.run(line, capture_output=True, check=False, timeout=60)
    return Fetched(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def see_page(near: Program, web: Web, *options: str, host: str = "localhost") -> None:
    """See that a page comes through a client."""
    got = fetch(near.port, f"{web.scheme}://{host}:{web.port}/", *options)
    assert got.code == 0, f"{got.told}\n{near.log()[-2000:]}"
    assert got.proxied, got.told
    assert got.body == web.page


def see_no_page(near: Program, web: Web) -> None:
    """See that none comes, and that nobody asked for it."""
    before = len(web.asked)
    got = fetch(near.port, f"{web.scheme}://localhost:{web.port}/")
    assert got.code != 0, "the page came"
    assert not got.body
    assert len(web.asked) == before


def see_name(near: Address, far: Program) -> None:
    """See that dig is answered through a client, by datagrams that went through both ends."""
    with DnsServer() as dns, Forwarder(near, dns.address) as forwarder:
        assert ask(need_tool("dig"), forwarder.address, "www.shade.test", "A") == DnsServer.ADDRESS
        assert forwarder.up >= 1
        assert forwarder.down >= 1
        _, source = dns.next()
        ports = {port for pid in processes_of(far) for port in ports_of(pid, "udp")}
        assert source[1] in ports, f"{source} is no socket of the server"


def processes_of(program: Program) -> list[int]:
    """Return a program's process and those that it forked."""
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    return [program.pid, *map(int, children.read_text().split() if children.exists() else ())]


def see_no_name(near: Address) -> None:
    """See that dig gets no answer, and the name server no question."""
    with DnsServer() as dns, Forwarder(near, dns.address) as forwarder:
        line = (f"@{HOST}", "-p", str(forwarder.address[1]), "+notcp", "+tries=1", "+time=1", "www.shade.test", "A")
        done = subprocess.run((need_tool("dig"), *line), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0, done.stdout
        assert forwarder.up == 1
        assert not forwarder.down
        dns.sock.sendto(b"\0" * 12 + b"\0\0\1\0\1", dns.address)  # a question of its own comes first, or alone
        assert dns.next()[1] == dns.address

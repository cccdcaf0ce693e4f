"""What the other old programs' own suites did, with ours at both ends and with theirs at one; see `suites.py`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.keys import evp_bytes_to_key
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.table import table_of
from tests.ancestors import ANCESTORS, need
from tests.config.dialects.samples import config_of, look, servers
from tests.echo import DnsServer
from tests.interop.streams import LIMIT
from tests.peers import HOST, Program, Role, ports_of
from tests.peers import start as start_program
from tests.socks_udp import unwrap, wrap
from tests.wire.codecs import shadow_of
from tests.wire.hearing import ServerHearing, say

from .crossed import NAMES, stand_in
from .stage import Ports, Web, command, retried, see_page, until
from .suites import (
    BENCHMARK_GETS,
    GO_AUTH,
    GO_FILES,
    GO_GETS,
    GO_LOCAL,
    GO_METHODS,
    GO_SERVER,
    NODE_FILES,
    ONE,
    OURS,
    PROCURATOR_LOCAL,
    PROCURATOR_LOCAL_UDP,
    PROCURATOR_SERVER,
    PROCURATOR_UDP,
    QUESTION,
    SUITES,
    Ends,
    Keys,
    Suite,
)

GO_CIPHERS = (*GO_METHODS, "aes-192-cfb", "aes-256-cfb", "aes-128-ctr", "rc4-md5-6", "chacha20-ietf")
"""What its script and the unit tests of both its versions name."""
LISTENS = "listening at"
TARGET = Address("target.example", 443)


def cells(test: str) -> list[Any]:
    """Return a test's lines, each with each who stands at the ends."""
    return [
        pytest.param(suite, ends, id=f"{suite.id}-{ends.id}")
        for suite in SUITES
        if suite.test == test
        for ends in suite.ends
    ]


@pytest.fixture
def _told(suite: Suite, ends: Ends, whole: bool, record_property: Any) -> None:
    """Tell the table which line this is; skip what is not sampled, and what is not here."""
    record_property("suite", (suite.id, ends.id))
    for name in (ends.server, ends.local):
        if name:
            need(name)
    if not whole and not (suite.sampled and ends == OURS):
        pytest.skip("sampled; make conformance runs every row")


@contextlib.contextmanager
def standing(
    name: str, role: Role, words: Sequence[str], port: int, folder: Path, *, theirs: bool = False
) -> Iterator[Program]:
    """Run a program of an old one's family by its words: the old one itself, or ours by its name."""
    base = ANCESTORS[name].base(role) if theirs else command(NAMES[name][role == "local"])
    with running((*base, *words), role, port, folder, theirs=theirs) as program:
        yield program


@contextlib.contextmanager
def with_file(name: str, role: Role, keys: Keys, port: int, folder: Path, *, theirs: bool = False) -> Iterator[Program]:
    """The same by a file."""
    whose = ANCESTORS[name] if theirs else stand_in(name)
    line = whose.command(whose, role, dict(keys), folder, ())
    with running(line, role, port, folder, theirs=theirs) as program:
        yield program


@contextlib.contextmanager
def running(line: Sequence[str], role: Role, port: int, folder: Path, *, theirs: bool) -> Iterator[Program]:
    """Run a command until the block ends; one of ours that wrote a traceback fails the test."""
    with start_program(line, port, folder, title=f"{'their' if theirs else 'our'}-{role}") as program:
        yield program
    assert theirs or "Traceback (most recent call last)" not in program.log(), program.log()[-8000:]


def says(program: Program, word: str, times: int = 1) -> None:
    """Wait until a program has said a word so often: what those suites, and their users' tools, waited for."""
    until(lambda: program.log().count(word) >= times or not program.alive, f"{program.name} says {word!r}")
    assert program.log().count(word) >= times, program.log()[-2000:]


# -- shadowsocks-go ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_go_script"))
def test_suite_go_script(suite: Suite, ends: Ends, tmp_path: Path) -> None:
    """Three pages by one method, the client with -A as for 1.1.5; beside Python's 2.8.2, which has none, without."""
    method = suite.id.removeprefix("go-script-")
    last = () if "python" in (ends.server, ends.local) else (GO_AUTH,)

    def story() -> None:
        ports = Ports()
        far_words = (*ports.in_flags(GO_SERVER), method)
        near_words = (*ports.in_flags(GO_LOCAL), method, *last)
        if ends.server == "python":
            far_words = ("--forbidden-ip=", *far_words)
        with (
            Web() as web,
            standing(ends.server or "go-1.1.5", "server", far_words, ports[8389], tmp_path, theirs=bool(ends.server)),
            standing(
                ends.local or "go-1.1.5", "local", near_words, ports[1090], tmp_path, theirs=bool(ends.local)
            ) as near,
        ):
            for _ in range(GO_GETS):
                see_page(near, web, "--socks5", f"{HOST}:{near.port}", host=HOST)
            assert len(web.asked) == GO_GETS

    retried(story)


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_go_unit_config"))
def test_suite_go_unit_config(suite: Suite, ends: Ends) -> None:
    """The five files, and what the tests asked of each; that one without a server crashes nothing."""
    one = config_of(GO_FILES["one server"], "local", "go")
    assert servers(one) == ["127.0.0.1:8388 barfoo!"]
    assert (one.servers[0].method.name, one.idle_timeout) == ("aes-128-cfb", 600)
    auth = config_of({**GO_FILES["one server"], "method": "aes-128-cfb-auth"}, "local", "go").servers[0]
    assert (auth.method.name, auth.one_time_auth) == ("aes-128-cfb", True)
    ports = config_of(GO_FILES["ports"], "server", "go").servers
    assert {server.address.port: server.password.reveal() for server in ports} == {8387: "foobar", 8388: "barfoo"}
    hosts = config_of(GO_FILES["list of hosts"], "local", "go").servers
    assert [server.address.host for server in hosts] == ["127.0.0.1", "127.0.1.1"]
    pairs = config_of(GO_FILES["list of servers"], "local", "go")
    assert servers(pairs) == ["127.0.0.1:8387 foobar", "127.0.0.1:8388 barfoo"]
    assert [server.method.name for server in pairs.servers] == ["aes-256-cfb", "aes-128-cfb"]
    assert len(config_of(GO_FILES["no server"], "server", "go").servers) == 1
    nobody = look(GO_FILES["no server"], "local", "go")
    assert nobody.config is None
    assert nobody.problems


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_go_unit_key"))
def test_suite_go_unit_key(suite: Suite, ends: Ends) -> None:
    """The key of 32 bytes that a password gives."""
    key = "3858f62230ac3c915f300c664312c63f568378529614d22ddb49237d2f60bfdf"
    assert evp_bytes_to_key(b"foobar", 32).hex() == key


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_go_unit_ciphers"))
def test_suite_go_unit_ciphers(suite: Suite, ends: Ends) -> None:
    """A text there and back, by two streams of one key."""
    text = b"a text that is longer than a block of any of these, and no multiple of one"
    for method in GO_CIPHERS:
        for _ in range(2):
            request, _ = request_of(method, text)
            hearing = ServerHearing(shadow_of(method))
            hearing.hears([request])
            assert (hearing.word, bytes(hearing.payload)) == ("", text), method


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_go_unit_ivs"))
def test_suite_go_unit_ivs(suite: Suite, ends: Ends) -> None:
    """A server's answer begins with an IV that is not its client's (its own had one for both until 2019)."""
    for method in GO_CIPHERS:
        size = METHODS[method].salt_size
        request, answer = request_of(method, b"ping")
        assert len(request) > size < len(answer), method
        assert request[:size] != answer[:size], method


def request_of(method: str, payload: bytes) -> tuple[bytes, bytes]:
    """Return what a client sends, and what a server answers."""
    sealer, _ = shadow_of(method).open_stream(TARGET, int, os.urandom)
    request = say(sealer, [payload])
    server = ServerHearing(shadow_of(method), random=os.urandom)
    server.feed(request)
    assert server.request is not None
    return request, say(server.request.sealer, [b"pong"])


# -- the Node version -------------------------------------------------------------------------------


def in_place(keys: Keys, ports: Ports) -> dict[str, Any]:
    """Return a file with free ports; those in braces stand behind hosts."""
    hosts = keys["server"]
    return {**ports.in_file(keys), "server": list(ports.in_flags(hosts)) if isinstance(hosts, list) else hosts}


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_node_file"))
def test_suite_node_file(suite: Suite, ends: Ends, tmp_path: Path) -> None:
    """A page through each; where a client chooses at random, so many that each server has most likely served one."""
    file = NODE_FILES[suite.id.removeprefix("node-")]

    def story() -> None:
        ports = Ports()
        far_keys = in_place(file.server, ports)
        first = int(next(iter(far_keys.get("port_password", ())), far_keys["server_port"]))
        with Web() as web, with_file("node", "server", far_keys, first, tmp_path, theirs=bool(ends.server)) as far:
            says(far, f"server {LISTENS}", file.listeners)
            for keys in file.clients:
                near_keys = in_place(keys, ports)
                port = near_keys["local_port"]
                with with_file("node", "local", near_keys, port, tmp_path, theirs=bool(ends.local)) as near:
                    for _ in range(file.gets):
                        see_page(near, web)
            assert len(web.asked) == file.gets * len(file.clients)

    retried(story)


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_node_benchmark"))
def test_suite_node_benchmark(suite: Suite, ends: Ends, tmp_path: Path) -> None:
    """Ten pages, one after another; how fast: `make bench`."""

    def story() -> None:
        with Web() as web, beside_their_file("node", ends, tmp_path) as near:
            for _ in range(BENCHMARK_GETS):
                see_page(near, web)
            assert len(web.asked) == BENCHMARK_GETS

    retried(story)


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_node_tables"))
def test_suite_node_tables(suite: Suite, ends: Ends) -> None:
    """How both tables begin and end."""
    sealed, opened = table_of(b"foobar!")
    assert (*sealed[:4], *sealed[-4:]) == (60, 53, 84, 138, 188, 193, 249, 252)
    assert (*opened[:4], *opened[-4:]) == (151, 205, 99, 127, 255, 120, 75, 16)


@contextlib.contextmanager
def beside_their_file(name: str, ends: Ends, folder: Path) -> Iterator[Program]:
    """Run both ends by no word at all: they find config.json where they are started. Enters once both listen.

    The client is started first, as those suites did. Lite's own needs a ping to choose its server by, so it is given
    the same file by name.
    """
    ports = Ports()
    keys = {**in_place(ONE, ports), "local_address": HOST}
    (folder / "config.json").write_text(json.dumps(keys))

    def end(role: Role, theirs: bool) -> contextlib.AbstractContextManager[Program]:
        port = keys["local_port" if role == "local" else "server_port"]
        if theirs and name == "lite":
            return with_file(name, role, keys, port, folder, theirs=True)
        return standing(name, role, (), port, folder, theirs=theirs)

    with end("local", bool(ends.local)) as near, end("server", bool(ends.server)) as far:
        says(near, LISTENS)
        says(far, LISTENS)
        yield near


# -- procurator -------------------------------------------------------------------------------------


@contextlib.contextmanager
def procurators(ends: Ends, ports: Ports, folder: Path, *more: str) -> Iterator[tuple[Program, Program]]:
    """Run both ends and wait for their word. The suite's client came first; theirs needs its server at once."""
    words = {"server": PROCURATOR_SERVER, "local": (*PROCURATOR_LOCAL, *more)}
    if more:
        words["server"] += PROCURATOR_UDP
    at = {"server": ports[8838], "local": ports[8080]}
    order: tuple[Role, Role] = ("server", "local") if ends.local else ("local", "server")
    theirs: Mapping[str, bool] = {"server": bool(ends.server), "local": bool(ends.local)}
    with contextlib.ExitStack() as stack:
        programs = {
            role: stack.enter_context(
                standing("procurator", role, ports.in_flags(words[role]), at[role], folder, theirs=theirs[role])
            )
            for role in order
        }
        for program in programs.values():
            says(program, "started")
        yield programs["server"], programs["local"]


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_procurator_curl"))
def test_suite_procurator_curl(suite: Suite, ends: Ends, tmp_path: Path) -> None:
    """A page by name: its server cuts a byte off what comes behind an IPv4 address."""

    def story() -> None:
        with Web() as web, procurators(ends, Ports(), tmp_path) as (_, near):
            see_page(near, web)

    retried(story)


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_procurator_udp"))
def test_suite_procurator_udp(suite: Suite, ends: Ends, tmp_path: Path) -> None:
    """The question with SOCKS's header before it, as theirs had it, and bare to a port with one target; then a page."""

    def story() -> None:
        for bare in (False, True):
            ports = Ports()
            with contextlib.ExitStack() as stack:
                web, dns = stack.enter_context(Web()), stack.enter_context(DnsServer())
                words = (*PROCURATOR_LOCAL_UDP, "--udp-target-host", HOST, "--udp-target-port", str(dns.address[1]))
                pair = procurators(ends, ports, tmp_path, *(words if bare else PROCURATOR_LOCAL_UDP))
                far, near = stack.enter_context(pair)
                until(lambda near=near, port=ports[8081]: port in ports_of(near.pid, "udp"), "its port")  # type: ignore[misc]
                sock = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                sock.settimeout(LIMIT)
                sock.connect((HOST, ports[8081]))
                sock.send(QUESTION if bare else wrap(QUESTION, dns.address))
                answer = sock.recv(65_536)
                if not bare:
                    answer, sender = unwrap(answer)
                    assert sender == dns.address
                assert (answer[:2], answer[-4:]) == (QUESTION[:2], socket.inet_aton(DnsServer.ADDRESS))
                question, source = dns.next()
                assert question == QUESTION
                assert source[1] in ports_of(far.pid, "udp")
                see_page(near, web)

    retried(story)


# -- shadowsocks-lite -------------------------------------------------------------------------------


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("suite", "ends"), cells("test_suite_lite_proxy"))
def test_suite_lite_proxy(suite: Suite, ends: Ends, tmp_path: Path) -> None:
    """A page."""

    def story() -> None:
        with Web() as web, beside_their_file("lite", ends, tmp_path) as near:
            see_page(near, web)

    retried(story)

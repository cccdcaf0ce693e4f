"""The lines that tools matched, from services that were started for it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.service import pulses
from shadesocks.service.service import Service
from shadesocks.service.voices import line_start, plain

from .rig import HOST, echo, pair, run, server_config, socks, started, target, until
from .written import Write, Written
from .written import written as written

BOTH = Mode.TCP_AND_UDP
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
FAIL2BAN = re.compile(r"^\s+ERROR\s+can not parse header when handling connection from (?P<host>\S+):\d+$")
"""Its `failregex`, with what it makes of <HOST>; it is matched with what is left of a line without its date."""


def autoban(line: str) -> str | None:
    """Return whom the old ban script would count a line against."""
    if "can not parse header when" not in line:
        return None
    host = line.split()[-1].rsplit(":", 1)[0]
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return None
    return host


async def has(log: Written, text: str) -> None:
    await until(lambda: text in log.text)


@contextmanager
def probe(to: Address, data: bytes) -> Iterator[Address]:
    """Send what is no handshake, and stay; where it comes from."""
    with socket.create_connection((to.host, to.port)) as sock:
        sock.sendall(data)
        yield Address(*sock.getsockname())


async def leave(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and see it closed."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def there_and_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """See that the echo is there."""
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"


# -- Python -------------------------------------------------------------------------------------


def test_python_tells_its_life(written: Write) -> None:
    log = written("python", "debug", with_time=False)

    ports = []

    async def story() -> None:
        config = Config(log_style="python", log_without_time=True, servers=(replace(server_config(), mode=BOTH),))
        async with started(Service.server(config)) as far:
            ports.append(far.addresses[0].port)

    run(story())
    port = ports[0]
    assert log.lines == [
        "DEBUG    using event model: epoll",
        f"INFO     starting server at 127.0.0.1:{port}",
        f"INFO     closed TCP port {port}",
        "INFO     stopping",
        f"INFO     closed UDP port {port}",
    ]


def test_python_names_the_host_as_it_was_written(written: Write) -> None:
    log = written("python")

    async def story() -> None:
        config = Config(log_style="python", locals=(LocalConfig(Address("localhost", 0)),), servers=(server_config(),))
        async with started(Service.local(config)) as near:
            port = near.addresses[0].port
            assert re.fullmatch(rf"{TIME} INFO     starting local at localhost:{port}", log.lines[0])

    run(story())


def test_python_tells_of_requests_before_they_are_dialled(written: Write) -> None:
    log = written("python")

    async def story() -> None:
        async with target(echo) as to, pair(Config(log_style="python"), server_config()) as (_, near):
            reader, writer, _ = await socks(near, to)
            await there_and_back(reader, writer)
            client = Address(*writer.get_extra_info("sockname"))
            await has(log, f" INFO     connecting {to} from {client}\n")
            await until(lambda: len([line for line in log.lines if f" connecting {to} from " in line]) == 2)
            await leave(writer)
        assert not any(" up " in line for line in log.lines), "the lines of our own journal are not written"

    run(story())


@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm", "aes-256-cfb"])
def test_ban_tools_find_a_probe_while_it_meets_silence(method: str, written: Write) -> None:
    log = written("python", "error")

    async def story() -> None:
        config = Config(log_style="python", servers=(server_config(method),))
        async with started(Service.server(config)) as far:
            with ExitStack() as probes:  # a stream cipher takes one in 80 for a header
                clients = [probes.enter_context(probe(far.addresses[0], b"\xff" * 700)) for _ in range(4)]
                await has(log, "can not parse")
                line = next(line for line in log.lines if "can not parse" in line)
                assert re.match(TIME, line)
                found = FAIL2BAN.match(line[19:])
                assert found is not None
                assert found["host"] == autoban(line) == HOST
                assert line.rpartition(" ")[2] in map(str, clients)
                assert not far.journal.reasons, "they are strangers still"

    run(story())


def test_an_address_type_that_is_none_is_named(written: Write) -> None:
    log = written("python", with_time=False)

    async def story() -> None:
        config = Config(log_style="python", log_without_time=True, servers=(server_config("none"),))
        async with started(Service.server(config)) as far:
            with probe(far.addresses[0], b"GET / HTTP/1.0\r\n\r\n") as client:
                await has(log, "can not parse")
                assert log.lines[-2:] == [
                    "WARNING  unsupported addrtype 71, maybe wrong password or encryption method",
                    f"ERROR    can not parse header when handling connection from {client}",
                ]

    run(story())


def test_python_tells_what_it_cannot_or_may_not_dial(written: Write) -> None:
    log = written("python", with_time=False)

    async def story() -> None:
        config = Config(log_style="python", log_without_time=True, servers=(server_config(),))
        with socket.socket() as closed:
            closed.bind((HOST, 0))
            async with pair(config, server_config()) as (_, near):
                _, writer, _ = await socks(near, Address(*closed.getsockname()))
                await has(log, "ERROR    [Errno 111] Connection refused\n")
                await leave(writer)
        async with started(Service.server(config)) as far:
            there = replace(server_config(), address=far.addresses[0])
            local = Config(servers=(there,), locals=(LocalConfig(Address(HOST, 0)),))
            async with started(Service.local(local)) as near:
                _, writer, _ = await socks(near, Address("127.0.0.1", 1))
                await has(log, "ERROR    IP 127.0.0.1 is in forbidden list, reject\n")
                await leave(writer)

    run(story())


def test_whoever_says_nothing_times_out(written: Write) -> None:
    log = written("python")

    async def story() -> None:
        server = replace(server_config(), handshake_timeout=0.05)
        async with started(Service.server(Config(log_style="python", servers=(server,)))) as far:
            with probe(far.addresses[0], b""):
                await has(log, " WARNING  timed out\n")

    run(story())


def test_an_idle_relay_times_out_by_name(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written("python")
    monkeypatch.setattr("shadesocks.service.service.SWEEPS_PER_LOOK", 1)

    async def story() -> None:
        async with (
            target(echo) as to,
            pair(Config(log_style="python", idle_timeout=0.5), server_config()) as (_, near),
        ):
            reader, writer, _ = await socks(near, to)
            await there_and_back(reader, writer)
            await has(log, f" WARNING  timed out: {to}\n")
            await leave(writer)

    run(story())


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029", "\u202e"])
def test_no_name_forges_a_line(mark: str, written: Write) -> None:
    """Line ends and spaces of ASCII are no part of a name on the wire; these are, as UTF-8."""
    log = written("python")
    forged = f"x{mark}2026-01-01{mark}ERROR{mark}can{mark}not{mark}parse"

    async def story() -> None:
        async with pair(Config(log_style="python", log_targets=True), server_config()) as (_, near):
            _, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
            name = forged.encode()
            writer.write(b"\5\1\0\5\1\0\3" + bytes((len(name),)) + name + b"\0\x50")
            await has(log, "unknown hostname ")
            client = Address(*writer.get_extra_info("sockname"))
            said = [line for line in log.lines if "2026-01-01" in line]
            assert [line[20:] for line in said] == [
                f"INFO     connecting {plain(forged)}:80 from {client}",
                f"ERROR    unknown hostname {plain(forged)} when handling connection from {client}",
            ]
            assert mark not in log.text
            await leave(writer)

    run(story())


@pytest.mark.parametrize("bad", [b"a\nERROR b", b"a\x1b[2Jb", b"a\rb", b"a b", b"a\0b", b"a\x7fb"])
def test_a_name_with_controls_is_no_name(bad: bytes, written: Write) -> None:
    log = written("python")

    async def story() -> None:
        config = Config(log_style="python", servers=(server_config("none"),))
        async with started(Service.server(config)) as far:
            with probe(far.addresses[0], b"\3" + bytes((len(bad),)) + bad + b"\0\x50") as client:
                await has(log, f"can not parse header when handling connection from {client}\n")
                assert "connecting" not in log.text

    run(story())


def test_what_is_plain_stays_and_all_else_is_spelled() -> None:
    assert plain("example.com") == "example.com"
    assert plain("2001:db8::1%eth0") == "2001:db8::1%eth0"
    assert plain("bücher.example") == "bücher.example"
    assert plain("a\nb\x1b[2J \x85\u2028\U000e0001") == "a\\x0ab\\x1b[2J\\x20\\x85\\u2028\\U000e0001"


@pytest.mark.parametrize(
    ("level", "shown"), [("error", "e"), ("warning", "we"), ("info", "iwe"), ("debug", "diwe"), ("trace", "vdiwe")]
)
def test_each_level_of_python_shows_what_it_did(level: str, shown: str, written: Write) -> None:
    log = written("python", level, with_time=False)

    async def story() -> None:
        server = replace(server_config("none"), handshake_timeout=0.05)
        config = Config(log_style="python", log_without_time=True, servers=(server,))
        async with started(Service.server(config)) as far:
            with probe(far.addresses[0], b""), probe(far.addresses[0], b"\x07bad"):
                await has(log, "can not parse")
                await until(lambda: sum(far.journal.reasons.values()) == 2)
            far.journal.flush()
            for _ in range(pulses.INTERVAL):
                far.speaker.beat(far.journal)

    run(story())
    names = {"v": "VERBOSE  sweep", "d": "DEBUG    using", "i": "INFO     starting", "w": "WARNING  ", "e": "ERROR    "}
    for letter, begin in names.items():
        assert any(line.startswith(begin) for line in log.lines) == (letter in shown), begin


# -- go -----------------------------------------------------------------------------------------

GO_TIME = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"


def test_go_counts_its_clients(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "CLIENTS_STEP", 2)
    log = written("go")

    async def story() -> None:
        async with target(echo) as to, pair(Config(log_style="go"), server_config()) as (far, near):
            writers = []
            for _ in range(5):
                reader, writer, _ = await socks(near, to)
                await there_and_back(reader, writer)
                writers.append(writer)
            await has(log, " Number of client connections reaches 4\n")
            said = [line for line in log.lines if "Number" in line]
            assert re.fullmatch(rf"{GO_TIME} Number of client connections reaches 2", said[0])
            assert len(said) == 2
            for writer in writers:
                await leave(writer)
            await until(lambda: not far.journal.relays)
            port, there = near.addresses[0].port, far.addresses[0]
            assert re.fullmatch(rf"{GO_TIME} server listening port {there.port} \.\.\.", log.lines[0])
            assert re.fullmatch(rf"{GO_TIME} available remote server {there}", log.lines[1])
            assert re.fullmatch(rf"{GO_TIME} starting local socks5 server at 127.0.0.1:{port} \.\.\.", log.lines[2])

    run(story())


def test_go_writes_debug_lines_apart(written: Write) -> None:
    log = written("go", "debug")

    async def story() -> None:
        config = Config(log_style="go")
        with socket.socket() as closed:
            closed.bind((HOST, 0))
            to = Address(*closed.getsockname())
            async with pair(config, server_config()) as (far, near):
                _, writer, _ = await socks(near, to)
                await has(log, f" error connecting to: {to} the far end refused the connection\n")
                assert any(re.fullmatch(rf"\[DEBUG\] \d\d:\d\d:\d\d connecting {to}", line) for line in log.lines)
                await leave(writer)
                with probe(far.addresses[0], b"\0" * 700) as client:
                    await has(log, f" error getting request {client} the first bytes do not authenticate\n")

    run(story())


# -- lite and Node ------------------------------------------------------------------------------


def test_lite_tells_speed_and_connections(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "INTERVAL", 2)
    log = written("lite")
    size = 20 * 1024

    async def story() -> None:
        async with target(echo) as to, pair(Config(log_style="lite"), server_config()) as (far, near):
            assert log.lines[:2] == [
                f"server listening at {far.addresses[0]} ",
                f"local listening at {near.addresses[0]}",
            ]
            reader, writer, _ = await socks(near, to)
            writer.write(bytes(size))
            await reader.readexactly(size)
            await has(log, "\nconcurrent connections: 1\n")
            await until(lambda: len(re.findall(r"\n--> (\d+\.\d\d) KB/s", log.text)) > 2)
            speeds = [float(speed) for speed in re.findall(r"\n--> (\d+\.\d\d) KB/s", log.text)]
            assert sum(speeds) == pytest.approx(size / 2 / 1024)
            await leave(writer)
            await until(lambda: not far.journal.relays)
            await has(log, "\nconcurrent connections: 0\n")

    run(story())


def test_node_tells_its_memory_when_asked_to(written: Write) -> None:
    log = written("node", "debug")

    async def story() -> None:
        async with target(echo) as to, pair(Config(log_style="node"), server_config()) as (far, near):
            reader, writer, _ = await socks(near, to)
            await there_and_back(reader, writer)
            await has(log, f" connecting {to}\n")
            await has(log, "rss")
            line = next(line for line in log.lines if "rss" in line)
            found = re.fullmatch(r'\d\d? [A-Z][a-z]{2} \d\d:\d\d:\d\d - \d{1,3}ms \{ "rss": (\d+) \}', line)
            assert found is not None
            assert 1 << 20 < int(found[1]) < 1 << 40
            assert log.lines[0].endswith(f"ms server listening at {far.addresses[0]} ")
            await leave(writer)

    run(story())


def test_node_keeps_its_memory_to_itself(written: Write) -> None:
    log = written("node")

    async def story() -> None:
        async with started(Service.server(Config(log_style="node", servers=(server_config(),)))) as far:
            far.speaker.beat(far.journal)

    run(story())
    assert "rss" not in log.text


# -- procurator ---------------------------------------------------------------------------------


def test_procurator_says_that_it_started(written: Write) -> None:
    log = written("procurator", "debug")

    async def story() -> None:
        async with target(echo) as to, pair(Config(log_style="procurator"), server_config()) as (_, near):
            assert [line[25:] for line in log.lines[:2]] == ["started!", "started!"]
            reader, writer, _ = await socks(near, to)
            await there_and_back(reader, writer)
            await has(log, f" Connecting to: {to.host}\n")
            await leave(writer)

    run(story())


# -- how lines begin ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "level", "start"),
    [
        ("shadesocks", 30, "2001-02-03 04:05:06 WARNING "),
        ("python", 30, "2001-02-03 04:05:06 WARNING  "),
        ("python", 5, "2001-02-03 04:05:06 VERBOSE  "),
        ("python", 40, "2001-02-03 04:05:06 ERROR    "),
        ("go", 40, "2001/02/03 04:05:06 "),
        ("go", 10, "[DEBUG] 04:05:06 "),
        ("lite", 40, ""),
        ("node", 20, "3 Feb 04:05:06 - 250ms "),
        ("procurator", 20, "Sat Feb  3 04:05:06 2001 "),
    ],
)
def test_lines_begin_as_that_program_began_them(style: str, level: int, start: str) -> None:
    import time

    at = time.mktime((2001, 2, 3, 4, 5, 6, 0, 0, -1)) + 0.25
    assert line_start(style)(level, at, True) == start

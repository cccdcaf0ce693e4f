"""`shadesocks server` and `shadesocks local`, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shadesocks.cli import serve
from shadesocks.cli.exits import CONFIG, DIED, OK, USAGE
from shadesocks.cli.exits import run as run_here
from shadesocks.cli.place import free_port
from shadesocks.cli.programs import group
from shadesocks.config import Config, files
from tests import document_server as web
from tests.certificates import Authority
from tests.interop.streams import LIMIT
from tests.socks_udp import associate, request, udp_socket

from .programs import KEY, LINK, METHOD, Program, command, environment, run, running, socks_connect

COMMAND_NOT_SUPPORTED = 7
"""RFC 1928 §6."""


def write(path: Path, **keys: object) -> str:
    path.write_text(json.dumps(keys))
    return str(path)


def both_ends(tmp_path: Path, **more: object) -> str:
    """One config for either end."""
    return write(
        tmp_path / "both.json",
        server="127.0.0.1",
        server_port=free_port(),
        local_port=free_port(),
        method=METHOD,
        password=KEY,
        **more,
    )


def test_one_file_starts_either_end_and_bytes_go_through(tmp_path: Path) -> None:
    file = both_ends(tmp_path)
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        running(tmp_path, "server", "-c", file, "--allow-private") as server,
        running(tmp_path, "local", "-c", file) as local,
    ):
        server.until_err("listening on 127.0.0.1:")
        with socks_connect(local.port(), target.getsockname()[1]) as near:
            far, _ = target.accept()
            with far:
                near.sendall(b"question")
                assert far.recv(8, socket.MSG_WAITALL) == b"question"
                far.sendall(b"answer")
                assert near.recv(6, socket.MSG_WAITALL) == b"answer"
        assert local.until_err("up 8 down 6")
        for program in (server, local):
            assert program.end(signal.SIGTERM) == OK
            assert not [line for line in program.err if "WARNING" in line]
            assert program.out == []


@pytest.mark.parametrize("flag", ["-U", "-u"])
def test_flags_turn_udp_on_at_either_end(flag: str, tmp_path: Path) -> None:
    file = both_ends(tmp_path)
    with (
        udp_socket("127.0.0.1") as target,
        running(tmp_path, "server", "-c", file, "--allow-private", flag) as server,
        running(tmp_path, "local", "-c", file, flag) as local,
    ):
        server.until_err(" on 127.0.0.1:")
        proxy = ("127.0.0.1", local.port())
        with associate(proxy) as association:
            association.send(b"question", target.getsockname())
            target.settimeout(LIMIT)
            assert target.recvfrom(100)[0] == b"question"
        with socket.create_connection(proxy) as near:
            near.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x09")
            answer = near.recv(2, socket.MSG_WAITALL) + near.recv(10, socket.MSG_WAITALL)
        assert (answer[3] == COMMAND_NOT_SUPPORTED) == (flag == "-u")


def test_where_datagrams_come_in_and_what_is_answered_are_flags(tmp_path: Path) -> None:
    tcp, udp = free_port(), free_port()
    argv = ["-b", f"127.0.0.1:{tcp}", "-U", "--udp-bind-addr", f"127.0.0.1:{udp}", "--udp-associate-addr"]
    for given, answer in (("203.0.113.9", ("203.0.113.9", udp)), ("203.0.113.9:5", ("203.0.113.9", 5))):
        with running(tmp_path, "local", "--server-url", LINK, *argv, given) as local:
            local.until_err(f"127.0.0.1:{udp}")
            control, relay = request(("127.0.0.1", tcp))
            control.close()
        assert relay == answer


@pytest.mark.parametrize(
    ("prog", "keys", "required"),
    [
        ("sslocal", {}, False),
        ("sslocal", {"udp_require_association": True}, True),
        ("local", {}, True),
        ("local", {"udp_require_association": False}, False),
    ],
)
def test_the_old_name_asks_for_no_association(
    prog: str, keys: dict[str, object], required: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Config] = []

    def keep(config: Config, *_: object, **__: object) -> int:
        seen.append(config)
        return OK

    def leave_logs_alone(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(serve, "run_placed", keep)
    monkeypatch.setattr(serve, "set_up", leave_logs_alone)
    argv = ["-c", both_ends(tmp_path, mode="tcp_and_udp", **keys)]
    assert (
        run_here(*((serve.command_local, prog, argv) if prog == "sslocal" else (group, "shadesocks", [prog, *argv])))
        == OK
    )
    assert [local.udp_require_association for local in seen[0].locals] == [required]


@pytest.mark.parametrize(("dialect", "idle"), [(None, 86400.0), ("python", 300.0), ("node", 600.0), ("go", 300.0)])
def test_a_dialect_may_be_named(
    dialect: str | None, idle: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Config] = []

    def keep(config: Config, *_: object, **__: object) -> int:
        seen.append(config)
        return OK

    def leave_logs_alone(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(serve, "run_placed", keep)
    monkeypatch.setattr(serve, "set_up", leave_logs_alone)
    argv = ["local", "-c", both_ends(tmp_path), *(["--dialect", dialect] if dialect else [])]
    assert run_here(group, "shadesocks", argv) == OK
    assert seen[0].idle_timeout == idle


@pytest.mark.parametrize("prog", ["sslocal", "local"])
def test_a_config_may_be_read_again_in_any_thread(prog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it has many users it is: and no command is there."""
    seen: list[Config] = []

    def keep(config: Config, *_: object, reread: Callable[[], Config], **__: object) -> int:
        with ThreadPoolExecutor(1) as thread:
            seen.extend((config, thread.submit(reread).result()))
        return OK

    def leave_logs_alone(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(serve, "run_placed", keep)
    monkeypatch.setattr(serve, "set_up", leave_logs_alone)
    argv = ["-c", both_ends(tmp_path, mode="tcp_and_udp")]
    assert (
        run_here(*((serve.command_local, prog, argv) if prog == "sslocal" else (group, "shadesocks", [prog, *argv])))
        == OK
    )
    assert seen[0] == seen[1]


@pytest.mark.parametrize("end", ["server", "local"])
def test_libraries_are_no_longer_needed_but_may_be_named(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def keep(_config: Config, *_: object, **__: object) -> int:
        return OK

    def leave_logs_alone(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(serve, "run_placed", keep)
    monkeypatch.setattr(serve, "set_up", leave_logs_alone)
    argv = [end, "-c", both_ends(tmp_path)]
    for name in ("--libopenssl", "--libmbedtls", "--libsodium"):
        caplog.clear()
        assert run_here(group, "shadesocks", [*argv, name, os.devnull]) == OK
        assert f"{name}: is no longer needed: ciphers come with this program" in caplog.text
        assert run_here(group, "shadesocks", [*argv, name, "invalid_path"]) == USAGE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_0(number: int, tmp_path: Path) -> None:
    with running(tmp_path, "server", "-c", both_ends(tmp_path)) as server:
        server.port()
        assert server.end(number) == OK
        assert server.err[-1].endswith("INFO stopped")


def hold_a_connection(server: Program, local: Program, target: socket.socket) -> tuple[socket.socket, socket.socket]:
    server.port()
    near = socks_connect(local.port(), target.getsockname()[1])
    far, _ = target.accept()
    near.sendall(b"x")
    assert far.recv(1) == b"x"
    return near, far


def test_an_open_connection_may_end_by_itself(tmp_path: Path) -> None:
    file = both_ends(tmp_path, drain_timeout=60)
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        running(tmp_path, "server", "-c", file, "--allow-private") as server,
        running(tmp_path, "local", "-c", file) as local,
    ):
        near, far = hold_a_connection(server, local, target)
        with near, far:
            server.process.send_signal(signal.SIGTERM)
            assert "still open: 1, with 60 s" in server.until_err("stopping")
            far.sendall(b"still here")
            assert near.recv(10, socket.MSG_WAITALL) == b"still here"
        assert server.rest() == OK


def test_the_drain_has_a_limit(tmp_path: Path) -> None:
    file = both_ends(tmp_path)
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        running(tmp_path, "server", "-c", file, "--allow-private", "--drain-timeout", "0.1") as server,
        running(tmp_path, "local", "-c", file) as local,
    ):
        near, far = hold_a_connection(server, local, target)
        with near, far:
            assert server.end(signal.SIGTERM) == OK
            assert far.recv(1) == b""


def test_a_second_signal_quits_at_once(tmp_path: Path) -> None:
    file = both_ends(tmp_path, drain_timeout=3600)
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        running(tmp_path, "server", "-c", file, "--allow-private") as server,
        running(tmp_path, "local", "-c", file) as local,
    ):
        near, far = hold_a_connection(server, local, target)
        with near, far:
            server.process.send_signal(signal.SIGINT)
            server.until_err("stopping")
            assert server.end(signal.SIGINT) == 128 + signal.SIGINT


def test_a_second_instance_on_one_port_fails_clearly(tmp_path: Path) -> None:
    file = both_ends(tmp_path)
    with running(tmp_path, "server", "-c", file) as first:
        port = first.port()
        second = run(tmp_path, "server", "-c", file)
        assert second.returncode == DIED
        assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use" in second.stderr
        assert "another instance" in second.stderr


def test_nothing_is_half_started(tmp_path: Path) -> None:
    taken = free_port()
    file = write(
        tmp_path / "c.json",
        servers=[
            {"server": "127.0.0.1", "server_port": port, "method": METHOD, "password": KEY}
            for port in (free_port(), taken)
        ],
    )
    with socket.create_server(("127.0.0.1", taken)):
        done = run(tmp_path, "server", "-c", file)
    assert done.returncode == DIED
    assert "listening" not in done.stderr


def test_flags_alone_start_a_server(tmp_path: Path) -> None:
    with running(tmp_path, "server", "-s", f"127.0.0.1:{free_port()}", "-m", METHOD, "-k", KEY) as server:
        server.port()
        assert server.end(signal.SIGTERM) == OK


def test_a_link_starts_a_client(tmp_path: Path) -> None:
    with running(tmp_path, "local", "--server-url", LINK, "-b", f"127.0.0.1:{free_port()}") as local:
        local.port()
        assert local.end(signal.SIGTERM) == OK


def test_a_flag_goes_before_the_file(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, "local", "-c", both_ends(tmp_path), "-b", f"127.0.0.1:{port}") as local:
        assert local.port() == port


def test_the_password_may_come_from_the_environment(tmp_path: Path) -> None:
    with running(
        tmp_path, "server", "-s", f"127.0.0.1:{free_port()}", "-m", METHOD, env={"SS_SERVER_PASSWORD": KEY}
    ) as server:
        server.port()
        assert KEY not in Path(f"/proc/{server.process.pid}/cmdline").read_text()


def test_without_a_file_the_usual_places_are_searched(tmp_path: Path) -> None:
    place = tmp_path / ".config" / "shadowsocks-rust"
    place.mkdir(parents=True)
    port = free_port()
    write(place / "server.json", server="127.0.0.1", server_port=port, method=METHOD, password=KEY)
    with running(tmp_path, "server", env={"XDG_CONFIG_DIRS": str(tmp_path)}) as server:
        assert server.port() == port
    assert f"the config that was found: {place / 'server.json'}" in "".join(server.err)


def test_where_nothing_is_named_or_found_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "OLD_PLACES", ())
    assert run_here(group, "shadesocks", ["server"]) == USAGE
    said = "no server is named, and no config was found; give -c FILE, or -s HOST:PORT"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["server", "-s", "127.0.0.1:1"], USAGE, "method: is missing"),
        (["server", "-s", "127.0.0.1", "-m", METHOD, "-k", KEY], USAGE, "server_port: is missing"),
        (
            ["server", "-s", "127.0.0.1:1", "-m", "aes-256-gcn", "-k", "x"],
            USAGE,
            "the nearest known one is aes-256-gcm",
        ),
        (["server", "-s", "127.0.0.1:1", "-m", METHOD, "-k", "x"], USAGE, "--password: the key of"),
        (["server", "-s", "0.0.0.0:1", "-m", "none"], USAGE, "--allow-none"),
        (["local", "--protocol", "http", "--server-url", LINK], USAGE, "http comes in a later version"),
        (["local", "--server-url", "ss://nonsense"], USAGE, "--server-url"),
        (["local", "--event-model", "iocp", "--server-url", LINK], USAGE, "--event-model"),
        (["server", "-c", "nowhere.json"], CONFIG, "nowhere.json: this file cannot be read: no such file or directory"),
    ],
)
def test_what_cannot_be_started_is_told(argv: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = run(tmp_path, *argv, env={"XDG_CONFIG_DIRS": str(tmp_path)})
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_no_message_shows_a_password(tmp_path: Path) -> None:
    done = run(tmp_path, "server", "-s", "127.0.0.1:1", "-m", METHOD, "-k", "s3cret-and-wrong")
    assert done.returncode == USAGE
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(("flags", "has_time"), [((), True), (("--log-without-time",), False)])
def test_the_log_has_the_form_it_should(flags: tuple[str, ...], has_time: bool, tmp_path: Path) -> None:
    with running(tmp_path, "server", "-c", both_ends(tmp_path), *flags) as server:
        line = server.until_err("using event model")
    if has_time:
        date, time, line = line.split(" ", 2)
        assert (len(date), len(time)) == (10, 8)
    assert line.startswith("INFO using event model: ")


def test_odd_keys_of_a_file_are_warned_of_and_started(tmp_path: Path) -> None:
    with running(tmp_path, "server", "-c", both_ends(tmp_path, tiemout=5)) as server:
        assert "both.json:1: tiemout: this key is not known; the nearest known one is timeout" in server.until_err(
            "WARNING"
        )
        server.port()


def test_stdin_is_a_file_too(tmp_path: Path) -> None:
    text = Path(both_ends(tmp_path)).read_text()
    done = run(tmp_path, "server", "-c", "-", "--event-model", "none", given=text)
    assert done.returncode == USAGE
    text = text.replace("127.0.0.1", "host with spaces")
    done = run(tmp_path, "server", "-c", "-", given=text)
    assert done.returncode == CONFIG
    assert done.stderr.startswith("error: stdin:1: server: ")


@pytest.mark.skipif(sys.platform != "linux", reason="another system may have kqueue")
def test_an_event_model_that_the_system_lacks_is_an_error_of_the_config(tmp_path: Path) -> None:
    done = run(tmp_path, "server", "-c", both_ends(tmp_path, event_model="kqueue"))
    assert done.returncode == CONFIG
    assert "event_model: " in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of Unix")
def test_a_person_is_asked_for_the_password(tmp_path: Path) -> None:
    leader, follower = os.openpty()
    argv = command("server", "-s", f"127.0.0.1:{free_port()}", "-m", METHOD)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, stdin=follower, stdout=pipe, stderr=pipe, text=True, env=environment(tmp_path), start_new_session=True
    ) as process:
        os.close(follower)
        assert process.stderr is not None
        assert process.stderr.read(len("password: ")) == "password: "
        os.write(leader, f"{KEY}\n".encode())
        server = Program(process)
        server.port()
        assert server.end(signal.SIGTERM) == OK
    os.close(leader)


def test_a_closed_stderr_is_no_reason_to_stop(tmp_path: Path) -> None:
    port = free_port()
    words = command("server", "-s", f"127.0.0.1:{port}", "-m", METHOD, "-k", KEY)
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {' '.join(words)} <&- >&- 2>&-"], env=environment(tmp_path)
    ) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
        for number in range(3):
            kind = os.stat(f"/proc/{process.pid}/fd/{number}").st_mode
            assert stat.S_ISCHR(kind), "a socket took the number of a standard stream"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == OK


@pytest.mark.parametrize("end", ["server", "local"])
def test_a_file_can_be_read_again(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Config] = []
    path = tmp_path / "both.json"

    def keep(config: Config, *_: object, reread: Callable[[], Config] | None, **__: object) -> int:
        assert reread is not None
        write(path, **{**json.loads(path.read_text()), "server_port": 1})
        seen.extend((config, reread()))
        return OK

    def leave_logs_alone(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(serve, "run_placed", keep)
    monkeypatch.setattr(serve, "set_up", leave_logs_alone)
    assert run_here(group, "shadesocks", [end, "-c", both_ends(tmp_path), "--nofile", "4000"]) == OK
    assert [config.nofile for config in seen] == [4000, 4000]
    assert [config.servers[0].address.port == 1 for config in seen] == [False, True]


def test_several_links_are_several_servers(tmp_path: Path) -> None:
    links = ["--server-url", LINK, "--server-url", LINK.replace("8388", "8389")]
    with running(tmp_path, "local", *links, "-b", f"127.0.0.1:{free_port()}") as local:
        local.until_err("listening on 127.0.0.1:")
        assert local.end(signal.SIGTERM) == OK
    bad = run(tmp_path, "local", "--server-url", LINK, "--server-url", "ss://secret")
    assert bad.returncode == USAGE
    assert "--server-url: this is no usable link" in bad.stderr
    assert "secret" not in bad.stderr


def test_a_list_of_links_is_a_config(tmp_path: Path) -> None:
    file = tmp_path / "links.txt"
    file.write_text(f"# mine\n{LINK}#one\n")
    with running(tmp_path, "local", "-c", str(file), "-b", f"127.0.0.1:{free_port()}") as local:
        local.until_err("listening on 127.0.0.1:")
        assert local.end(signal.SIGTERM) == OK


def test_servers_come_from_a_document_over_https(tmp_path: Path) -> None:
    """The whole way: a server, a document about it over TLS with an authority of its own, and a client without more."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    trust = {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "XDG_STATE_HOME": str(tmp_path)}

    async def story() -> None:
        port, near = free_port(), free_port()
        entry = {"id": "a", "remarks": "one", "server": "127.0.0.1", "server_port": port}
        said = json.dumps({"version": 1, "servers": [{**entry, "method": METHOD, "password": KEY}]})
        async with web.document_server(web.answer(said), context=authority.server(["127.0.0.1"])) as documents:
            listen = ["-b", f"127.0.0.1:{near}"]
            with running(tmp_path, "local", "--online-config-url", documents.url(), *listen, env=trust) as local:
                await asyncio.to_thread(local.until_err, "servers: 1")
                assert local.end(signal.SIGTERM) == OK
                assert not [line for line in local.err if "WARNING" in line or "secret" in line]
            with running(tmp_path, "local", "--online-config-url", documents.url(), *listen, "-v") as local:
                await asyncio.to_thread(local.until_err, "its certificate cannot be trusted")
                assert local.end(signal.SIGTERM) == OK

    asyncio.run(story())

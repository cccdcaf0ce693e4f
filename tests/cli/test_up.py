"""`shadesocks up`: from nothing to a server, and what the person reads."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from shadesocks.cli.exits import CONFIG, DIED, OK, USAGE
from shadesocks.cli.exits import run as run_here
from shadesocks.cli.programs import group
from shadesocks.wire.uri import Link, parse_link
from tests.interop.streams import LIMIT
from tests.peers import free_port
from tests.socks_udp import associate, udp_socket

from .programs import KEY, METHOD, Program, command, environment, run, running, socks_connect
from .terminal import on_terminal


def told(program: Program) -> str:
    """Wait until everything was told, and return stdout."""
    program.until_out("firewall:")
    return "\n".join(program.out)


def link_in(text: str) -> Link:
    found = re.search(r"^ +(ss://\S+)$", text, re.MULTILINE)
    assert found is not None
    return parse_link(found.group(1))


def default_config(home: Path) -> Path:
    return home / ".config" / "shadesocks" / "config.json"


def test_a_first_run_makes_a_server_and_tells_all(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        text = told(server)
        assert server.end(signal.SIGTERM) == OK
    path = default_config(tmp_path)
    assert f"\nconfig: {path}\n" in text
    keys = json.loads(path.read_text())
    assert keys["method"] == METHOD
    assert keys["mode"] == "tcp_and_udp"
    assert 10000 <= keys["server_port"] <= 32767
    link = link_in(text)
    assert (link.method, link.password, link.port) == (METHOD, keys["password"], keys["server_port"])
    assert "self-check: passed, 1 MiB and a datagram went through" in text
    assert f"    shadesocks connect 'ss://{METHOD}:" in text
    assert f"firewall: let TCP and UDP port {link.port} in" in text
    assert "TCP only" not in text


def test_the_config_is_for_its_owner_only(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        told(server)
    path = default_config(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_two_first_runs_have_different_keys(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        with running(tmp_path, "up", "--config", str(tmp_path / name)) as server:
            keys.add(link_in(told(server)).password)
    assert len(keys) == 2


def test_a_later_run_uses_the_config_again(tmp_path: Path) -> None:
    texts = []
    for _ in range(2):
        with running(tmp_path, "up", "--host", "proxy.example") as server:
            texts.append(told(server))
            assert server.end(signal.SIGINT) == OK
    assert link_in(texts[0]) == link_in(texts[1])
    assert "new, with a random key" in texts[0]
    assert "new, with a random key" not in texts[1]


def test_what_is_named_is_used(tmp_path: Path) -> None:
    file, port = tmp_path / "deep" / "down" / "c.json", free_port()
    argv = ("up", "--config", str(file), "--host", "proxy.example", "--port", str(port), "--name", "my home")
    with running(tmp_path, *argv) as server:
        text = told(server)
    link = link_in(text)
    assert (link.host, link.port, link.tag) == ("proxy.example", port, "my home")
    assert f"config: {file}\n" in text
    assert "guess" not in text
    assert json.loads(file.read_text())["remarks"] == "my home"


def config_of_modes(path: Path, *modes: str | None) -> list[int]:
    """Write a config with a server for each mode; None names none, as the configs of version 0.1."""
    servers = [
        {"server": "127.0.0.1", "server_port": free_port(), "method": METHOD, "password": KEY, "mode": mode}
        for mode in modes
    ]
    path.write_text(json.dumps({"servers": servers}))
    return [server["server_port"] for server in servers]  # type: ignore[misc]


@pytest.mark.parametrize("mode", [None, "tcp_only"])
def test_a_config_without_udp_keeps_what_it_says_and_is_told_of(mode: str | None, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    (port,) = config_of_modes(file, mode)
    before = file.read_text()
    with running(tmp_path, "up", "--config", str(file)) as server:
        text = told(server)
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", port))
    assert f"firewall: let TCP port {port} in" in text
    assert '    it serves TCP only; with "mode": "tcp_and_udp" in it, the next start serves UDP, too' in text
    assert file.read_text() == before


def test_the_firewall_is_opened_for_what_each_server_serves(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    both, tcp, udp = config_of_modes(file, "tcp_and_udp", "tcp_only", "udp_only")
    with running(tmp_path, "up", "--config", str(file)) as server:
        text = told(server)
    streams, datagrams = (", ".join(map(str, sorted(ports))) for ports in ((both, tcp), (both, udp)))
    assert f"firewall: let TCP port {streams} and UDP port {datagrams} in, here and at your provider" in text
    assert "TCP only" not in text


def test_the_firewall_s_own_words_are_told(tmp_path: Path) -> None:
    (tmp_path / "ufw").touch(0o755)
    (tmp_path / "firewall-cmd").touch(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with running(tmp_path, "up", env=env) as server:
        port = link_in(told(server)).port
        server.until_out(f"    sudo ufw allow {port}/tcp")
        server.until_out(f"    sudo ufw allow {port}/udp")
        for name in ("tcp", "udp"):
            server.until_out(
                f"    sudo firewall-cmd --permanent --add-port={port}/{name} && sudo firewall-cmd --reload"
            )


def test_an_address_nobody_named_is_said_to_be_a_guess(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        text = told(server)
    assert re.search(r"^note: .*--host NAME", text, re.MULTILINE)


def test_the_line_for_the_other_machine_works(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        told(server)
    path = default_config(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "allow_private": True}))
    with socket.create_server(("127.0.0.1", 0)) as target, running(tmp_path, "up", "--host", "127.0.0.1") as server:
        line = next(line for line in told(server).splitlines() if "shadesocks connect" in line)
        words = line.replace("'", "").split()[1:]
        with running(tmp_path, *words, "--port", "0") as client:
            port = int(client.until_out("listening on").rpartition(":")[2])
            with socks_connect(port, target.getsockname()[1]) as near:
                near.sendall(b"hello")
                far, _ = target.accept()
                with far:
                    assert far.recv(5, socket.MSG_WAITALL) == b"hello"
            with udp_socket("127.0.0.1") as far, associate(("127.0.0.1", port)) as association:
                far.settimeout(LIMIT)
                association.send(b"hello", far.getsockname())
                payload, sender = far.recvfrom(100)
                far.sendto(payload.upper(), sender)
                assert association.receive() == (b"HELLO", far.getsockname())


def test_without_a_terminal_there_is_no_code_and_no_status_line(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        text = told(server)
        assert server.end(signal.SIGTERM) == OK
        text = "\n".join([text, *server.out, *server.err])
    assert "\x1b" not in text
    assert "\r" not in text
    assert "█" not in text
    log = [line for line in server.err if line]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARNING) ", line) for line in log), log


def test_on_a_terminal_there_is_a_code_and_a_status_line(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "up") as glass:
        glass.until("0 open, 0 in all | up 0 B/s")
        assert "\x1b[38;5;16;48;5;231m" in glass.seen
        assert glass.seen.index("self-check: passed") < glass.seen.index("INFO using event model")
        glass.press("\x03")
        assert glass.rest() == OK
    assert glass.seen.rstrip().endswith("INFO stopped")
    assert glass.seen.rpartition("\x1b[K")[2].endswith("INFO stopped\r\n")


def test_a_terminal_too_narrow_for_the_code_gets_none(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "up", columns=40) as glass:
        glass.until("0 open, 0 in all | up 0")
        assert "\x1b[38;5;16;48;5;231m" not in glass.seen


def test_no_log_line_holds_the_key(tmp_path: Path) -> None:
    with running(tmp_path, "up", "-vv") as server:
        link = link_in(told(server))
        assert server.end(signal.SIGTERM) == OK
        assert link.password not in "\n".join(server.err)


def test_the_journal_gets_no_key(tmp_path: Path) -> None:
    read, write = os.pipe()
    status = os.fstat(write)
    env = environment(tmp_path, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    with subprocess.Popen(command("up"), stdout=write, stderr=subprocess.DEVNULL, env=env) as process:
        os.close(write)
        with open(read, encoding="utf-8") as out:
            text = ""
            for line in out:
                text += line
                if line.startswith("firewall:"):
                    break
            process.send_signal(signal.SIGTERM)
            text += out.read()
    assert "ss://" not in text
    assert f"shadesocks url -e {default_config(tmp_path)}" in text


def test_it_goes_on_when_its_reader_goes_away(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        port = server.port()
        socket.create_connection(("127.0.0.1", port)).close()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stderr is not None
        server.process.stderr.read()
        assert server.process.wait() == OK


# What goes wrong


def test_a_second_instance_fails_clearly(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        told(server)
        second = run(tmp_path, "up")
    assert (second.returncode, second.stdout) == (DIED, "")
    assert "Address already in use; another program, or another instance, has that port" in second.stderr


def test_a_failed_first_run_leaves_no_config(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(tmp_path, "up", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stdout) == (DIED, "")
    assert not default_config(tmp_path).exists()


def test_a_config_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "up", "--config", str(tmp_path / "file" / "c.json"))
    assert (done.returncode, done.stdout) == (CONFIG, "")
    assert f"error: {tmp_path}/file/c.json: this file cannot be written: " in done.stderr


@pytest.mark.parametrize(
    "text", ["hello", "{}", '{"local_port": 1080}', "", f'{{"server": "::", "password": "{KEY}"}}']
)
def test_a_foreign_file_is_left_as_it_is(text: str, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    done = run(tmp_path, "up", "--config", str(file))
    assert (done.returncode, done.stdout) == (CONFIG, "")
    assert done.stderr.startswith(f"error: {file}")
    assert done.stderr.endswith(f"note: {file} was not changed; name another file with --config, and `up` makes it\n")
    assert file.read_text() == text


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "c.json"
    link.symlink_to(tmp_path / "elsewhere.json")
    done = run(tmp_path, "up", "--config", str(link))
    assert done.returncode == CONFIG
    assert not (tmp_path / "elsewhere.json").exists()


def test_a_config_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        told(server)
    default_config(tmp_path).chmod(0o644)
    with running(tmp_path, "up") as server:
        told(server)
        assert f"chmod 600 {default_config(tmp_path)}" in server.until_err("WARNING")


def test_without_a_home_it_asks_for_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nowhere() -> Path:
        raise RuntimeError

    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert run_here(group, "shadesocks", ["up"]) == CONFIG
    assert "name a file with --config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--host", "two words"], "--host: this is no host name"),
        (["--host", "proxy.example:8388"], "--host: a host without a port"),
        (["--host", ""], "--host: the host is empty"),
        (["--port", "0"], "--port"),
        (["--port", "http"], "--port"),
        (["extra"], "extra"),
        (["--user", "nobody"], '--user: write "user" in the config'),
        (["-a", "nobody"], '-a: write "user" in the config'),
        (["--pid-file", "x"], '--pid-file: write "pid_file" in the config'),
        (["--log-file", "x"], '--log-file: write "log": {"file": …} in the config'),
        (["-d"], "-d: this command stays in the foreground"),
        (["--workers", "2"], "--workers: this command stays in the foreground, in one process"),
    ],
)
def test_wrong_words_are_told(argv: list[str], words: str, tmp_path: Path) -> None:
    done = run(tmp_path, "up", *argv)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert words in done.stderr
    assert not default_config(tmp_path).exists()


def test_another_port_than_the_config_s_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "up") as server:
        port = link_in(told(server)).port
    done = run(tmp_path, "up", "--port", str(port + 1))
    assert done.returncode == USAGE
    assert f"says port {port} already" in done.stderr
    with running(tmp_path, "up", "--port", str(port)) as server:
        told(server)


def test_a_config_of_another_program_is_read_as_that(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(f'{{"server_port": {free_port()}, "password": "mVt5-kd93Qpz_0Lr2xWc", "method": "aes-256-gcm"}}')
    with running(tmp_path, "up", "--config", str(path), "--dialect", "go", "--host", "h.example") as server:
        assert server.until_out("listening on").startswith("listening on ")
    refused = run(tmp_path, "up", "--config", str(path), "--host", "h.example")
    assert "server: is missing" in refused.stderr


def test_users_come_while_it_runs(tmp_path: Path) -> None:
    """The way of a newcomer: `up`, then a store and a list in its config, then a user."""
    path = tmp_path / "c.json"
    config_of_modes(path, "tcp_only")
    keys = {**json.loads(path.read_text()), "store": "users.db"}
    keys["servers"][0]["users"] = []
    path.write_text(json.dumps(keys))
    path.chmod(0o600)
    with running(tmp_path, "up", "--config", str(path)) as server:
        assert f"shadesocks user link NAME -c {path}" in told(server)
        assert run(tmp_path, "user", "add", "anna", "-c", str(path)).returncode == OK
        assert "users: anna added" in server.until_err("users: anna added")
        server.process.send_signal(signal.SIGHUP)
        server.until_err("the config was read again")
        path.write_text("{")
        server.process.send_signal(signal.SIGHUP)
        server.until_err("all goes on as before")
        assert server.end(signal.SIGTERM) == OK


def test_what_a_config_says_of_the_process_is_done_as_far_as_a_person_watches_it(tmp_path: Path) -> None:
    """The pid file and the log are kept; what would lead away from the person is told, and not done."""
    path, log, pid_file = tmp_path / "c.json", tmp_path / "x.log", tmp_path / "x.pid"
    port = config_of_modes(path, "tcp_and_udp")[0]
    keys = json.loads(path.read_text())
    keys |= {"pid_file": str(pid_file), "log": {"file": str(log)}, "daemonize": True, "workers": 2}
    path.write_text(json.dumps(keys))
    path.chmod(0o600)
    with running(tmp_path, "up", "--config", str(path)) as server:
        text = told(server)
        assert f"listening on 127.0.0.1:{port}" in text
        assert pid_file.read_text() == str(server.process.pid)
        with running(tmp_path, "up", "--config", str(path)) as second:
            assert second.rest() == DIED
            assert second.err[-1] == f"error: already started at pid {server.process.pid}"
        log.rename(tmp_path / "x.log.1")
        server.process.send_signal(signal.SIGHUP)
        assert server.end(signal.SIGTERM) == OK
    assert "daemonize: this command stays here; `shadesocks server` goes to the background" in "\n".join(server.err)
    before = (tmp_path / "x.log.1").read_text()
    assert "workers: this command runs one process" in before
    assert f"listening on 127.0.0.1:{port}" in before
    assert log.read_text().endswith("stopped\n")
    assert "listening" not in "\n".join(server.err)
    assert not pid_file.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_a_config_s_user_is_who_it_runs_as(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    config_of_modes(path, "tcp_and_udp")
    path.write_text(json.dumps({**json.loads(path.read_text()), "user": "nobody"}))
    path.chmod(0o600)
    state = tmp_path / "state"
    with running(tmp_path, "up", "--config", str(path), env={"XDG_STATE_HOME": str(state)}) as server:
        told(server)
        lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines)
        assert set(status["Uid"].split()) == {str(pwd.getpwnam("nobody").pw_uid)}
        assert (state / "shadesocks" / "nobody").is_dir()
        assert server.end(signal.SIGTERM) == OK

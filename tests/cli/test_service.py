"""`shadesocks service`: what is written where, what systemd is told, and what is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shadesocks.cli import service
from shadesocks.cli.exits import CONFIG, DIED, OK, USAGE, run
from shadesocks.cli.programs import group
from shadesocks.config import files

SERVER = '{"server": "127.0.0.1", "server_port": 8388, "method": "aes-256-gcm", "password": "pass-pass-pass-1"%s}'


class Machine:
    """Directories in place of the system's, and a systemctl that takes notes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.units = root / "units"
        self.booted = root / "booted"
        self.orders = root / "orders"
        self.config = root / "config.json"
        self.config.write_text(SERVER % "")
        bin_ = root / "bin"
        bin_.mkdir()
        fake = bin_ / "systemctl"
        fake.write_text(
            f'#!/bin/sh\necho "$@" >> {self.orders}\n[ ! -e {root}/fails ] || {{ echo "no bus" >&2; exit 5; }}\n'
        )
        fake.chmod(0o755)
        self.journal = root / "journal"
        fake = bin_ / "journalctl"
        fake.write_text(f'#!/bin/sh\necho "$@" >> {self.orders}\n[ ! -e {self.journal} ] || cat {self.journal}\n')
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
        monkeypatch.setenv("HOME", str(root))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "xdg"))
        monkeypatch.setenv("XDG_CONFIG_DIRS", str(root / "none"))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(root))
        monkeypatch.chdir(root)
        monkeypatch.setattr(service, "SYSTEM_UNITS", self.units)
        monkeypatch.setattr(files, "OLD_PLACES", (root / "old" / "config.json",))
        monkeypatch.delenv("SUDO_USER", raising=False)
        monkeypatch.setattr(service, "STATES", root / "states")
        monkeypatch.setattr(service, "BOOTED", self.booted)
        monkeypatch.setattr(service, "_closed_directory", lambda _program: None)

    def boot(self) -> None:
        self.booted.mkdir()

    def told(self) -> list[str]:
        """What systemctl was called with since the last time."""
        text = self.orders.read_text() if self.orders.exists() else ""
        self.orders.unlink(missing_ok=True)
        return text.splitlines()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def shadesocks(*words: str) -> int:
    return run(group, "shadesocks", ["service", *words])


def test_install_writes_a_unit_enables_and_starts_it(machine: Machine) -> None:
    machine.boot()
    assert shadesocks("install", "office", "--system", "-c", "config.json") == OK
    file = machine.units / "shadesocks-server-office.service"
    text = file.read_text()
    assert text.startswith(service.MARK)
    assert f"LoadCredential=config.json:{machine.config}" in text
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in machine.units.iterdir()] == [file.name]
    assert machine.told() == ["daemon-reload", f"enable {file.name}", f"restart {file.name}"]
    assert shadesocks("status", "office", "--system") == OK
    assert machine.told() == [f"status --no-pager {file.name}"]
    assert shadesocks("remove", "office", "--system") == OK
    assert machine.told() == [f"disable --now {file.name}", "daemon-reload", "reset-failed shadesocks-server-office.*"]
    assert not file.exists()
    assert machine.config.exists()


def test_a_socket_comes_with_it_and_goes_when_it_is_not_wanted_any_more(machine: Machine) -> None:
    machine.boot()
    machine.config.write_text(SERVER % ', "mode": "tcp_and_udp"')
    assert shadesocks("install", "--system", "--socket") == OK
    unit, sock = "shadesocks-server.service", "shadesocks-server.socket"
    text = (machine.units / sock).read_text()
    assert "ListenStream=127.0.0.1:8388\nListenDatagram=127.0.0.1:8388\n" in text
    assert machine.told() == [
        "daemon-reload",
        f"enable {sock} {unit}",
        f"stop {unit}",
        f"restart {sock}",
        f"start {unit}",
    ]
    assert shadesocks("install", "--system") == OK
    assert not (machine.units / sock).exists()
    assert machine.told() == [f"disable --now {sock}", "daemon-reload", f"enable {unit}", f"restart {unit}"]


def test_a_user_s_service_reads_the_config_where_it_is(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.boot()
    machine.config.write_text(SERVER % ', "local_address": "127.0.0.1", "local_port": 1080')
    assert shadesocks("install", "--user", "--local", "--socket", "-c", "config.json") == OK
    directory = machine.root / "xdg" / "systemd" / "user"
    text = (directory / "shadesocks-local.service").read_text()
    assert f" local -c {machine.config} " in text
    assert "DynamicUser" not in text
    assert "ListenStream=127.0.0.1:1080" in (directory / "shadesocks-local.socket").read_text()
    assert all(order.startswith("--user ") for order in machine.told())
    assert "enable-linger" in capsys.readouterr().out


def test_without_systemd_the_orders_are_printed(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert shadesocks("install", "--system") == OK
    out = capsys.readouterr().out
    assert "systemd does not run here" in out
    assert "    systemctl restart shadesocks-server.service\n" in out
    assert shadesocks("status", "--system") == OK
    assert "is installed; systemd does not run here" in capsys.readouterr().out
    assert shadesocks("remove", "--system") == OK
    assert shadesocks("status", "--system") == 4
    assert "is not installed" in capsys.readouterr().out
    assert machine.told() == []


def test_dry_runs_do_nothing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.boot()
    assert shadesocks("install", "--system", "--socket", "--dry-run") == OK
    out = capsys.readouterr().out
    assert "[Service]" in out
    assert "[Socket]" in out
    assert not machine.units.exists()
    assert shadesocks("install", "--system") == OK
    machine.told()
    assert shadesocks("remove", "--system", "--dry-run") == OK
    assert (machine.units / "shadesocks-server.service").exists()
    assert machine.told() == []


@pytest.mark.parametrize("kind", ["service", "socket", "link"])
def test_what_another_wrote_is_left_alone(kind: str, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.units.mkdir()
    file = machine.units / f"shadesocks-server.{'service' if kind == 'link' else kind}"
    if kind == "link":
        file.symlink_to("/dev/null")  # a unit that was masked
    else:
        file.write_text("[Service]\nExecStart=/bin/true\n")
    for words in (("install",), ("remove",)):
        assert shadesocks(*words, "--system") == DIED
        assert f"{file} was not written by this command" in capsys.readouterr().err
    assert [path.name for path in machine.units.iterdir()] == [file.name]


def test_what_keeps_a_service_from_its_start_is_told(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.boot()
    systemctl = machine.root / "bin" / "systemctl"
    systemctl.write_text('#!/bin/sh\ncase "$*" in *start*) exit 1;; esac\n')
    machine.journal.write_text("INFO stopped\nerror: cannot listen on 127.0.0.1:8388\n")
    assert shadesocks("install", "--system") == DIED
    error = capsys.readouterr().err
    assert "shadesocks-server.service does not start; it says:\n    error: cannot listen on 127.0.0.1:8388\n" in error
    assert "systemctl restart shadesocks-server.service" in error
    [asked] = machine.told()
    assert asked.endswith("_SYSTEMD_UNIT=shadesocks-server.service")
    assert shadesocks("install", "--system", "--socket") == DIED
    assert machine.told()[0].endswith(" UNIT=shadesocks-server.socket"), "what systemd says of a socket"
    machine.journal.unlink()
    assert shadesocks("install", "--user") == DIED
    assert "systemctl --user restart shadesocks-server.service: exit code 1" in capsys.readouterr().err
    assert "--user " in machine.told()[0]


def test_without_a_way_to_the_user_s_manager_its_orders_are_printed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.boot()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert shadesocks("install", "--user") == OK
    out = capsys.readouterr().out
    assert "XDG_RUNTIME_DIR is not set" in out
    assert "    systemctl --user restart shadesocks-server.service\n" in out
    assert machine.told() == []


def test_the_config_is_named_like_the_service_or_the_first_or_the_only_one(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def served(*words: str) -> str:
        assert shadesocks("install", "--system", *words) == OK
        return capsys.readouterr().out.partition(" is to serve ")[2].partition(";")[0]

    assert served() == str(machine.config)
    ours = machine.root / "xdg" / "shadesocks"
    ours.mkdir(parents=True)
    office = ours / "office.json"
    office.write_text(SERVER % "")
    assert served("office") == str(office)
    assert served("other") == str(machine.config)
    machine.config.unlink()
    assert served() == str(office)
    (ours / "home.json").write_text(SERVER % "")
    assert shadesocks("install", "--system") == USAGE
    assert f"several configs in {ours}; give one of their names: home, office" in capsys.readouterr().err
    for path in ours.iterdir():
        path.unlink()
    old = machine.root / "old"
    old.mkdir()
    (old / "office.json").write_text(SERVER % "")
    assert served("office") == str(old / "office.json")
    (old / "config.json").write_text(SERVER % "")
    assert served() == str(old / "config.json")


def test_under_sudo_the_user_s_own_config_is_pointed_at(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pwd = pytest.importorskip("pwd")
    entry = type("Entry", (), {"pw_dir": str(machine.root / "joe")})
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: entry)
    monkeypatch.setenv("SUDO_USER", "joe")
    made = machine.root / "joe" / ".config" / "shadesocks" / "config.json"
    made.parent.mkdir(parents=True)
    machine.config.rename(made)
    assert shadesocks("install", "--system") == USAGE
    assert f"no config was found but that of joe; to serve it: -c {made}" in capsys.readouterr().err


def test_what_a_system_service_remembers_is_kept(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    state = machine.root / "states" / "shadesocks-server"
    state.mkdir(parents=True)
    for kept in (False, True):
        assert shadesocks("install", "--system") == OK
        assert shadesocks("remove", "--system") == OK
        assert ("kept: " in capsys.readouterr().out) == kept, "only if there is something"
        (state / "aead.salts").touch()
    assert shadesocks("install", "--system") == OK
    assert shadesocks("remove", "--system") == OK
    assert f"kept: {machine.root}/states/shadesocks-server, " in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_config_of_root_s_alone_is_a_sentence(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.config.chmod(0)
    assert shadesocks("install", "--user") == CONFIG
    assert "cannot be read by this user; run it as root" in capsys.readouterr().err


def test_an_order_that_fails_is_a_sentence(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.boot()
    (machine.root / "fails").touch()
    assert shadesocks("install", "--system") == DIED
    assert "systemctl daemon-reload: no bus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "more", "code", "said"),
    [
        (("install", "a/b"), "", USAGE, "is no name for a service"),
        (("install", "-c", "-"), "", USAGE, "not on stdin"),
        (("install", "-c", "none.json"), "", CONFIG, "cannot be read"),
        (("install",), ', "method": 1', CONFIG, "method"),
        (("install",), ', "acl": "list.acl"', CONFIG, "write the whole path"),
        (("remove",), "", USAGE, "there is no service of that name"),
        (("start",), "", USAGE, "start"),
    ],
)
def test_mistakes_are_sentences(
    words: tuple[str, ...], more: str, code: int, said: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.config.write_text(SERVER % more)
    assert shadesocks(*words, "--system") == code
    assert said in capsys.readouterr().err
    assert not machine.units.exists()


def test_no_config_is_a_sentence(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.config.unlink()
    assert shadesocks("install", "--user") == USAGE
    assert "no config was found" in capsys.readouterr().err


def test_a_socket_needs_addresses(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.config.write_text((SERVER % "").replace('"127.0.0.1"', '"example.org"'))
    assert shadesocks("install", "--system", "--socket") == DIED
    assert "example.org:8388 is a name" in capsys.readouterr().err


def test_a_program_that_others_cannot_reach_becomes_no_system_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = service._closed_directory
    machine = Machine(tmp_path, monkeypatch)
    monkeypatch.setattr(service, "_closed_directory", real)
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    monkeypatch.setattr(service, "_places", lambda _program: iter([closed / "shadesocks"]))
    assert shadesocks("install", "--system") == CONFIG
    assert "where only its owner may go" in capsys.readouterr().err
    assert not machine.units.exists()
    assert shadesocks("install", "--user") == OK
    monkeypatch.setattr(service, "_places", lambda _program: iter([Path("/usr/bin/env")]))
    assert shadesocks("install", "--system") == OK

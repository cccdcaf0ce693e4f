"""Several processes instead of one, as the commands start them; what they do then is in `tests/e2e/test_workers.py`."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from shadesocks.cli import run as running
from shadesocks.cli import workers as cli_workers
from shadesocks.cli.exits import DIED, Failed
from shadesocks.cli.run import HOST, Host
from shadesocks.cli.screen import Screen
from shadesocks.cli.workers import run_workers
from shadesocks.config.load import examine, load
from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError
from shadesocks.process.commanded import Commanded
from shadesocks.process.orders import Orders
from shadesocks.process.slots import Slots
from shadesocks.service.given import GivenSockets
from tests.peers import free_port


def config_of(port: int, **keys: object) -> Config:
    file = {"server": "127.0.0.1", "server_port": port, "method": "aes-256-gcm", "password": "a long password", **keys}
    return load(json.dumps({"workers": 3, **file}), role="server")


class Stage:
    """A master that is not run: what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sockets: list[int] = []
        self.orders: list[Orders] = []
        self.beside: list[int] = []
        self.takes_commands = False
        stage = self

        class Supervisor:
            def __init__(self, _config: Config, slots: Slots, orders: Orders, commanded: Commanded) -> None:
                stage.sockets = [len(slots.of(number)) for number in range(slots.count)]
                stage.orders.append(orders)
                stage.beside = [server.address.port for server in commanded.servers]
                stage.takes_commands = slots.manager is not None

            def run(self) -> int:
                return 0

        monkeypatch.setattr(cli_workers, "Supervisor", Supervisor)


def test_all_is_bound_before_anybody_is_told_that_it_listens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage, told = Stage(monkeypatch), []
    caplog.set_level(logging.INFO, "shadesocks.cli")
    host = Host(listening=lambda: told.append(stage.sockets), at_once=True)
    assert run_workers(config_of(free_port(), mode="tcp_and_udp"), None, host) == 0
    assert told == [[]], "once, before the master runs"
    assert stage.sockets == [2, 2, 2]
    assert stage.orders[0].at_once
    assert caplog.messages[-1] == "stopped"


def test_a_host_that_cannot_go_on_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, port = Stage(monkeypatch), free_port()

    def fails() -> None:
        raise Failed("no such user")

    with pytest.raises(Failed, match="no such user"):
        run_workers(config_of(port), None, Host(listening=fails))
    assert not stage.orders
    again = Slots(1, GivenSockets())
    assert not again.bind(config_of(port))[1], "the port was given back"
    again.close()


def test_what_is_wrong_is_the_error_of_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Stage(monkeypatch)

    async def never() -> object:
        raise AssertionError("this process serves nobody")

    screen = Screen(io.StringIO())
    taken = Slots(2, GivenSockets())
    config = config_of(free_port())
    taken.bind(config)
    with pytest.raises(Failed, match="another instance, has that port") as failed:
        running.run_service(config, never, screen)  # type: ignore[arg-type]
    assert failed.value.code == DIED
    with pytest.raises(ConfigError, match="No such file"):
        running.run_service(config_of(free_port(), acl=str(tmp_path / "nowhere")), never, screen)  # type: ignore[arg-type]
    taken.close()


def test_a_manager_has_as_many_processes_as_the_config_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stage, port, kept = Stage(monkeypatch), free_port(), tmp_path / "ports.json"
    kept.write_text(json.dumps({"format": 1, "ports": [{"server_port": port, "password": "a long password"}]}))
    config = config_of(free_port(), manager_listen=str(tmp_path / "m"), manager_keep=str(kept))
    assert (config.workers, config.warnings) == (3, ())
    told: list[bool] = []
    host = Host(listening=lambda: told.append((tmp_path / "m").is_socket()))
    assert run_workers(config, None, host) == 0
    assert told == [True]
    assert (stage.beside, stage.takes_commands) == ([port], True)
    assert not (tmp_path / "m").exists(), "it is gone with the master"


def test_a_manager_whose_ports_have_a_plugin_has_one_process() -> None:
    keys = {"server": "127.0.0.1", "method": "aes-256-gcm", "manager_listen": "127.0.0.1:6001", "plugin": "/bin/cat"}
    report = examine(json.dumps({**keys, "workers": 4}), role="server")
    assert report.config is not None
    assert report.config.workers == 1
    assert "one does the work" in report.warnings[-1].text


def test_a_client_is_one_process() -> None:
    keys = {"server": "127.0.0.1", "server_port": 1, "method": "aes-256-gcm", "password": "a long password"}
    assert load(json.dumps({**keys, "workers": 4}), role="local").workers == 1
    assert HOST.at_once is False

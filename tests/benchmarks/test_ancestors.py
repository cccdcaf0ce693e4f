"""The ancestors in the bench's table: what each is asked to do, and with which configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import ancestors
from benchmarks.figures import ANCESTORS
from benchmarks.old_wire import OLD
from benchmarks.systems import OURS, REFERENCE, SYSTEMS
from benchmarks.wire import METHODS, make_account

TABLE = {system.name: system for system in SYSTEMS}


@pytest.mark.parametrize("name", ANCESTORS)
def test_every_ancestor_is_raced_in_the_method_they_share(name: str) -> None:
    assert OLD[0] in TABLE[name].methods
    assert TABLE[OURS].methods >= TABLE[name].methods


@pytest.mark.parametrize("name", ancestors.RACED)
def test_an_ancestor_is_asked_for_old_methods_alone(name: str) -> None:
    assert TABLE[name].methods <= set(OLD)
    assert not TABLE[REFERENCE].methods & set(OLD)


@pytest.mark.parametrize("name", [name for name in ancestors.RACED if name != "procurator"])
def test_a_configuration_has_the_port_and_the_password(name: str, tmp_path: Path) -> None:
    account = make_account(METHODS[OLD[0]])
    launch = TABLE[name].launch(Path(), tmp_path, 1234, account)
    (file,) = (Path(word) for word in launch.argv if word.endswith(".json"))
    written = json.loads(file.read_text())
    assert (written["server_port"], written["password"], written["method"]) == (1234, account.password, OLD[0])


def test_procurator_gets_options_and_a_name_for_its_target(tmp_path: Path) -> None:
    account = make_account(METHODS[OLD[0]])
    launch = TABLE["procurator"].launch(Path(), tmp_path, 1234, account)
    assert {"1234", account.password} <= set(launch.argv)
    assert TABLE["procurator"].target_host == "localhost"


def test_ours_is_told_that_old_methods_are_meant(tmp_path: Path) -> None:
    for name, meant in ((OLD[0], True), ("aes-256-gcm", None)):
        directory = tmp_path / name
        directory.mkdir()
        TABLE[OURS].launch(Path("shadesocks"), directory, 1234, make_account(METHODS[name]))
        assert json.loads((directory / "config.json").read_text()).get("allow_legacy") is meant


def test_many_ports_are_written_as_port_password(tmp_path: Path) -> None:
    argv = ancestors.command_of_ports("python", tmp_path, {7000: "a", 7001: "b"}, OLD[0])
    (file,) = (Path(word) for word in argv if word.endswith(".json"))
    written = json.loads(file.read_text())
    assert written["port_password"] == {"7000": "a", "7001": "b"}
    assert "password" not in written

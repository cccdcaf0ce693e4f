"""The table of settings is whole: no name twice, no key in two rows, every model field in it, with its type."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import get_type_hints

import pytest

from shadesocks.config.model import Config, LocalConfig, ServerConfig
from shadesocks.config.setting import BOTH, Kind, Place, Role, Setting
from shadesocks.config.settings import SETTINGS, TABLE, known_keys
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer
from shadesocks.core.secret import Secret

_TYPES: dict[Kind, object] = {
    Kind.TEXT: str,
    Kind.HOST: str,
    Kind.ADDRESS: Address,
    Kind.SECONDS: float,
    Kind.COUNT: int,
    Kind.FLAG: bool,
    Kind.CHOICE: str,
    Kind.LEVEL: str,
    Kind.SIZE: int,
    Kind.PATH: str,
    Kind.NAME_SERVERS: tuple[NameServer, ...],
    Kind.NETWORKS: tuple[str, ...],
    Kind.NAMES: tuple[str, ...],
    Kind.PORTS: tuple[tuple[int, int], ...],
    Kind.PORT: int,
    Kind.SECRET: Secret,
}


def test_names_are_unique() -> None:
    assert len(SETTINGS) == len(TABLE)


@pytest.mark.parametrize("place", Place)
def test_keys_are_unique_in_their_place(place: Place) -> None:
    keys = [key for row in TABLE if place in row.places for key in (row.path, *row.aliases)]
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    assert known_keys(place).keys() == set(keys)


@pytest.mark.parametrize("role", BOTH)
def test_flags_are_unique(role: Role) -> None:
    flags = Counter(flag for row in TABLE for flag in row.flags_of(role))
    assert [flag for flag, count in flags.items() if count > 1] == []


@pytest.mark.parametrize("setting", TABLE, ids=lambda row: row.name)
def test_rows_are_complete(setting: Setting) -> None:
    assert setting.help.endswith(".")
    assert setting.places or setting.flags
    assert setting.roles
    assert setting.source
    assert setting.unit or setting.kind is not Kind.SECONDS
    if setting.kind is Kind.CHOICE:
        assert setting.default in setting.choices
    assert not {*setting.refused} & {*setting.choices}


def test_every_field_of_the_config_is_a_setting() -> None:
    hints = get_type_hints(Config)
    given = Config()
    for field in fields(Config):
        if field.name in ("servers", "locals", "outbound", "online", "template", "warnings", "where"):
            continue
        setting = SETTINGS[field.name]
        assert Place.TOP in setting.places
        expected = _TYPES[setting.kind]
        assert hints[field.name] in (expected, expected | None)  # type: ignore[operator]
        assert getattr(given, field.name) == setting.default


def test_every_setting_of_the_top_has_a_field() -> None:
    held = {field.name for model in (Config, ServerConfig, LocalConfig) for field in fields(model)}
    elsewhere = {
        "server": "address",
        "server_port": "address",
        "local_address": "address",
        "local_port": "address",
        "timeout": "handshake_timeout",
        "disabled": "servers",
        "local_udp_address": "udp_listen",
        "local_udp_port": "udp_listen",
        "server_url": "servers",
        "outbound_bind_address": "outbound",
        "local_ipv4_address": "outbound",
        "local_ipv6_address": "outbound",
        "outbound_bind_interface": "outbound",
        "outbound_fwmark": "outbound",
        "online_urls": "online",
        "online_interval": "online",
        "forward_address": "forward",
        "forward_port": "forward",
        "plugin_opts": "plugin",
        "plugin_args": "plugin",
        "plugin_mode": "plugin",
    }
    assert {elsewhere.get(name, name) for name in SETTINGS} - held - {"servers"} == set()


def test_the_path_is_the_key_or_the_name() -> None:
    assert SETTINGS["log_level"].path == "log.level"
    assert SETTINGS["timeout"].path == "timeout"


def test_defaults_in_words() -> None:
    words = {name: setting.default_words for name, setting in SETTINGS.items()}
    assert words["handshake_timeout"] == "59 s"
    assert words["keep_alive"] == "15 s"
    assert words["first_payload_timeout"] == "0.1 s"
    assert words["allow_private"] == "false"
    assert words["silent_limit"] == "a quarter of the descriptor limit"
    assert words["password"] == ""
    assert words["dns"] == "those of the system's resolv.conf"
    assert words["outbound_fwmark"] == "0"

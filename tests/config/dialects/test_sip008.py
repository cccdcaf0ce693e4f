"""Documents of SIP008 as files."""

from __future__ import annotations

from typing import Any

import pytest

from shadesocks.config import Mode

from .samples import PASSWORD, config_of, look, problems, servers, warnings

ENTRY: dict[str, Any] = {
    "id": "27b8a625-4f4b-4428-9f0f-8a2317db7c79",
    "remarks": "one",
    "server": "h.example",
    "server_port": 8388,
    "password": PASSWORD,
    "method": "aes-256-gcm",
    "plugin": "",
    "plugin_opts": "",
}
DOCUMENT: dict[str, Any] = {"version": 1, "servers": [ENTRY], "bytes_used": 5, "bytes_remaining": 7}


def test_it_is_found_and_read() -> None:
    report = look(DOCUMENT, "local")
    assert report.taken is not None
    assert report.taken.dialect.name == "sip008"
    config = config_of(DOCUMENT, "local")
    assert servers(config) == [f"h.example:8388 {PASSWORD}"]
    assert (config.servers[0].id, config.servers[0].remarks, config.servers[0].mode) == (
        ENTRY["id"],
        "one",
        Mode.TCP_AND_UDP,
    )
    assert warnings(DOCUMENT, "local") == []


def test_fields_of_others_are_passed_over_without_a_word() -> None:
    other = {**ENTRY, "acl": "/etc/passwd", "outbound_proxy": "socks5://h:1", "custom_field": [1]}
    keys = {**DOCUMENT, "username": "u", "servers": [other]}
    assert warnings(keys, "local") == []
    (server,) = config_of(keys, "local").servers
    assert (server.acl, server.outbound_proxy) == (None, ())


def test_one_bad_server_costs_no_other() -> None:
    keys = {**DOCUMENT, "servers": [{**ENTRY, "method": "rot13"}, ENTRY, 7]}
    assert len(config_of(keys, "local").servers) == 1
    first, second = warnings(keys, "local")
    assert first.startswith("servers[0]: this server is left out: method: no method has this name")
    assert second.startswith("servers[2]: this server is left out: expected an object in braces")


@pytest.mark.parametrize("version", [2, "1", True])
def test_versions(version: object) -> None:
    assert problems({**DOCUMENT, "version": version}, "local") == [
        "version: the version of this document is not 1, the only one there is"
    ]


def test_a_file_of_ours_with_a_version_is_ours() -> None:
    report = look({**DOCUMENT, "local_port": 1080}, "local")
    assert report.taken is not None
    assert report.taken.dialect.name == "rust"


def test_a_plugin_is_a_name_and_no_path() -> None:
    entries = [{**ENTRY, "plugin": name, "plugin_opts": "obfs=tls"} for name in ("obfs-local", "/srv/x", "./x")]
    keys = {**DOCUMENT, "servers": entries}
    (server,) = config_of(keys, "local").servers
    assert server.plugin is not None
    assert (server.plugin.name, server.plugin.options.reveal()) == ("obfs-local", "obfs=tls")
    assert [warning.partition(",")[0] for warning in warnings(keys, "local")] == [
        "servers[1]: this server is left out: plugin: this names a plugin by its path",
        "servers[2]: this server is left out: plugin: a path begins with / here; give the absolute path",
    ]

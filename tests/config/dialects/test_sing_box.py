"""sing-box: Shadowsocks outbounds, and words for the rest."""

from __future__ import annotations

from typing import Any

from shadesocks.config import Mode

from .samples import PASSWORD, config_of, look, problems, servers, warnings

ONE: dict[str, Any] = {
    "type": "shadowsocks",
    "tag": "one",
    "server": "h.example",
    "server_port": 1080,
    "method": "aes-256-gcm",
    "password": PASSWORD,
    "plugin": "",
}
FILE: dict[str, Any] = {"outbounds": [{"type": "direct", "tag": "d"}, ONE, {"type": "selector", "outbounds": ["one"]}]}


def test_its_servers() -> None:
    report = look(FILE, "local")
    assert report.taken is not None
    assert (report.taken.dialect.name, report.taken.why) == ("sing-box", "it has outbounds, a key of sing-box")
    config = config_of(FILE, "local")
    assert servers(config) == [f"h.example:1080 {PASSWORD}"]
    assert (config.servers[0].remarks, config.servers[0].mode) == ("one", Mode.TCP_AND_UDP)
    assert warnings(FILE, "local") == []


def test_a_network_is_a_mode() -> None:
    outbounds = [{**ONE, "network": "tcp"}, {**ONE, "network": "udp", "server_port": 2}]
    assert [server.mode for server in config_of({"outbounds": outbounds}).servers] == [Mode.TCP_ONLY, Mode.UDP_ONLY]


def test_what_is_left_out_is_told() -> None:
    keys = {
        "log": {"level": "info"},
        "inbounds": [],
        "outbounds": [{**ONE, "multiplex": {"enabled": True}, "udp_over_tcp": True}, {"type": "vmess"}, 7],
    }
    assert warnings(keys, "local") == [
        "log: only outbounds are read of a file of sing-box; left out are log, inbounds",
        "outbounds: no Shadowsocks, and left out: 1 of no type, 1 of vmess",
        "outbounds[0].multiplex: has no effect: connections are not multiplexed here; the server must take them one by "
        "one, which it does by default",
        "outbounds[0].udp_over_tcp: has no effect: datagrams go as datagrams here, or not at all",
    ]
    quiet = {**ONE, "multiplex": {"enabled": False}, "udp_over_tcp": False}
    assert warnings({"outbounds": [quiet]}, "local") == []


def test_one_bad_server_costs_no_other() -> None:
    keys = {"outbounds": [{**ONE, "method": "rot13"}, ONE]}
    assert len(config_of(keys, "local").servers) == 1
    assert warnings(keys, "local")[0].startswith("servers[0]: this server is left out: ")


def test_what_is_wrong() -> None:
    assert problems({"outbounds": {}})[0] == "outbounds: expected a list of objects, in square brackets"
    assert problems({"server": "h"}, "local", "sing-box")[0] == "outbounds: is missing; this is no file of sing-box"


def test_outbounds_of_v2ray_are_called_by_their_name() -> None:
    freedom = {"protocol": "freedom"}
    server = {"address": "h.example", "port": 1, "method": "aes-256-gcm", "password": "p"}
    (problem, *_) = problems({"outbounds": [freedom, {"protocol": "shadowsocks", "settings": {"servers": [server]}}]})
    assert problem.startswith("outbounds: these are outbounds of V2Ray or Xray")
    assert len(config_of({"outbounds": [ONE, freedom]}).servers) == 1

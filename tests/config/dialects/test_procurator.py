"""procurator's flags, as the keys of a file."""

from __future__ import annotations

from shadesocks.config import Config, Mode
from shadesocks.config.dialects.go import every_address
from shadesocks.config.setting import Role
from shadesocks.core.address import Address

from .samples import PASSWORD, config_of, problems, servers, warnings

ANY = every_address()
SERVER: dict[str, object] = {"remote_port": "8080", "password": PASSWORD}
CLIENT: dict[str, object] = {
    "remote_host": "h.example",
    "remote_port": "8080",
    "local_port": "1080",
    "password": PASSWORD,
}
FORWARD: dict[str, object] = {
    **CLIENT,
    "remote_udp_port": "8081",
    "local_udp_port": "1053",
    "udp_target_host": "8.8.8.8",
    "udp_target_port": "53",
    "log_level": "LL_DEBUG",
}


def procurator(flags: dict[str, object], role: Role | None = None) -> Config:
    return config_of(None, role, "procurator", flags)


def test_a_server_listens_on_every_interface() -> None:
    config = procurator(SERVER, "server")
    assert servers(config) == [f"{Address(ANY, 8080)} {PASSWORD}"]
    assert (config.servers[0].method.name, config.servers[0].mode) == ("aes-256-cfb", Mode.TCP_AND_UDP)
    assert (config.idle_timeout, config.udp_timeout, config.stream_replay) == (600.0, 30.0, "allow")


def test_a_client() -> None:
    config = procurator(CLIENT, "local")
    (server,), (local,) = config.servers, config.locals
    assert (str(server.address), server.compat, server.pool) == ("h.example:8080", "procurator", 8)
    assert (str(local.address), local.socks_reply_port, local.mode) == ("0.0.0.0:1080", 1, Mode.TCP_AND_UDP)
    assert [line.partition(":")[0] for line in warnings(None, "local", "procurator", CLIENT)] == ["local_address"]


def test_datagrams_with_one_target() -> None:
    config = procurator(FORWARD, "local")
    socks, tunnel = sorted(config.locals, key=lambda local: local.protocol)
    assert (str(socks.address), socks.protocol, str(tunnel.address)) == ("0.0.0.0:1080", "socks", "0.0.0.0:1053")
    assert (tunnel.mode, tunnel.forward) == (Mode.UDP_ONLY, Address("8.8.8.8", 53))
    assert config.log_level == "trace"
    assert procurator({**FORWARD, "log_level": "LL_VERBOSE"}, "local").log_level == "debug"


def test_without_a_target_the_port_is_that_of_socks_datagrams() -> None:
    (local,) = procurator({**CLIENT, "local_udp_port": "1081"}, "local").locals
    assert str(local.udp_address) == "0.0.0.0:1081"
    assert len(procurator({**CLIENT, "udp_target_host": "8.8.8.8"}, "local").locals) == 1


def test_a_target_needs_a_port_to_listen_on() -> None:
    keys = {**CLIENT, "udp_target_host": "8.8.8.8", "udp_target_port": "53"}
    assert problems(keys, "local", "procurator") == [
        "udp_target_host: local_udp_port is missing: the port whose datagrams go to this target"
    ]


def test_its_transport_over_udp_is_not_spoken() -> None:
    said = [
        line for line in warnings(None, "server", "procurator", {**SERVER, "remote_udp_port": "1"}) if "rdp" in line
    ]
    assert said == [
        "--remote_udp_port: has no effect: procurator's librdp transport is not spoken here; UDP has the number of "
        "remote_port"
    ]


def test_no_end_is_named() -> None:
    assert len(procurator(CLIENT).locals) == 1
    assert procurator(SERVER).locals == ()

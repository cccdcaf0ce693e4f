"""What an end needs to be started."""

from __future__ import annotations

from dataclasses import replace

from shadesocks.config import Config, LocalConfig, Mode, ServerConfig
from shadesocks.config.findings import Findings
from shadesocks.config.model import DEFAULT_LOCAL
from shadesocks.config.needs import check_needs, filled, ways_of
from shadesocks.config.reader import Mark
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import find_method

SERVER = ServerConfig(Address("h.example", 1), find_method("aes-256-gcm"), Secret("pw"))
LOCAL = LocalConfig(Address("127.0.0.1", 1080))


def test_where_entries_listen() -> None:
    both = replace(SERVER, mode=Mode.TCP_AND_UDP)
    assert list(ways_of(SERVER)) == [("", SERVER.address)]
    assert list(ways_of(both)) == [("", SERVER.address), (" for UDP", SERVER.address)]
    assert list(ways_of(replace(both, mode=Mode.UDP_ONLY))) == [(" for UDP", SERVER.address)]
    udp_only = replace(LOCAL, mode=Mode.UDP_ONLY)
    assert list(ways_of(udp_only)) == [("", LOCAL.address), (" for UDP", LOCAL.address)]
    assert list(ways_of(replace(udp_only, udp_socket_per_association=True))) == [("", LOCAL.address)]


def test_what_is_missing_or_taken_is_told() -> None:
    findings = Findings(None)
    mark = Mark("c.json", 1)
    check_needs(False, [(ways_of(LOCAL), Mark("c.json", line), f"locals[{line}]") for line in (2, 3)], mark, findings)
    assert [str(problem) for problem in findings.problems] == [
        "c.json:1: no server is named; give server, server_port, method and password, or -s, -m and -k, or a link "
        "by --server-url",
        "c.json:3: locals[3]: 127.0.0.1:1080 is taken by an entry before this one; choose another port",
    ]


def test_a_client_has_a_listener_for_what_its_servers_serve() -> None:
    assert filled(Config((SERVER,)), "local").locals == (replace(DEFAULT_LOCAL, mode=Mode.TCP_ONLY),)
    assert filled(Config(), "local").locals == (replace(DEFAULT_LOCAL, mode=Mode.TCP_AND_UDP),)
    config = Config((SERVER,), (LOCAL,))
    assert filled(config, "local") is config
    assert filled(Config((SERVER,)), "server").locals == ()

"""Commands to ports that are remembered: what each dialect does, says and tells unasked."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.load import load
from shadesocks.config.model import Config, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.service.manager.manager import PASSED_OVER_MAX, SENDERS_MAX, Manager
from shadesocks.wire.manager import DIALECTS

PASSWORD = "correct horse battery staple"
PORTS = range(9000, 9051)


class Table:
    """A service without sockets."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.open: dict[Address, ServerConfig] = {}
        self.sizes: dict[int, int] = {}
        self.taken: set[int] = set()
        self.removed: list[Address | int] = []
        self.cut: list[int] = []

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        return tuple(self.open.values())

    def passed(self) -> dict[int, int]:
        return dict(self.sizes)

    def passed_at(self, port: int) -> int:
        return self.sizes.get(port, 0)

    async def add(self, server: ServerConfig) -> Address:
        await self.change(server)
        return server.address

    async def change(self, server: ServerConfig, *, cuts: bool = False) -> None:
        if server.address.port in self.taken:
            raise ConfigError([Problem("config", None, "", "cannot listen there")])
        self.cut += [server.address.port] * cuts
        self.open[server.address] = server
        self.sizes.setdefault(server.address.port, 0)

    async def remove(self, which: Address | int) -> bool:
        self.removed.append(which)
        found = [address for address in self.open if which in (address, address.port)]
        for address in found:
            del self.open[address]
        return bool(found)


class Desk:
    """A manager in one dialect, and all that it sent: the message, and to whom."""

    def __init__(self, dialect: str, **keys: Any) -> None:
        text = {"manager_listen": "127.0.0.1:0", "method": "aes-256-gcm", "manager_dialect": dialect, **keys}
        self.table = Table(load(json.dumps(text), role="server"))
        self.sent: list[tuple[bytes, Any]] = []
        self.works = True
        self.manager = Manager(self.table, self._send)

    def _send(self, message: bytes, to: Any) -> bool:
        if self.works:
            self.sent.append((message, to))
        return self.works

    def ask(self, request: str, sender: Any = "tool") -> list[bytes]:
        """Give a command, and return what came back to its sender."""
        self.sent.clear()
        finish(self.manager.take(request.encode(), sender))
        assert all(to == sender for _, to in self.sent)
        return [message for message, _ in self.sent]

    def add(self, port: int = 8001, **keys: Any) -> list[bytes]:
        """Add a port."""
        return self.ask("add: " + json.dumps({"server_port": port, "password": PASSWORD, **keys}))

    def report(self) -> list[tuple[bytes, Any]]:
        """Return what is told after ten seconds."""
        self.sent.clear()
        self.manager.report()
        return list(self.sent)


def finish(story: Coroutine[Any, Any, None]) -> None:
    """Run what waits for nothing."""
    with pytest.raises(StopIteration):
        story.send(None)


END = {name: dialect.end.encode() for name, dialect in DIALECTS.items()}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_port_is_added_with_what_the_file_says_and_the_command_overrides(name: str) -> None:
    keys = {"mode": "tcp_and_udp", "handshake_timeout": 7, "server": "127.0.0.1"}
    desk = Desk(name, **keys)
    assert desk.add() == [b"ok" + END[name]]
    assert desk.add(8002, method="chacha20-ietf-poly1305", mode="tcp_only") == [b"ok" + END[name]]
    first, second = desk.table.servers
    assert first.address == Address("127.0.0.1", 8001)
    assert (first.method.name, first.mode.value, first.handshake_timeout) == ("aes-256-gcm", "tcp_and_udp", 7.0)
    assert (second.method.name, second.mode.value) == ("chacha20-ietf-poly1305", "tcp_only")
    assert first.password.reveal() == PASSWORD


def test_what_is_odd_about_a_port_is_said_with_its_key_where_it_has_one(caplog: pytest.LogCaptureFixture) -> None:
    Desk("python", method="aes-256-cfb", allow_legacy=True).add(password="x")
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("manager: port 8001: password: this password is weak") for line in lines)
    assert any(line.startswith("manager: port 8001: method aes-256-cfb does not notice") for line in lines)


@pytest.mark.parametrize(
    ("name", "same_port", "cut"),
    [("python", PASSWORD, []), ("go", "another", []), ("libev", "another", [8001]), ("rust", "another", [])],
)
def test_a_port_that_is_open_is_kept_or_replaced(name: str, same_port: str, cut: list[int]) -> None:
    desk = Desk(name)
    desk.add()
    assert desk.add() == [b"ok" + END[name]]
    assert desk.table.removed == []
    assert desk.add(password="another") == [b"ok" + END[name]]
    [server] = desk.table.servers
    assert server.password.reveal() == same_port
    assert desk.table.removed == []
    assert desk.table.cut == cut


def test_a_port_of_the_file_is_replaced_where_it_listens() -> None:
    desk = Desk("go")
    desk.add()
    [(_, server)] = desk.table.open.items()
    for host in ("127.0.0.1", "127.0.0.2"):
        address = Address(host, 8002)
        desk.table.open[address] = replace(server, address=address)
    assert desk.add(8002, password="another") == [b"ok"]
    assert len(desk.table.open) == 3
    assert [one.password.reveal() for one in desk.table.servers] == [PASSWORD, "another", "another"]


BAD = [
    "add: {",
    "add",
    'add: {"server_port": 8001}',
    'add: {"server_port": 0, "password": "x"}',
    "remove: {}",
    "remove",
]


@pytest.mark.parametrize("request_", BAD)
@pytest.mark.parametrize("name", DIALECTS)
def test_what_cannot_be_read(name: str, request_: str) -> None:
    desk = Desk(name)
    assert desk.ask(request_) == ([b"err"] if name in ("go", "libev") else [])
    assert desk.table.servers == ()


@pytest.mark.parametrize("request_", ["", "\n", "bogus", "bogus: {}", "Ping"])
@pytest.mark.parametrize("name", DIALECTS)
def test_what_is_no_command_has_no_answer(name: str, request_: str) -> None:
    assert Desk(name).ask(request_) == []


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"method": "rc4-md5"}, "refused"),
        ({"method": "2022-blake3-aes-128-gcm"}, "not a key"),
        ({"password": ""}, "empty"),
        ({"timeout": -1}, "timeout"),
        ({"plugin": "obfs-server"}, "plugin"),
    ],
)
@pytest.mark.parametrize("name", DIALECTS)
def test_what_no_file_may_say_no_command_may(
    name: str, keys: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(name)
    if name == "libev" and "timeout" in keys:
        return  # libev's commands know no such key
    answers = {"python": [], "go": [b"err"], "libev": [b"err"], "rust": [b"invalid server\n"]}
    assert desk.add(**keys) == answers[name]
    assert desk.table.servers == ()
    assert "port 8001 was not added" in caplog.text
    assert PASSWORD not in caplog.text


def test_old_ciphers_are_taken_where_the_file_allows_them() -> None:
    desk = Desk("python", allow_legacy=True)
    assert desk.add(method="rc4-md5") == [b"ok"]


@pytest.mark.parametrize(
    ("name", "answer"), [("python", []), ("go", [b"err"]), ("rust", [b'unrecognized method "nope"\n'])]
)
def test_a_method_that_nobody_knows(name: str, answer: list[bytes]) -> None:
    assert Desk(name).add(method="nope") == answer


@pytest.mark.parametrize(
    ("name", "answer"),
    [("python", b"err"), ("go", b"err"), ("libev", b"port is not available"), ("rust", b"cannot listen there\n")],
)
def test_p24_a_port_that_cannot_be_listened_on_is_answered(name: str, answer: bytes) -> None:
    desk = Desk(name)
    desk.table.taken.add(8001)
    assert desk.add() == [answer]
    desk.table.taken.clear()
    assert desk.add() == [b"ok" + END[name]]


@pytest.mark.parametrize("name", DIALECTS)
def test_p24_what_is_open_can_be_asked_for(name: str) -> None:
    desk = Desk(name)
    desk.add()
    rows = json.loads(b"".join(desk.ask("list")))
    assert [(int(row["server_port"]), row["password"]) for row in rows] == [(8001, PASSWORD)]
    assert ("method" in rows[0]) == (name != "rust")


@pytest.mark.parametrize("name", DIALECTS)
def test_a_port_is_removed_and_one_that_is_not_there_too(name: str) -> None:
    desk = Desk(name)
    desk.add()
    for _ in range(2):
        assert desk.ask('remove: {"server_port": 8001}') == [b"ok" + END[name]]
    assert desk.table.servers == ()


@pytest.mark.parametrize("name", ["libev", "rust"])
def test_a_ping_is_answered_with_what_passed_since_the_port_was_added(name: str) -> None:
    desk = Desk(name)
    desk.table.sizes[8001] = 50  # of a life before
    desk.add()
    desk.add(8002)
    desk.table.sizes[8001] += 7
    assert desk.ask("ping") == [b'stat: {"8001":7,"8002":0}' + END[name]]
    assert desk.report() == []
    desk.ask('remove: {"server_port": 8001}')
    assert desk.ask("ping") == [b'stat: {"8002":0}' + END[name]]


# -- Python's statistics ----------------------------------------------------------------------------


def test_python_tells_what_is_new_to_the_last_who_asked() -> None:
    desk = Desk("python")
    desk.add(8001)
    desk.add(8002)
    assert desk.report() == []
    desk.table.sizes[8001] = 11370
    assert desk.report() == [(b'stat: {"8001":11370}', "tool")]
    assert desk.report() == []
    desk.table.sizes |= {8001: 11371, 8002: 5}
    assert desk.ask("ping", "another") == [b"pong"]
    assert desk.report() == [(b'stat: {"8001":1,"8002":5}', "another")]


def test_python_tells_of_a_port_that_was_removed_and_added() -> None:
    desk = Desk("python")
    desk.add()
    desk.table.sizes[8001] = 10
    desk.ask('remove: {"server_port": 8001}')
    assert desk.report() == [(b'stat: {"8001":10}', "tool")]
    desk.table.sizes[8001] = 12
    desk.add()
    desk.table.sizes[8001] = 15
    assert desk.report() == [(b'stat: {"8001":5}', "tool")]


def test_python_tells_of_fifty_ports_in_a_message() -> None:
    desk = Desk("python")
    desk.table.sizes = dict.fromkeys(PORTS, 1)
    desk.ask("ping")
    counts = [len(json.loads(message[6:])) for message, _ in desk.report()]
    assert counts == [50, 1]


def test_p24_what_could_not_be_sent_is_told_later() -> None:
    desk = Desk("python")
    desk.ask("ping")
    desk.table.sizes[8001] = 10
    desk.works = False
    assert desk.report() == []
    desk.works = True
    desk.table.sizes[8001] = 11
    assert desk.report() == [(b'stat: {"8001":11}', "tool")]


@pytest.mark.parametrize("request_", ["bogus", "", "add: {", "remove: {}"])
def test_p24_only_a_command_moves_the_statistics(request_: str) -> None:
    desk = Desk("python")
    desk.ask("ping")
    desk.ask(request_, "stranger")
    desk.ask("ping", None)
    desk.table.sizes[8001] = 1
    assert desk.report() == [(b'stat: {"8001":1}', "tool")]


# -- go's -------------------------------------------------------------------------------------------


def test_g8_go_tells_all_who_pinged_until_they_stop() -> None:
    desk = Desk("go")
    desk.add()
    assert desk.report() == []
    assert desk.ask("ping", "a") == desk.ask("ping", "b") == [b"pong"]
    desk.table.sizes[8001] = 3
    for _ in range(2):  # what passed in all
        assert desk.report() == [(b'stat: {"8001":3}', "a"), (b'stat: {"8001":3}', "b")]
    assert desk.ask("ping-stop", "a") == [b"pong"]
    assert desk.report() == [(b'stat: {"8001":3}', "b")]
    assert desk.ask("ping-stop", "a") == [b"pong"]


def test_g8_a_long_command_is_read_to_its_end() -> None:
    desk = Desk("go")
    assert desk.add(password="x" * 2000) == [b"ok"]
    assert desk.table.servers[0].password.reveal() == "x" * 2000


def test_go_tells_no_more_than_so_many() -> None:
    desk = Desk("go")
    for number in range(SENDERS_MAX + 1):
        desk.ask("ping", number)
    assert [to for _, to in desk.report()] == list(range(1, SENDERS_MAX + 1))


@pytest.mark.parametrize("name", DIALECTS)
def test_what_servers_of_others_say_changes_nothing(name: str) -> None:
    desk = Desk(name)
    desk.add()
    assert desk.ask('stat: {"8001": 5}\0') == []
    assert desk.table.sizes == {8001: 0}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_flood_of_what_is_no_command_does_not_fill_the_log(name: str, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(name)
    for _ in range(2):
        caplog.clear()
        for _ in range(PASSED_OVER_MAX + 7):
            desk.ask("bogus")
        desk.report()
        assert len(caplog.messages) == PASSED_OVER_MAX + 1
        assert caplog.messages[-1] == "manager: 7 more commands were passed over"
    caplog.clear()
    desk.report()
    assert caplog.messages == []


# -- what others say, words, hosts ------------------------------------------------------------------


def test_libev_hears_what_servers_of_others_say_of_open_ports() -> None:
    desk = Desk("libev")
    desk.add(8001)
    desk.table.sizes[8001] = 7
    for size in (4567, 4570):  # each is all that passed so far
        assert desk.ask(f'stat: {{"8001":{size},"9999":5}}\0') == []
        assert desk.ask("ping") == [b'stat: {"8001":%d}' % (7 + size)]
    assert desk.ask('stat: {"8001":18446744073709551615}') == []
    assert desk.ask("ping") == [b'stat: {"8001":4577}'], "more than anybody has ever passed is passed over"
    desk.add(8001, password="another")
    assert desk.ask("ping") == [b'stat: {"8001":4577}']
    desk.ask('remove: {"server_port": 8001}')
    desk.add(8001)
    assert desk.ask("ping") == [b'stat: {"8001":0}']


@pytest.mark.parametrize(
    ("name", "answer"), [("python", []), ("go", [b"err"]), ("libev", [b"err"]), ("rust", [b'unrecognized mode "x"\n'])]
)
def test_a_mode_that_nobody_knows(name: str, answer: list[bytes]) -> None:
    desk = Desk(name)
    assert desk.add(mode="x") == answer
    assert desk.table.servers == ()


def test_a_method_of_gos_may_ask_for_one_time_authentication() -> None:
    desk = Desk("go", allow_legacy=True)
    assert desk.add(8001, method="aes-256-cfb-auth") == [b"ok"]
    assert desk.add(8002, method="aes-256-cfb") == [b"ok"]
    assert [(server.method.name, server.one_time_auth) for server in desk.table.servers] == [
        ("aes-256-cfb", True),
        ("aes-256-cfb", False),
    ]


def two_hosts(name: str) -> Desk:
    """A desk with one port on two hosts."""
    desk = Desk(name)
    desk.add()
    [(_, server)] = desk.table.open.items()
    desk.table.open.clear()
    for host in ("127.0.0.1", "127.0.0.2"):
        desk.table.open[Address(host, 8001)] = replace(server, address=Address(host, 8001))
    return desk


@pytest.mark.parametrize("name", ["go", "libev", "rust"])
def test_s29_a_port_on_several_hosts_is_replaced_on_all_of_them_or_on_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = two_hosts(name)
    before = dict(desk.table.open)
    change = desk.table.change

    async def fail_on_second(server: ServerConfig, *, cuts: bool = False) -> None:
        if server.address.host == "127.0.0.2":
            raise ConfigError([Problem("config", None, "", "cannot listen there")])
        await change(server, cuts=cuts)

    monkeypatch.setattr(desk.table, "change", fail_on_second)
    assert desk.add(password="another") != [b"ok" + END[name]]
    assert desk.table.open == before
    monkeypatch.undo()
    assert desk.add(password="another") == [b"ok" + END[name]]
    assert {server.password.reveal() for server in desk.table.servers} == {"another"}
    assert len(desk.table.servers) == 2


def test_a_port_that_gets_a_host_of_its_own_leaves_the_others() -> None:
    desk = two_hosts("rust")
    assert desk.add(server="127.0.0.2", password="another") == [b"ok\n"]
    assert [str(server.address) for server in desk.table.servers] == ["127.0.0.2:8001"]


USERS = [{"name": "alice", "password": "AQEBAQEBAQEBAQEBAQEBAQ=="}]


def test_rusts_list_names_the_users_of_a_port() -> None:
    desk = Desk("rust", method="2022-blake3-aes-128-gcm")
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    assert desk.add(password=key, users=USERS) == [b"ok\n"]
    [listed] = desk.ask("list")
    assert json.loads(listed) == [{"server_port": 8001, "password": key, "users": USERS}]

"""T25: whatever is said to a manager, in whatever order and however often, it is what a plain table says.

The table of ports is not opened here, the file of kept ports is real. A crash loses what was not written yet, and
nothing else; what was told of traffic is never more than what passed. With workers the one with the manager dies now
and then: that loses no port and no answer, nothing that was told, and of what passed only what it had not said.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shadesocks.config.files import write_private
from shadesocks.config.load import load
from shadesocks.service.manager.figures import AllFigures
from shadesocks.service.manager.kept import KeptPorts, PassedOn
from shadesocks.service.manager.manager import Manager
from shadesocks.service.manager.tally import Share, Tally
from shadesocks.wire.manager import DIALECTS
from tests.peers import whole as whole

from .test_manager import Table, finish

PORTS = (8001, 8002, 8003)
TOOLS = ("tool", "another")
PASSWORDS = ("correct horse battery staple", 'of "quotes" and \\ and \u00fc and ${HOME}')
METHODS = ("aes-256-gcm", "chacha20-ietf-poly1305")


class Disk(KeptPorts):
    """Kept ports that are written when the test says so."""

    def _write_soon(self) -> None:
        pass


class NextDisk(PassedOn):
    """The same in a worker after another one."""

    def _write_soon(self) -> None:
        pass


Said = tuple[str, dict[str, Any] | None]
"""A command, and its JSON."""
ADDS = st.builds(
    lambda port, password, method: ("add", {"server_port": port, "password": password, "method": method}),
    st.sampled_from(PORTS),
    st.sampled_from(PASSWORDS),
    st.sampled_from(METHODS),
)
REMOVES = st.builds(lambda port: ("remove", {"server_port": port}), st.sampled_from(PORTS))
PLAIN = st.sampled_from([("list", None), ("ping", None)])
STATS = st.builds(
    lambda port, size: ("stat", {str(port): size}), st.sampled_from((*PORTS, 9999)), st.integers(0, 1 << 40)
)
BAD: list[Said] = [
    ("add", {"server_port": 8001}),
    ("add", {"server_port": 0, "password": "p"}),
    ("add", {"server_port": "8001x", "password": "p"}),
    ("add", None),
    ("remove", {}),
    ("remove", {"server_port": 70000}),
]
COMMANDS = st.one_of(ADDS, ADDS, ADDS, REMOVES, PLAIN, STATS)


class Machine(RuleBasedStateMachine):
    """A manager beside what it should be."""

    name: ClassVar[str] = ""
    has_workers: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.dialect = DIALECTS[self.name]
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ports.json"
        self.open: dict[int, tuple[str, str]] = {}
        self.kept: dict[int, tuple[str, str]] = {}
        self.written: dict[int, tuple[str, str]] = {}
        self.from_: Counter[int] = Counter()
        """What had passed when a port was added: totals count from there."""
        self.heard: Counter[int] = Counter()
        self.before: Counter[int] = Counter()
        """What passed through workers that are gone."""
        self.tally: Tally | None = None
        self.got: Counter[int] = Counter()
        """What tools were told, where they are told what is new."""
        self.pingers: dict[str, None] = {}
        self.last: list[Said] = []
        self.works = True
        self.sent: list[tuple[bytes, Any]] = []
        self.begin()

    def begin(self) -> None:
        text = {"manager_listen": "127.0.0.1:0", "manager_dialect": self.name, "server": "127.0.0.1"}
        self.table = Table(load(json.dumps(text), role="server"))
        self.disk: KeptPorts = Disk(str(self.path))
        self.before.clear()
        if self.has_workers:
            self.end()
            self.tally = Tally(2)
        self.manager = Manager(self.table, self.send, self.disk, figures=self.figures())
        finish(self.manager.restore())

    def figures(self) -> AllFigures | None:
        """What the manager of a worker that begins now tells of; None: of itself."""
        if self.tally is None:
            return None
        self.share = Share(self.tally, 1)
        return AllFigures(self.table, self.share)

    def end(self) -> None:
        if self.tally is not None:
            self.tally.close()

    def passed(self) -> Counter[int]:
        return self.before + Counter(self.table.sizes)

    def send(self, message: bytes, to: Any) -> bool:
        if self.works:
            self.sent.append((message, to))
        return self.works

    def ask(self, said: Said, tool: str) -> None:
        """Say something, and compare the answer."""
        command, value = said
        text = command if value is None else f"{command}: {json.dumps(value)}"
        self.sent.clear()
        finish(self.manager.take(text.encode(), tool))
        wanted = self.model(said, tool)
        got = b"".join(message for message, _ in self.sent).decode()
        assert {to for _, to in self.sent} <= {tool}
        if command == "list":
            rows = json.loads(got)
            listed = {int(row["server_port"]): (row["password"], row.get("method")) for row in rows}
            assert {port: password for port, (password, _) in listed.items()} == {
                port: password for port, (password, _) in self.open.items()
            }
            if self.name != "rust":
                assert listed == self.open
        elif command == "ping" and not self.dialect.pushes:
            assert json.loads(got.removeprefix("stat: ")) == {str(port): self.total(port) for port in self.open}
        else:
            assert got == (wanted + self.dialect.end if wanted else "")

    def total(self, port: int) -> int:
        return self.passed()[port] - self.from_[port] + self.heard[port]

    def model(self, said: Said, tool: str) -> str:
        """Do a command to the model, and return what should be said."""
        command, value = said
        if said in BAD:
            return self.dialect.answers.get("bad", "")
        if self.dialect.pushes == "deltas":
            self.pingers = {tool: None}
        if command == "add":
            assert value is not None
            return self.add(value["server_port"], (value["password"], value["method"]))
        if command == "remove":
            assert value is not None
            port = value["server_port"]
            self.open.pop(port, None)
            self.kept.pop(port, None)
            self.heard.pop(port, None)
            return "ok"
        if command == "stat" and self.dialect.hears and value is not None:
            self.heard.update(
                {int(port): size - self.heard[int(port)] for port, size in value.items() if int(port) in self.open}
            )
        if command == "ping" and self.dialect.pushes == "totals":
            self.pingers.pop(tool, None)
            self.pingers[tool] = None
        return "pong" if command == "ping" else ""

    def add(self, port: int, what: tuple[str, str]) -> str:
        there = self.open.get(port)
        if there is not None and not self.dialect.replaces:
            return "ok"
        if what != there and port in self.table.taken:
            why = {"rust": "cannot listen there"}
            return why.get(self.name, self.dialect.answers["taken"])
        if there is None:
            self.heard.pop(port, None)
            self.from_[port] = self.passed()[port]
        self.open[port] = self.kept[port] = what
        return "ok"

    # -- what may happen ---------------------------------------------------------------------------

    @rule(said=COMMANDS, tool=st.sampled_from(TOOLS))
    def say(self, said: Said, tool: str) -> None:
        self.last = [said]
        self.ask(said, tool)

    @rule(batch=st.lists(COMMANDS, min_size=2, max_size=5), tool=st.sampled_from(TOOLS), data=st.data())
    def say_in_any_order(self, batch: list[Said], tool: str, data: st.DataObject) -> None:
        self.last = data.draw(st.permutations(batch))
        for said in self.last:
            self.ask(said, tool)

    @precondition(lambda self: self.last)
    @rule(tool=st.sampled_from(TOOLS))
    def say_again(self, tool: str) -> None:
        for said in self.last:
            self.ask(said, tool)

    @rule(said=st.sampled_from(BAD), tool=st.sampled_from(TOOLS))
    def say_nonsense(self, said: Said, tool: str) -> None:
        self.ask(said, tool)

    @rule(size=st.integers(1, 1 << 40))
    def pass_through(self, size: int) -> None:
        for port in self.open:
            self.table.sizes[port] = self.table.sizes.get(port, 0) + size + port

    @rule()
    def somebody_else_takes_or_leaves(self) -> None:
        self.table.taken ^= {PORTS[0]}

    @rule(works=st.sampled_from([True, True, False]))
    def report(self, works: bool) -> None:
        self.sent.clear()
        self.works = works
        self.manager.report()
        if self.dialect.pushes == "deltas":
            assert {to for _, to in self.sent} <= set(self.pingers)
            for message, _ in self.sent:
                self.got.update({int(port): size for port, size in json.loads(message[6:]).items()})
            if self.works and self.pingers:
                assert +self.got == self.passed()
        elif self.dialect.pushes and self.works:
            totals = json.dumps({str(port): self.total(port) for port in self.open}, separators=(",", ":"))
            assert [to for _, to in self.sent] == list(self.pingers)
            assert all(json.loads(message[6:]) == json.loads(totals) for message, _ in self.sent)
        else:
            assert self.sent == []
        self.works = True

    @rule()
    def write(self) -> None:
        write_private(self.disk.path, self.disk._text())
        self.written = dict(self.kept)

    @initialize()
    def open_some(self) -> None:
        for port in PORTS[1:]:
            self.ask(("add", {"server_port": port, "password": PASSWORDS[0], "method": METHODS[0]}), TOOLS[0])

    @rule(writes=st.booleans())
    @precondition(lambda self: len(self.open) > 1)
    def crash(self, writes: bool) -> None:
        if writes:
            self.write()
        self.open, self.kept = dict(self.written), dict(self.written)
        for counter in (self.from_, self.heard, self.got, self.pingers):
            counter.clear()
        self.begin()

    @invariant()
    def it_is_what_the_model_is(self) -> None:
        servers = {server.address.port: (server.password.reveal(), server.method.name) for server in self.table.servers}
        assert servers == self.open
        if not self.dialect.pushes:
            self.ask(("ping", None), "another")
        passed = self.passed()
        assert all(size <= passed[port] for port, size in self.got.items())

    @precondition(lambda self: self.has_workers)
    @rule(speaks=st.booleans())
    def a_worker_dies(self, speaks: bool) -> None:
        """Another one takes its place: with its ports, and all that it knew."""
        assert self.tally is not None
        if speaks:
            self.share.tell(self.table.sizes)
        before, most = self.before, self.passed()
        self.before = Counter(self.tally.sums())
        assert all(before[port] <= size <= most[port] for port, size in self.before.items())
        assert not speaks or +self.before == most
        self.table.sizes = {}
        words = {port: _words(port, *said) for port, said in self.kept.items()}
        self.disk = NextDisk(str(self.path), words)
        self.manager = Manager(self.table, self.send, self.disk, figures=self.figures())
        finish(self.manager.restore())

    def teardown(self) -> None:
        self.end()
        self.folder.cleanup()


def _words(port: int, password: str, method: str) -> dict[str, Any]:
    return {"server_port": port, "password": password, "method": method}


@pytest.mark.timeout(1200)  # the whole takes minutes
@pytest.mark.parametrize("has_workers", [False, True])
@pytest.mark.parametrize("name", DIALECTS)
def test_t25_a_manager_is_what_a_plain_table_says(name: str, has_workers: bool, whole: bool) -> None:
    machine = type(f"Machine_{name}_{has_workers}", (Machine,), {"name": name, "has_workers": has_workers})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=2_000 if whole else 20, stateful_step_count=40, deadline=None)
    )

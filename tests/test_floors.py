"""The floors: a file imports only from floors below it or its own folder, and stays as small as it promises.

The rules are ARCHITECTURE.md's; this test is what makes them true.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = ROOT / "src" / "shadesocks"
FILES: Final = sorted(SOURCE.rglob("*.py"))

FLOORS: Final = {
    "core": 0,
    "crypto": 1,
    "wire": 2,
    "config": 2,
    "net": 3,
    "proxy": 4,
    "service": 5,
    "process": 6,
    "cli": 7,
}
CRYPTO_LIBRARIES: Final = {"cryptography", "blake3", "Cryptodome"}
UNSEEN_BELOW_NET: Final = {"asyncio", "time", "logging"}
"""Modules that floors 0 to 2 do not import: formats know neither a loop, nor a clock, nor a log."""
SOCKET_NAMES: Final = {"inet_pton", "inet_ntop", "AF_INET", "AF_INET6"}
"""What floors 0 to 2 may take from `socket`: four times faster than `ipaddress`."""

SIZE_MAX: Final = 500
HOT: Final = {"net/reactor.py", "net/story.py", "net/end.py", "net/relay.py", "net/pipe.py", "wire/chunks.py"}
HOT_SIZE_MAX: Final = 300

ROWS: Final = (
    "entries",
    "times",
    "names",
    "outbound",
    "sockets",
    "rules",
    "legacy",
    "manager",
    "state",
    "process",
    "workers",
    "balance",
    "online",
    "plugins",
)
"""Topics of the table of settings."""

NO_TEST_OF_THEIR_OWN: Final = {
    "__main__.py": "one line; tests/cli runs it",
    "config/__main__.py": "writes docs; tests/config compares them",
    "config/dialects/seam.py": "values, no behaviour",
    "wire/shadow.py": "protocols and a value, no behaviour",
    "service/shared.py": "a value and a clock",
    "service/port.py": "values, no behaviour",
    "service/roles/seam.py": "a protocol, no behaviour",
    "net/lookup.py": "a protocol and a value, no behaviour",
    "net/packet_seams.py": "protocols, no behaviour",
    "config/model.py": "values, no behaviour; tests/config/test_load.py makes and compares them",
    **{f"config/rows_{topic}.py": "rows; tests/config/test_settings.py checks the whole table" for topic in ROWS},
    "cli/command.py": "what every command shares; tests/cli/test_programs.py runs it with each",
}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def floor_of(parts: tuple[str, ...]) -> int:
    """Return the floor of a module path inside the package; the package itself stands above all."""
    return FLOORS.get(parts[0], 8) if parts else 8


Import = tuple[tuple[str, ...], set[str], int]
"""Module path, names, line; a module of ours has "" in place of the package's name."""


def imports(name: str, text: str) -> list[Import]:
    """Return the imports of a file, wherever in it they stand."""
    here = name.split("/")[:-1]
    found: list[Import] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(tuple(alias.name.split(".")), set[str](), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                module = ("", *here[: len(here) - node.level + 1], *module)
            found.append((module, {alias.name for alias in node.names}, node.lineno))
    return [(("", *module[1:]) if module[0] == SOURCE.name else module, names, line) for module, names, line in found]


def faults(name: str, text: str) -> list[str]:
    """Return what a file imports though its floor may not."""
    folder = name.split("/")[0]
    own = floor_of(tuple(name.split("/")[:-1]))
    found = []
    for module, names, line in imports(name, text):
        top = module[0]
        if top == "":
            reached = ({module[1]} if len(module) > 1 else names) & FLOORS.keys()
            found += [f"{line}: {other} is not below" for other in reached - {folder} if FLOORS[other] >= own]
            if "config" in reached and folder in ("net", "proxy"):
                found.append(f"{line}: net and proxy know no configuration")
        if top in CRYPTO_LIBRARIES and folder != "crypto":
            found.append(f"{line}: only crypto/ imports {top}")
        if top in UNSEEN_BELOW_NET and own < FLOORS["net"]:
            found.append(f"{line}: floors 0 to 2 do not import {top}")
        if top == "socket" and own < FLOORS["net"] and not (names and names <= SOCKET_NAMES):
            found.append(f"{line}: floors 0 to 2 take nothing of socket but {sorted(SOCKET_NAMES)}")
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    assert faults(name_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("core/address.py", "from ..crypto import keys"),
        ("crypto/keys.py", "from .. import wire"),
        ("wire/aead.py", "from ..config.model import Config"),
        ("wire/aead.py", "from asyncio import sleep"),
        ("wire/uri.py", "import socket"),
        ("wire/uri.py", "from socket import create_connection"),
        ("config/load.py", "def late():\n    import logging"),
        ("net/end.py", "import blake3"),
        ("net/end.py", "from .. import config"),
        ("proxy/flow.py", "import shadesocks.config.model"),
        ("proxy/inbound/socks5.py", "from ...config import Config"),
        ("proxy/inbound/socks5.py", "from ...service.parts import Shared"),
        ("service/parts.py", "from shadesocks.cli import main"),
    ],
)
def test_the_rule_sees(name: str, line: str) -> None:
    assert faults(name, line)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_small(path: Path) -> None:
    limit = HOT_SIZE_MAX if name_of(path) in HOT else SIZE_MAX
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "__init__.py"], ids=name_of)
def test_each_file_has_its_test(path: Path) -> None:
    name = name_of(path)
    mirrored = ROOT / "tests" / Path(name).parent / f"test_{path.name}"
    assert mirrored.exists() != (name in NO_TEST_OF_THEIR_OWN), f"{name}: tests/{Path(name).parent}/test_{path.name}"


def test_nobody_asks_for_a_role() -> None:
    """A role is the parts that were composed (docs/adr/0005)."""
    for path in FILES:
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)
        }
        assert not names & {"is_local", "is_server", "is_client"} or name_of(path) == "net/origin.py"

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

FLOORS: Final = {"core": 0, "crypto": 1, "wire": 2, "config": 2, "net": 3, "proxy": 4, "service": 5, "cli": 6}
CRYPTO_LIBRARIES: Final = {"cryptography", "blake3", "Cryptodome"}
UNSEEN_BELOW_NET: Final = {"asyncio", "time", "logging"}
"""Modules that floors 0 to 2 do not import: formats know neither a loop, nor a clock, nor a log."""
SOCKET_NAMES: Final = {"inet_pton", "inet_ntop", "AF_INET", "AF_INET6"}
"""What floors 0 to 2 may take from `socket`: four times faster than `ipaddress`."""

SIZE_MAX: Final = 500
HOT: Final = {"net/reactor.py", "net/story.py", "net/end.py", "net/relay.py", "net/pipe.py", "wire/chunks.py"}
HOT_SIZE_MAX: Final = 300

NO_TEST_OF_THEIR_OWN: Final = {
    "__main__.py": "one line; tests/cli runs it",
    "config/__main__.py": "writes docs; tests/config compares them",
    "wire/shadow.py": "protocols and a value, no behaviour",
    "config/model.py": "values, no behaviour; tests/config/test_load.py makes and compares them",
    "cli/command.py": "what every command shares; tests/cli/test_programs.py runs it with each",
}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def floor_of(parts: tuple[str, ...]) -> int:
    """Return the floor of a module path inside the package; the package itself stands above all."""
    return FLOORS.get(parts[0], 7) if parts else 7


def imports(path: Path) -> list[tuple[tuple[str, ...], set[str], int]]:
    """Return (module path, names, line) of each import; our own modules without the package's name, marked by ''."""
    here = path.relative_to(SOURCE).parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(tuple(alias.name.split(".")), set[str](), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = tuple((node.module or "").split(".")) if node.module else ()
            if node.level:
                module = ("", *here[: len(here) - node.level + 1], *module)
            found.append((module, {alias.name for alias in node.names}, node.lineno))
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    parts = path.relative_to(SOURCE).parts
    own = floor_of(parts[:-1])
    for module, names, line in imports(path):
        where = f"{name_of(path)}:{line}"
        if module[0] == "":
            folders = module[1:2] or tuple(names)
            for folder in folders:
                if folder in FLOORS and folder != parts[0]:
                    assert FLOORS[folder] < own, f"{where} imports {folder}, which is not below it"
        else:
            top = module[0]
            assert top not in CRYPTO_LIBRARIES or parts[0] == "crypto", f"{where}: only crypto/ imports {top}"
            if own <= FLOORS["wire"]:
                assert top not in UNSEEN_BELOW_NET, f"{where}: floors 0 to 2 do not import {top}"
                if top == "socket":
                    assert names, f"{where}: name what is taken from socket"
                    assert names <= SOCKET_NAMES, f"{where}: only {sorted(SOCKET_NAMES)} of socket"


@pytest.mark.parametrize(
    "path", [path for path in FILES if name_of(path).split("/")[0] in ("net", "proxy")], ids=name_of
)
def test_net_and_proxy_know_no_configuration(path: Path) -> None:
    assert all("config" not in module[1:2] for module, _, _ in imports(path) if module[0] == "")


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

"""The servers that are compared: where each is found, what it can do, and how it is configured.

A table of literals, ours first, the ancestors (`ancestors.py`) last. Peers are called by absolute path, and their
`--version` must be what the table expects, since our own `ssserver` may stand
first on the PATH. Everything runs as it comes: default log level, replay
store, meters; only what loopback makes necessary is set.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.ancestors import ANCESTORS

from . import ancestors
from .old_wire import OLD
from .wire import METHODS, Account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PEERS: Final = Path(os.environ.get("SHADESOCKS_PEERS") or Path.home() / ".cache" / "shadesocks" / "peers")
"""Where `make peers` puts what no package of the system provides."""

OURS: Final = "shadesocks"
REFERENCE: Final = "shadowsocks-rust"

_ALL: Final = frozenset(METHODS)
_OLD: Final = frozenset(OLD)
_AEAD: Final = frozenset(name for name, method in METHODS.items() if not method.is_2022) - _OLD


@dataclass(frozen=True, slots=True)
class Launch:
    """What to execute, and the environment it gets beside PATH and HOME."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class System:
    """One server program."""

    name: str
    candidates: tuple[Path, ...]
    """Absolute paths, the first that exists is taken."""
    version_argv: tuple[str, ...]
    version: re.Pattern[str]
    """What `--version` must print; group 1 is the version."""
    methods: frozenset[str]
    launch: Callable[[Path, Path, int, Account], Launch]
    """From the program, an empty directory, a port and an account."""
    effort: float = 1.0
    """Share of the usual bulk that is asked of it, so that a slow one does not take the whole run."""
    version_in_file: re.Pattern[bytes] | None = None
    """Where the version stands in the program itself, for builds that do not print it."""
    launch_udp: Callable[[Path, Path, int, Account], Launch] | None = None
    """The same with UDP, which is off as they come; None for those that are compared over TCP alone."""
    launch_names: Callable[[Path, Path, int, Account, int], Launch] | None = None
    """The same with the port of a name server on 127.0.0.1; None for those whose look-ups are not compared."""
    ask_version: Callable[[], str | None] | None = None
    """What says which version is here, where that is more than a `--version`."""
    target_host: str = "127.0.0.1"
    """What it has to be told for the target's address, since one of the ancestors knows names alone."""


@dataclass(frozen=True, slots=True)
class Found:
    """A system that is here."""

    system: System
    program: Path
    version: str

    @property
    def name(self) -> str:
        return self.system.name

    def launch(self, directory: Path, port: int, account: Account) -> Launch:
        return self.system.launch(self.program, directory, port, account)

    def launch_udp(self, directory: Path, port: int, account: Account) -> Launch:
        if self.system.launch_udp is None:
            raise ValueError(f"{self.name} is not compared over UDP")
        return self.system.launch_udp(self.program, directory, port, account)

    def launch_names(self, directory: Path, port: int, account: Account, names: int) -> Launch:
        if self.system.launch_names is None:
            raise ValueError(f"{self.name} is not compared in names")
        return self.system.launch_names(self.program, directory, port, account, names)


def _write(directory: Path, config: dict[str, Any]) -> str:
    path = directory / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _plain_config(port: int, account: Account) -> dict[str, Any]:
    return {
        "server": "127.0.0.1",
        "server_port": port,
        "method": account.method.name,
        **({"password": account.password} if account.password else {}),  # none where each user has his own
    }


def _legacy(account: Account) -> dict[str, Any]:
    """What makes ours speak a method as old as its ancestors."""
    return {"allow_legacy": True} if account.method.is_old else {}


def launch_ours(
    program: Path,
    directory: Path,
    port: int,
    account: Account,
    config: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
) -> Launch:
    """Our own server; `config` and `env` add to or change what the bench sets (the profile's variants)."""
    settings = {**_plain_config(port, account), "allow_private": True, **_legacy(account), **(config or {})}
    state = directory / "state"
    state.mkdir(exist_ok=True)
    argv = [str(program), "server", "-c", _write(directory, settings)]
    return Launch(argv, {"STATE_DIRECTORY": str(state), **(env or {})})


def _launch_ours_udp(program: Path, directory: Path, port: int, account: Account) -> Launch:
    return launch_ours(program, directory, port, account, {"mode": "tcp_and_udp"})


def _launch_ours_names(program: Path, directory: Path, port: int, account: Account, names: int) -> Launch:
    return launch_ours(program, directory, port, account, {"dns": f"127.0.0.1:{names}"})


def _launch_rust(program: Path, directory: Path, port: int, account: Account) -> Launch:
    return Launch([str(program), "-c", _write(directory, _plain_config(port, account))])


def _launch_rust_udp(program: Path, directory: Path, port: int, account: Account) -> Launch:
    config = {**_plain_config(port, account), "mode": "tcp_and_udp"}
    return Launch([str(program), "-c", _write(directory, config)])


def _launch_rust_names(program: Path, directory: Path, port: int, account: Account, names: int) -> Launch:
    config = {**_plain_config(port, account), "dns": f"udp://127.0.0.1:{names}"}
    return Launch([str(program), "-c", _write(directory, config)])


def _launch_libev(program: Path, directory: Path, port: int, account: Account) -> Launch:
    return Launch([str(program), "-c", _write(directory, _plain_config(port, account))])


def _launch_libev_udp(program: Path, directory: Path, port: int, account: Account) -> Launch:
    return Launch([str(program), "-u", "-c", _write(directory, _plain_config(port, account))])


def _launch_sing_box(
    program: Path, directory: Path, port: int, account: Account, network: tuple[str, ...] = ("tcp",)
) -> Launch:
    # Without a level sing-box logs everything down to trace; its documentation's examples say "info".
    inbound = {
        "type": "shadowsocks",
        "listen": "127.0.0.1",
        "listen_port": port,
        "network": list(network),
        "method": account.method.name,
        "password": account.password,
    }
    config = {"log": {"level": "info"}, "inbounds": [inbound], "outbounds": [{"type": "direct"}]}
    return Launch([str(program), "run", "-c", _write(directory, config)])


def _launch_sing_box_udp(program: Path, directory: Path, port: int, account: Account) -> Launch:
    return _launch_sing_box(program, directory, port, account, ("tcp", "udp"))


def _launch_pproxy(program: Path, directory: Path, port: int, account: Account) -> Launch:
    return Launch([str(program), "-l", f"ss://{account.method.name}:{account.password}@127.0.0.1:{port}"])


def _make_ancestor(name: str) -> System:
    def launch(program: Path, directory: Path, port: int, account: Account) -> Launch:
        del program  # its command may be more than one word
        return Launch(ancestors.command(name, directory, port, account))

    ancestor = ANCESTORS[name]
    return System(
        name=name,
        candidates=(Path(ancestor.server[0]),),
        version_argv=(),
        version=re.compile(re.escape(ancestor.version)),
        methods=ancestors.methods(name),
        launch=launch,
        effort=ancestors.EFFORT,
        launch_udp=launch if "server" in ancestor.udp else None,  # it is on as they come, or cannot be had
        ask_version=lambda: ancestors.version(name),
        target_host=ancestor.target,
    )


SYSTEMS: Final = (
    System(
        name=OURS,
        candidates=(Path(sys.executable).parent / "shadesocks",),
        version_argv=("--version",),
        version=re.compile(r"shadesocks\D*(\d[\w.]*)"),
        methods=_ALL,
        launch=launch_ours,
        launch_udp=_launch_ours_udp,
        launch_names=_launch_ours_names,
    ),
    System(
        name=REFERENCE,
        candidates=(PEERS / "rust" / "bin" / "ssserver",),
        version_argv=("--version",),
        version=re.compile(r"^shadowsocks (\d[\w.]*)"),
        methods=_ALL - _OLD,
        launch=_launch_rust,
        launch_udp=_launch_rust_udp,
        launch_names=_launch_rust_names,
    ),
    System(
        name="shadowsocks-libev",
        candidates=(Path("/usr/bin/ss-server"), Path("/usr/local/bin/ss-server")),
        version_argv=("-h",),  # it has no --version, but its help begins with it
        version=re.compile(r"shadowsocks-libev (\d[\w.]*)"),
        methods=_AEAD | _OLD,
        launch=_launch_libev,
        launch_udp=_launch_libev_udp,
    ),
    System(
        name="sing-box",
        candidates=(PEERS / "bin" / "sing-box", Path("/usr/bin/sing-box"), Path("/usr/local/bin/sing-box")),
        version_argv=("version",),
        version=re.compile(r"sing-box version (\S+)"),
        methods=_ALL - _OLD,
        launch=_launch_sing_box,
        launch_udp=_launch_sing_box_udp,
        version_in_file=re.compile(rb"github\.com/sagernet/sing-box\tv(\d[\w.-]*)"),
    ),
    System(
        name="pproxy",
        candidates=(PEERS / "pproxy" / "bin" / "pproxy",),
        version_argv=("--version",),
        version=re.compile(r"pproxy (\d[\w.]*)"),
        methods=_AEAD - {"xchacha20-ietf-poly1305"},
        launch=_launch_pproxy,
        effort=1 / 16,
    ),
    *map(_make_ancestor, ancestors.RACED),
)


def find(names: Sequence[str] | None = None) -> tuple[list[Found], dict[str, str]]:
    """Return the systems that are here, and for each other one the reason why it is not used."""
    found: list[Found] = []
    missing: dict[str, str] = {}
    for system in SYSTEMS:
        if names is not None and system.name not in names:
            missing[system.name] = "not asked for"
            continue
        program = next((path for path in system.candidates if os.access(path, os.X_OK)), None)
        if program is None:
            missing[system.name] = "not found"
            continue
        version = _version(system, program) if system.ask_version is None else system.ask_version()
        if version is None:
            missing[system.name] = "found, but it does not answer with the expected version"
            continue
        found.append(Found(system, program, version))
    return found, missing


def _version(system: System, program: Path) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - an absolute path of the table above
            [program, *system.version_argv], capture_output=True, text=True, errors="replace", timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = system.version.search((done.stdout + done.stderr).strip())
    if match is None:
        return None
    if match[1] == "unknown" and system.version_in_file is not None:
        inside = system.version_in_file.search(program.read_bytes())
        return inside[1].decode() if inside else match[1]
    return match[1]

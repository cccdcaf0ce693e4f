"""What the other old programs' suites did, as data: go's script and unit tests, Node's files, and three that curl.

Called by `test_suites.py`, which runs them, and by `__main__.py`, which prints them. Files and flags are those of the
suites, and so are their passwords; ports in braces, and those that keys name, are replaced by free ones (`stage.py`),
far addresses by others of the loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Keys = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ends:
    """Who stands at both ends: the name of an old program as `tests/ancestors.py` has it, or nobody for ours."""

    server: str = ""
    local: str = ""

    @property
    def id(self) -> str:
        theirs = [f"{name}-{role}" for role, name in (("server", self.server), ("local", self.local)) if name]
        return "-".join(theirs) or "ours"


OURS: Final = Ends()


def crossed_with(*names: str) -> tuple[Ends, ...]:
    """Ours at both ends, then with each of these old programs at one."""
    return (OURS, *(ends for name in names for ends in (Ends(server=name), Ends(local=name))))


@dataclass(frozen=True, slots=True)
class Suite:
    """One line of the section: a part of a suite."""

    id: str
    covers: str
    test: str
    """The function that runs it."""
    ends: tuple[Ends, ...] = (OURS,)
    sampled: bool = False
    """Whether `make test` runs it too, with ours at both ends; the rest is run by `make conformance`."""


# -- shadowsocks-go: script/test.sh -----------------------------------------------------------------

GO_METHODS: Final = ("rc4-md5", "aes-128-cfb", "bf-cfb", "des-cfb", "cast5-cfb", "chacha20", "salsa20")
GO_GETS: Final = 3
GO_SERVER: Final = ("-p", "{8389}", "-k", "foobar", "-m")
GO_LOCAL: Final = (*GO_SERVER[:4], "-s", "127.0.0.1", "-l", "{1090}", "-m")
"""The words of the script, the method behind them."""
GO_AUTH: Final = "-A"
"""The last word for a client: one-time authentication, which Python's 2.8.2 has not."""

GO_FILES: Final[Mapping[str, Keys]] = {
    "one server": {
        "server": "127.0.0.1",
        "server_port": 8388,
        "local_port": 1080,
        "password": "barfoo!",
        "method": "aes-128-cfb",
        "timeout": 600,
    },
    "ports": {
        "port_password": {"8387": "foobar", "8388": "barfoo"},
        "method": "aes-128-cfb",
        "timeout": 600,
    },
    "list of hosts": {
        "server": ["127.0.0.1", "127.0.1.1"],
        "server_port": 8388,
        "local_port": 1081,
        "password": "barfoo!",
        "timeout": 60,
    },
    "list of servers": {
        "local_port": 1081,
        "server_password": [["127.0.0.1:8387", "foobar"], ["127.0.0.1:8388", "barfoo", "aes-128-cfb"]],
    },
    "no server": {
        "server_port": 8388,
        "local_port": 1081,
        "password": "barfoo!",
        "timeout": 60,
        "cache_enctable": True,
    },
}
"""The five files that its unit tests read."""

# -- the Node version: test/*.json ------------------------------------------------------------------

BENCHMARK_GETS: Final = 10
ONE: Final[Keys] = {
    "server": "127.0.0.1",
    "server_port": 8388,
    "local_port": 1080,
    "password": "barfoo!",
    "timeout": 60,
    "method": "aes-256-cfb",
}
_NODE: Final[Keys] = {**ONE, "server_port": 8380, "local_port": 1081}
_PORTS: Final[Keys] = {**_NODE, "port_password": {str(port): "barfoo!" for port in range(8380, 8388)}}
_PASSWORDS: Final[Keys] = {
    **_NODE,
    "port_password": {str(port): f"foobar{number}" for number, port in enumerate(range(8381, 8393), 1)},
}
_HOSTS: Final = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


@dataclass(frozen=True, slots=True)
class NodeFile:
    """One of its files, the file of who stands opposite, and how often a page is asked for."""

    server: Keys
    listeners: int
    clients: tuple[Keys, ...]
    gets: int = 1


NODE_FILES: Final[Mapping[str, NodeFile]] = {
    "config-client-multi-port": NodeFile(_PORTS, 8, ({**_NODE, "server_port": [8380, 8381, 8382, 8383]},), 12),
    "config-client-multi-server": NodeFile({**_NODE, "server": _HOSTS}, 3, ({**_NODE, "server": _HOSTS},), 9),
    "config-client-multi-server-port": NodeFile(
        {**_NODE, "server": _HOSTS[:2], "port_password": {"8381": "barfoo!", "8382": "barfoo!"}},
        4,
        ({**_NODE, "server": ["127.0.0.1:{8381}", "127.0.0.2:{8381}", "127.0.0.2:{8382}"]},),
        9,
    ),
    "config-server-multi-passwd": NodeFile(
        _PASSWORDS,
        12,
        (
            {**_NODE, "server_port": 8381, "password": "foobar1"},
            {**_NODE, "server_port": 8392, "password": "foobar12"},
        ),
    ),
    "config-server-multi-port": NodeFile(_PORTS, 8, (_NODE, {**_NODE, "server_port": 8387})),
    "config": NodeFile(ONE, 1, (ONE,)),
}

# -- procurator: curltest.c, ctest.c ----------------------------------------------------------------

PROCURATOR_SERVER: Final = ("--remote-port", "{8838}", "--password", "foobar")
PROCURATOR_LOCAL: Final = (
    *("--remote-host", "127.0.0.1", "--remote-port", "{8838}"),
    *("--local-port", "{8080}", "--password", "foobar"),
)
PROCURATOR_UDP: Final = ("--remote-udp-port", "{8839}")
PROCURATOR_LOCAL_UDP: Final = (*PROCURATOR_UDP, "--local-udp-port", "{8081}")
QUESTION: Final = bytes.fromhex("c22901000001000000000000") + b"\3www\7example\3com\0\0\1\0\1"
"""Its question by hand: the address of www.example.com."""

SUITES: Final = (
    *(
        Suite(
            f"go-script-{method}",
            f"go, script/test.sh: {GO_GETS} pages by {method}",
            "test_suite_go_script",
            crossed_with("go-1.1.5", "python"),
            sampled=method == GO_METHODS[0],
        )
        for method in GO_METHODS
    ),
    Suite("go-unit-config", "go, unit: five files", "test_suite_go_unit_config", sampled=True),
    Suite("go-unit-key", "go, unit: the key of foobar", "test_suite_go_unit_key", sampled=True),
    Suite("go-unit-ciphers", "go, unit: each cipher there and back, twice", "test_suite_go_unit_ciphers", sampled=True),
    Suite("go-unit-ivs", "go, unit: each direction has an IV of its own", "test_suite_go_unit_ivs", sampled=True),
    *(
        Suite(
            f"node-{name}",
            f"node, test/{name}.json",
            "test_suite_node_file",
            crossed_with("node"),
            sampled=name == "config-client-multi-server-port",
        )
        for name in NODE_FILES
    ),
    Suite(
        "node-benchmark",
        f"node, test/benchmark.sh: {BENCHMARK_GETS} pages, one after another",
        "test_suite_node_benchmark",
        crossed_with("node"),
    ),
    Suite("node-tables", "node, src/test.coffee: the tables of foobar!", "test_suite_node_tables", sampled=True),
    Suite(
        "procurator-curl",
        "procurator, curltest.c: a page once both say that they started",
        "test_suite_procurator_curl",
        crossed_with("procurator"),
        sampled=True,
    ),
    Suite(
        "procurator-udp",
        "procurator, ctest.c: a question for a name by datagram, and its answer",
        "test_suite_procurator_udp",
        sampled=True,
    ),
    Suite(
        "lite-proxy",
        "lite, test/proxy.js: a page once both say that they listen",
        "test_suite_lite_proxy",
        crossed_with("lite"),
        sampled=True,
    ),
)
"""Each part of each of their suites."""

"""The same with an old program at the other end: each that is here, each of its methods, as server and as client.

curl posts 256 kB and gets them back, backwards; a datagram goes there and back where the old program relays any. What
is particular to one of them follows: one-time auth of Go's, the lists of Node's, an IV that comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests import ancestors
from tests.ancestors import ANCESTORS, PASSWORD, need
from tests.echo import echo
from tests.interop.streams import digest
from tests.peers import HOST, Program, Role, free_port
from tests.socks_udp import associate

from .crossed import crossed, own, own_keys, run_ours
from .stage import Web, fetch, ours, retried

BODY: Final = bytes.fromhex(digest(9, 1)) * 8_000
"""256 kB."""
ROLES: Final[tuple[Role, ...]] = ("server", "local")
CELLS: Final = [
    (name, theirs, method) for name, ancestor in ANCESTORS.items() for theirs in ROLES for method in ancestor.methods
]
SAMPLE: Final = {
    (name, ROLES[number % 2], ancestor.methods[-1 if number % 2 else 0])
    for number, (name, ancestor) in enumerate(ANCESTORS.items())
}
OTHER: Final = "127.0.0.2"
"""Another address of the loopback."""

Note = Callable[[str, object], None]


@pytest.mark.parametrize(("name", "theirs", "method"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_crossed(name: str, theirs: Role, method: str, tmp_path: Path, whole: bool, record_property: Note) -> None:
    """`theirs` is what the old program is."""
    record_property("crossed", (name, theirs, method))
    ancestor = need(name)
    if not whole and (name, theirs, method) not in SAMPLE:
        pytest.skip("sampled; make conformance runs every method")
    with Web() as web:

        def story() -> None:
            with crossed(name, theirs, method, tmp_path) as (server, local):
                post(local, web, tmp_path, ancestor.target)
                record_property("streams", True)
                if theirs in ancestor.udp:
                    if name == "go-1.2.2":  # its client knows no datagrams, so ours in its place does not
                        datagrams_by_python(server, method, tmp_path)
                    else:
                        datagrams(local)
                    record_property("datagrams", True)

        retried(story)


def post(near: Program, web: Web, folder: Path, host: str = HOST) -> None:
    """Post a large body through a client, and have it back."""
    (folder / "body").write_bytes(BODY)
    url = f"http://{host}:{web.port}/"
    got = fetch(near.port, url, "-H", "Expect:", "--data-binary", f"@{folder / 'body'}")
    assert got.code == 0, f"{got.told}\n{near.log()[-2000:]}"
    assert got.proxied
    assert got.body == BODY[::-1]


def post_fails(near: Program, web: Web, folder: Path, host: str = HOST) -> None:
    """See that none comes back."""
    (folder / "body").write_bytes(BODY)
    url = f"http://{host}:{web.port}/"
    got = fetch(near.port, url, "-m", "3", "-H", "Expect:", "--data-binary", f"@{folder / 'body'}")
    assert got.code != 0


def datagrams(near: Program) -> None:
    """Send one of each of some sizes, to a target by its address and by its name, and have them back."""
    with echo() as target, associate(near.address) as client:
        for size in (1, 512, 1300):
            client.send(b"d" * size, target.address)
            assert client.receive() == (b"d" * size, target.address)
        client.send(b"by name", ("localhost", target.address[1]))
        assert client.receive()[0] == b"by name"


def datagrams_by_python(server: Program, method: str, folder: Path) -> None:
    """Those that Go's server relays, with the client of ours that has datagrams."""
    port = free_port()
    flags = ("-s", HOST, "-p", str(server.port), "-k", PASSWORD, "-m", method, "-l", str(port))
    with ours("sslocal", folder, port, *flags) as near:
        datagrams(near)


@pytest.mark.parametrize("required", [False, True], ids=["asked", "required"])
@pytest.mark.parametrize("theirs", ROLES)
@pytest.mark.parametrize("method", ["aes-256-cfb", "rc4-md5", "chacha20"])
def test_crossed_one_time_auth(
    method: str, theirs: Role, required: bool, tmp_path: Path, whole: bool, record_property: Note
) -> None:
    """Go's 1.1.5: its client has it and our server takes, or requires it; and the other way round."""
    record_property("crossed", ("go-1.1.5", theirs, f"{method}, one-time auth {'required' if required else 'sent'}"))
    need("go-1.1.5")
    if not whole and (method != "rc4-md5" or not required):
        pytest.skip("sampled; make conformance runs every method")
    with Web() as web:

        def story() -> None:
            far = {"auth": required} if not required else {"method": f"{method}-auth"}
            with crossed("go-1.1.5", theirs, method, tmp_path, far=far, near={"auth": True}) as (_, local):
                post(local, web, tmp_path)

        retried(story)
    record_property("streams", True)


@pytest.mark.parametrize("theirs", ROLES)
def test_crossed_one_time_auth_is_required(theirs: Role, tmp_path: Path, whole: bool, record_property: Note) -> None:
    """Who has none gets nothing, from theirs and from ours."""
    record_property("crossed", ("go-1.1.5", theirs, "one-time auth lacking"))
    need("go-1.1.5")
    if not whole and theirs == "server":
        pytest.skip("sampled; make conformance runs both")
    with Web() as web:

        def story() -> None:
            far = {"method": "aes-256-cfb-auth"}
            with crossed("go-1.1.5", theirs, "aes-256-cfb", tmp_path, far=far) as (_, local):
                post_fails(local, web, tmp_path)

        retried(story)
    record_property("streams", True)


def test_crossed_node_lists_of_its_client(tmp_path: Path, record_property: Note) -> None:
    """Node's client with a list of HOST:PORT, our server with a list of addresses."""
    record_property("crossed", ("node", "local", "lists"))
    need("node")
    with Web() as web:

        def story() -> None:
            with run_ours("node", "server", "aes-128-cfb", tmp_path, settings={"server": [HOST, OTHER]}) as far:
                entries = [f"{HOST}:{far.port}", f"{OTHER}:{far.port}"]
                settings = {"server": entries, "server_port": 1}
                with ancestors.run(
                    "node", "local", "aes-128-cfb", tmp_path, server_port=far.port, settings=settings
                ) as near:
                    for _ in range(6):
                        post(near, web, tmp_path)

        retried(story)
    record_property("streams", True)


@pytest.mark.parametrize("form", ["hosts", "ports", "both"])
def test_crossed_node_lists_of_ours(form: str, tmp_path: Path, whole: bool, record_property: Note) -> None:
    """Our client with Node's lists, two of its servers."""
    record_property("crossed", ("node", "server", f"lists of {form}"))
    need("node")
    if not whole and form != "both":
        pytest.skip("sampled; make conformance runs every form")
    with Web() as web:

        def story() -> None:
            with (
                ancestors.run("node", "server", "aes-128-cfb", tmp_path) as one,
                ancestors.run("node", "server", "aes-128-cfb", tmp_path) as other,
            ):
                settings: Mapping[str, Mapping[str, object]] = {
                    "hosts": {"server": [HOST, HOST]},
                    "ports": {"server_port": [one.port, other.port]},
                    "both": {"server": [f"{HOST}:{one.port}", f"{HOST}:{other.port}"], "server_port": 1},
                }
                with run_ours(
                    "node", "local", "aes-128-cfb", tmp_path, server_port=one.port, settings=settings[form]
                ) as near:
                    for _ in range(6):
                        post(near, web, tmp_path)

        retried(story)
    record_property("streams", True)


@pytest.mark.parametrize(("habit", "works"), [("allow", True), ("refuse", False)])
def test_crossed_an_iv_for_ever(habit: str, works: bool, tmp_path: Path, record_property: Note) -> None:
    """C1: procurator's client has one IV for all its connections. They come through, unless we are told otherwise."""
    record_property("crossed", ("procurator", "local", f"stream_replay: {habit}"))
    ancestor = need("procurator")
    with Web() as web:

        def story() -> None:
            port = free_port()
            keys = own_keys(port, "aes-256-cfb", habit)
            with (
                own("server", port, tmp_path, keys) as far,
                ancestors.run("procurator", "local", "aes-256-cfb", tmp_path, server_port=far.port) as near,
            ):
                post(near, web, tmp_path, ancestor.target)
                for _ in range(4 if works else 1):
                    (post if works else post_fails)(near, web, tmp_path, ancestor.target)

        retried(story)
    record_property("streams", True)


@pytest.mark.parametrize(("habit", "works"), [("allow", True), ("refuse", False)])
def test_crossed_an_iv_that_comes_back(habit: str, works: bool, tmp_path: Path, record_property: Note) -> None:
    """G1: the server of Go's 1.1.5 answers with the client's own IV. We take it, unless we are told otherwise."""
    record_property("crossed", ("go-1.1.5", "server", f"stream_replay: {habit}"))
    need("go-1.1.5")
    with Web() as web:

        def story() -> None:
            port = free_port()
            with ancestors.run("go-1.1.5", "server", "aes-256-cfb", tmp_path) as far:
                keys = own_keys(far.port, "aes-256-cfb", habit) | {"local_address": HOST, "local_port": port}
                with own("local", port, tmp_path, keys) as near:
                    (post if works else post_fails)(near, web, tmp_path)

        retried(story)
    record_property("streams", True)

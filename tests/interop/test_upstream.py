"""Chains through proxies that others wrote: Dante, tinyproxy, and the Shadowsocks of others as servers and as SOCKS5.

program            what it is here                                what is particular
Dante              SOCKS5, streams and datagrams, no login        a process for each duty
tinyproxy          HTTP CONNECT, with a login
shadowsocks-rust   SOCKS5 with a login; a server on the way       its server keeps empty payloads to itself
libev              SOCKS5; a server on the way
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.core.secret import Secret
from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.methods import find_method
from shadesocks.net.datagrams import DatagramOptions
from shadesocks.proxy.outbound.chain import HttpHop, ShadowHop, SocksHop, can_packets
from shadesocks.proxy.outbound.packets import ChainBack
from shadesocks.wire.editions import make_packets, make_shadow
from tests.net import packet_rig
from tests.net.packet_rig import Rig, heard
from tests.peers import HOST, PASSWORDS, START_TRIES, StartError, free_port, need, need_tool, start
from tests.peers import run as run_peer
from tests.proxy.outbound.hops import Net, echo

USER, PASSWORD = "alice", "open sesame"
METHODS: Final = {"rust": "2022-blake3-aes-128-gcm", "libev": "aes-256-gcm"}
Hop = SocksHop | HttpHop | ShadowHop

CHAINS: Final = (
    ("dante",),
    ("tinyproxy",),
    ("rust socks",),
    ("libev socks",),
    ("dante", "tinyproxy"),
    ("tinyproxy", "dante"),
    ("tinyproxy", "rust"),
    ("dante", "rust"),
    ("rust", "dante"),
    ("rust", "libev"),
    ("libev", "rust"),
    ("dante", "rust socks"),
    ("rust", "dante", "libev"),
)


def dante(folder: Path, stack: ExitStack) -> SocksHop:
    """Dante on a free port."""
    command = need_tool("danted")
    users = "user.privileged: root\nuser.unprivileged: nobody\n" if os.geteuid() == 0 else ""

    def config(port: int) -> str:
        return (
            f"logoutput: stderr\ninternal: {HOST} port = {port}\nexternal: {HOST}\n"
            f"clientmethod: none\nsocksmethod: none\n{users}"
            "client pass { from: 127.0.0.0/8 to: 127.0.0.0/8 }\n"
            "socks pass { from: 127.0.0.0/8 to: 127.0.0.0/8 protocol: tcp udp }\n"
        )

    return SocksHop(daemon("danted", (command, "-N", "1"), config, folder, stack))


def tinyproxy(folder: Path, stack: ExitStack) -> HttpHop:
    """Tinyproxy on a free port; it wants a login."""
    command = need_tool("tinyproxy")

    def config(port: int) -> str:
        return f"Port {port}\nListen {HOST}\nTimeout 60\nBasicAuth {USER} {PASSWORD.replace(' ', '-')}\nLogLevel Info\n"

    address = daemon("tinyproxy", (command, "-d"), config, folder, stack)
    return HttpHop(address, USER, Secret(PASSWORD.replace(" ", "-")))


def daemon(
    title: str, command: tuple[str, ...], config: Callable[[int], str], folder: Path, stack: ExitStack
) -> Address:
    """Start a daemon until the stack ends; return where it listens."""
    for attempt in range(START_TRIES):
        port = free_port()
        file = folder / f"{title}-{port}.conf"
        file.write_text(config(port))
        pid = ("-p", str(folder / f"{title}-{port}.pid")) if title == "danted" else ()
        flag = "-f" if title == "danted" else "-c"
        try:
            stack.enter_context(start((*command, flag, str(file), *pid), port, folder, title=title))
        except StartError as error:
            if attempt + 1 == START_TRIES or "in use" not in str(error):
                raise
        else:
            break
    return Address(HOST, port)


def shadow(name: str, folder: Path, stack: ExitStack) -> ShadowHop:
    """Somebody's Shadowsocks server."""
    method = find_method(METHODS[name])
    program = stack.enter_context(run_peer(name, "server", method.name, folder, settings={"mode": "tcp_and_udp"}))
    keys = parse_keys(method, PASSWORDS[method.name])
    seen: set[bytes] = set()

    def insert(salt: bytes) -> bool:
        known = salt in seen
        seen.add(salt)
        return not known

    return ShadowHop(
        Address(HOST, program.port), make_shadow(method, keys), make_packets(method, keys, os.urandom, insert)
    )


def socks(name: str, folder: Path, stack: ExitStack) -> SocksHop:
    """Somebody's Shadowsocks client as a SOCKS5 proxy; the one that can has a login."""
    server = shadow(name, folder, stack)
    if name != "rust":
        program = stack.enter_context(
            run_peer(
                name, "local", METHODS[name], folder, server_port=server.address.port, settings={"mode": "tcp_and_udp"}
            )
        )
        return SocksHop(Address(HOST, program.port))
    users = folder / "users.json"
    users.write_text(json.dumps({"password": {"users": [{"user_name": USER, "password": PASSWORD}]}}))

    def config(port: int) -> str:
        method = METHODS[name]
        far = {"address": HOST, "port": server.address.port, "method": method, "password": PASSWORDS[method]}
        near = {"local_address": HOST, "local_port": port, "socks5_auth_config_path": str(users)}
        return json.dumps({"servers": [far], "locals": [near | {"mode": "tcp_and_udp"}], "mode": "tcp_and_udp"})

    address = daemon("sslocal", need(name).local, config, folder, stack)
    return SocksHop(address, USER, Secret(PASSWORD))


@contextlib.contextmanager
def proxies(kinds: tuple[str, ...], folder: Path) -> Iterator[list[Hop]]:
    """Start what is asked for."""
    hops: list[Hop] = []
    with ExitStack() as stack:
        for kind in kinds:
            if kind == "dante":
                hops.append(dante(folder, stack))
            elif kind == "tinyproxy":
                hops.append(tinyproxy(folder, stack))
            elif kind.endswith(" socks"):
                hops.append(socks(kind.removesuffix(" socks"), folder, stack))
            else:
                hops.append(shadow(kind, folder, stack))
        yield hops


def run(story: Callable[[Rig, Net], Coroutine[Any, Any, None]]) -> None:
    """Run a test with a rig of datagrams and one of streams, on the clock of the others."""

    async def whole(rig: Rig) -> None:
        async with AsyncExitStack() as stack:
            rig.unix = int(time.time())
            net = Net(stack, 10.0, rig.reactor, lambda: int(time.time()))
            await story(rig, net)
            for relay in list(rig.crowd.relays):
                relay.close()
            rig.reactor.settle()
            await net.quiet()

    packet_rig.run(whole)


@pytest.mark.parametrize("kinds", CHAINS, ids="+".join)
def test_chain(kinds: tuple[str, ...], tmp_path: Path) -> None:
    with proxies(kinds, tmp_path) as hops:

        async def streams(_rig: Rig, net: Net) -> None:
            for first in (b"", b"first "):
                target = await net.listen(echo)
                program = await net.join(net.chain(*hops), target, first)
                payload = os.urandom(1 << 20)
                hearing = asyncio.ensure_future(program.hear_exactly(6 + len(first + payload)))
                await program.say(payload)
                assert await hearing == b"hello " + first + payload
                program.end()
                with contextlib.suppress(ConnectionResetError):
                    await program.hear_all()  # half-closes are not everybody's

        async def datagrams(rig: Rig, net: Net) -> None:
            plain = rig.packets("none")
            back = ChainBack(rig.datagrams, rig.names, hops, net.connect_to, net.means, DatagramOptions())
            relay = rig.relay(plain, back)
            client, target = rig.client(relay, plain), rig.socket()
            for payload in (b"one", os.urandom(512), os.urandom(1300)):
                await client.say(target, payload)
                got, outlet = await heard(target)
                assert got == payload
                target.sendto(payload[::-1], outlet)
                assert await client.hear() == (Address(*target.getsockname()), payload[::-1])
            assert not relay.dropped

        run(streams)
        if can_packets(hops):
            run(datagrams)


@pytest.mark.parametrize(("kind", "refused"), [("tinyproxy", "bad_login"), ("rust socks", "bad_login")])
def test_a_wrong_login(kind: str, refused: str, tmp_path: Path) -> None:
    with proxies((kind,), tmp_path) as [hop]:

        async def story(_rig: Rig, net: Net) -> None:
            assert not isinstance(hop, ShadowHop)
            with pytest.raises(DialError) as failed:
                await net.dial(net.chain(type(hop)(hop.address, USER, Secret("wrong"))), Address(HOST, 1))
            assert failed.value.code == refused

        run(story)


@pytest.mark.parametrize("kind", ["dante", "tinyproxy"])
def test_a_target_where_nobody_listens(kind: str, tmp_path: Path) -> None:
    with proxies((kind,), tmp_path) as [hop]:

        async def story(_rig: Rig, net: Net) -> None:
            with pytest.raises(DialError) as failed:
                await net.dial(net.chain(hop), Address(HOST, free_port()))
            assert failed.value.code in ("refused", "host_unreachable")

        run(story)

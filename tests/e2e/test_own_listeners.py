"""Our own listeners are no targets: on any address of this machine, by any name, whatever else is open."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.config.model import Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.service.service import Service
from tests.dns_server import Name
from tests.service.rig import HOST, server_config, until

from .field import AEAD, SIP022, Field, drops, ip_spelling, name_spelling, open_spellings, outlets, run
from .spellings import Spelling
from .trap import has_ipv6, local_addresses, trap

OPEN_LIST: Final = """
[outbound_allow_list]
0.0.0.0/0
::/0
0.0.0.0
::
127.0.0.0/8
::1
10.0.0.0/8
172.16.0.0/12
192.168.0.0/16
192.0.2.0/24
169.254.0.0/16
224.0.0.0/4
255.255.255.255
fc00::/7
fe80::/10
ff00::/8
64:ff9b::7f00:0/104
2002:7f00::/24
"""


def own_spellings() -> list[Spelling]:
    """Ways to a listener on every address of this machine."""
    here = local_addresses()
    ips = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "::", "::1", *here]
    ips += [f"::ffff:{ip}" for ip in ("127.0.0.1", "127.0.0.2", "0.0.0.0", *here) if "." in ip]
    ips += ["64:ff9b::127.0.0.1", "2002:7f00:1::1", "2a00::5efe:127.0.0.1", "fe80::1%lo", "fe80::1"]
    ips += ["224.0.0.1", "255.255.255.255", "127.255.255.255", "ff02::1", "ff02::1%lo", "ff01::1%lo", "::1%lo", "::1%1"]
    names = ["localhost", "LOCALHOST.", "both.test", "alias.test", "n0.test", "late.test", "here.test"]
    return [*map(ip_spelling, ips), *map(name_spelling, names)]


@pytest.fixture(params=["private", "nothing forbidden", "allow list", "something forbidden"])
def openness(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Everything else is open."""
    rules = tmp_path / "open.acl"
    rules.write_text(OPEN_LIST)
    options: dict[str, dict[str, Any]] = {
        "private": {"allow_private": True},
        "nothing forbidden": {"forbidden_ip": ()},
        "something forbidden": {"forbidden_ip": ("10.99.0.0/16",)},
        "allow list": {"acl": str(rules)},
    }
    return options[request.param]


def open_servers(field: Field, openness: dict[str, Any], way: str) -> Service:
    """Two servers on every address, each with TCP and UDP."""
    everywhere = Address("::" if has_ipv6() else "0.0.0.0", 0)
    acl = openness.get("acl")
    servers = tuple(
        ServerConfig(everywhere, config.method, config.password, mode=Mode.TCP_AND_UDP, acl=acl)
        for config in (server_config(AEAD), server_config(SIP022))
    )
    return Service.server(field.config(servers=servers, udp_io=way, **openness))


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_own_listeners_of_a_server_stay_closed(way: str, openness: dict[str, Any], field: Field) -> None:
    async def story() -> None:
        field.dns.zone["here.test"] = Name([ip for ip in local_addresses() if "%" not in ip] or ["127.0.0.1"])
        async with field.up(open_servers(field, openness, way)) as far:
            ports = [address.port for address in far.addresses]
            assert len(ports) == 2
            dropped = asked = 0
            for port in ports:
                for spelling in own_spellings():
                    asked += 1
                    assert await field.stream(far, field.wire(spelling, port)) == b"", spelling.label
                    field.datagram(far, field.wire(spelling, port))
                    dropped += 1
                    await until(lambda count=dropped: drops(far) == count)  # type: ignore[misc]
            assert field.watch.seen == []
            assert far.packets.dropped == {"denied": dropped}
            assert far.journal.reasons == {"denied": asked}
            assert far.packets.up_packets == outlets(far) == 0
            if "acl" not in openness:
                for spelling in open_spellings()[:3]:  # and the port beside them is open
                    field.datagram(far, field.wire(spelling))
                    await until(lambda: field.trap.sprung() == 1)

    run(story)


def test_each_way_to_a_listener_is_one() -> None:
    """Otherwise the tests around would prove little."""
    with trap() as there:
        for ip in ["127.0.0.1", "127.0.0.2", "0.0.0.0", *local_addresses(), *(("::1", "::") if has_ipv6() else ())]:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                [(family, _, _, _, address)] = socket.getaddrinfo(ip, there.port, type=kind)
                with socket.socket(family, kind) as sock:
                    sock.connect(address)
                    if kind == socket.SOCK_DGRAM:
                        sock.send(b"x")
                    assert there.sprung() == 1, ip


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_own_listeners_of_a_client_stay_closed(way: str, field: Field, tmp_path: Path) -> None:
    """What bypasses the server may reach the LAN, and everything on this machine but this process."""

    async def story() -> None:
        rules = tmp_path / "bypass.acl"
        rules.write_text("[bypass_all]\n")
        field.dns.zone["here.test"] = Name([ip for ip in local_addresses() if "%" not in ip] or ["127.0.0.1"])
        async with field.pair(acl=str(rules), udp_io=way) as (far, near):
            port = near.addresses[0].port
            for spelling in own_spellings():
                reply, rest = await field.socks(near, field.wire(spelling, port))
                assert (reply, rest) == (2, b""), spelling.label
            with field.connect(near) as control:
                control.send(b"\5\1\0\5\3\0\1" + bytes(6))
                assert (await asyncio.get_running_loop().sock_recv(control, 64))[:2] == b"\5\0"
                for count, spelling in enumerate(own_spellings(), 1):
                    field.send(b"\0\0\0" + field.wire(spelling, port) + b"x", (HOST, port))
                    await until(lambda count=count: drops(near) == count)  # type: ignore[misc]
                assert near.packets.dropped == {"denied": len(own_spellings())}
                assert outlets(near) == 0
                assert field.watch.seen == []
                for spelling in open_spellings():
                    field.send(b"\0\0\0" + field.wire(spelling) + b"x", (HOST, port))
                    await until(lambda: field.trap.sprung() == 1)
            assert far.journal.reasons == {}

    run(story)

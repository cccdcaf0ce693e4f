"""Which way requests go: by their names, by their addresses, and the default where nothing is known."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.end import End
from shadesocks.net.reactor import Reactor
from shadesocks.proxy.acl import Way
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.route import AclRouter, ByAddress, Ways
from shadesocks.proxy.seams import Request
from tests.net.packet_rig import Names
from tests.service.rig import run

if TYPE_CHECKING:
    from shadesocks.proxy.seams import Dialing, First

PROXY, BYPASS = Way.PROXY, Way.BYPASS
LINES: Final = ("[proxy_all]", "[bypass_list]", "10.0.0.0/8", "fd00::/8", "||home.test", "[proxy_list]", "||far.test")


def ways(*lines: str, names: Names | None = None) -> Ways:
    return Ways(parse_acl("\n".join(lines or LINES), "test.acl"), names or Names())


def found(*ips: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(socket.AF_INET6 if ":" in ip else socket.AF_INET), ip) for ip in ips)


class TestWays:
    @pytest.mark.parametrize(
        ("host", "way"),
        [
            ("10.1.2.3", BYPASS),
            ("::ffff:10.1.2.3", BYPASS),
            ("fd00::1", BYPASS),
            ("fd00::1%eth0", BYPASS),
            ("9.9.9.9", PROXY),
            ("nas.home.test", BYPASS),
            ("NAS.Home.TEST.", BYPASS),
            ("ｎａｓ。home.test", BYPASS),
            ("a.far.test", PROXY),
            ("other.test", None),
        ],
    )
    def test_of_a_host(self, host: str, way: Way | None) -> None:
        assert ways().of(host) is way

    @pytest.mark.parametrize("host", ["", "a..b", "127.1", "0x7f000001", "[::1]", "\0", "x" * 300])
    def test_what_is_no_name_goes_the_default_way(self, host: str) -> None:
        assert ways().of(host) is PROXY
        assert ways("[bypass_all]", "[proxy_list]", "10.0.0.0/8").of(host) is BYPASS

    def test_no_name_is_looked_up_for_a_list_without_addresses(self) -> None:
        assert ways("[proxy_all]", "[bypass_list]", "||home.test").of("other.test") is PROXY

    @pytest.mark.parametrize(
        ("ips", "way"),
        [
            ((), PROXY),
            (("9.9.9.9",), PROXY),
            (("10.0.0.1",), BYPASS),
            (("9.9.9.9", "10.0.0.1"), BYPASS),
            (("fd00::1%eth0",), BYPASS),
        ],
    )
    def test_of_addresses(self, ips: tuple[str, ...], way: Way) -> None:
        assert ways().of_addresses(found(*ips)) is way


class Named:
    """A dialer that notes what it was asked for."""

    def __init__(self) -> None:
        self.dialled: list[Address] = []

    async def dial(self, target: Address, _first: First) -> End:
        self.dialled.append(target)
        raise DialError("refused")  # what it gives is somebody else's test


class Roads:
    """A router of two such dialers, and names that the test knows."""

    def __init__(self, *lines: str) -> None:
        self.names = Names()
        self.ways = ways(*lines, names=self.names)
        self.direct, self.proxied = Named(), Named()
        self.router = AclRouter(self.ways, self.direct, self.proxied)

    def dial(self, host: str) -> Dialing:
        target = Address(host, 80)
        request = Request(End(socket.SocketType()), target)
        request.end.sock.close()
        return self.router.pick(request).dial(target, b"")

    def taken(self) -> str:
        return "direct" * len(self.direct.dialled) + "proxied" * len(self.proxied.dialled)


class TestAclRouter:
    @pytest.mark.parametrize(
        ("host", "taken"), [("10.1.2.3", "direct"), ("nas.home.test", "direct"), ("9.9.9.9", "proxied")]
    )
    def test_what_is_decided_needs_no_look_up(self, host: str, taken: str) -> None:
        roads = Roads()
        with pytest.raises(DialError, match="refused"):
            roads.dial(host).send(None)
        assert roads.taken() == taken
        assert not roads.names.waiting

    @pytest.mark.parametrize(
        ("ips", "taken"), [(("10.0.0.1",), "direct"), (("9.9.9.9",), "proxied"), (("9.9.9.9", "fd00::1"), "direct")]
    )
    def test_a_name_goes_the_way_of_its_addresses(self, ips: tuple[str, ...], taken: str) -> None:
        roads = Roads()
        roads.names.known["other.test"] = found(*ips)
        with pytest.raises(DialError, match="refused"):
            roads.dial("other.test").send(None)
        assert roads.taken() == taken
        assert roads.direct.dialled + roads.proxied.dialled == [Address("other.test", 80)], "as it was asked for"

    @pytest.mark.parametrize(("ips", "taken"), [(("10.0.0.1",), "direct"), ((), "proxied")])
    def test_a_name_that_is_not_known_is_waited_for(self, ips: tuple[str, ...], taken: str) -> None:
        """And where it cannot be found here, it goes the default way."""

        async def story() -> None:
            roads, reactor = Roads(), Reactor()
            try:
                dialling = reactor.spawn(roads.dial("other.test"))
                await asyncio.sleep(0)
                assert not roads.taken()
                roads.names.find("other.test", *ips)
                with pytest.raises(DialError):
                    await dialling
            finally:
                reactor.stop()
            assert roads.taken() == taken

        run(story())

    def test_a_name_that_is_known_not_to_exist_goes_the_default_way(self) -> None:
        class Never(Names):
            def cached(self, host: str) -> tuple[tuple[int, str], ...] | None:
                raise DialError("no_name")

        direct, proxied = Named(), Named()
        dialer = ByAddress(ways(names=Never()), {BYPASS: direct, PROXY: proxied})
        with pytest.raises(DialError, match="refused"):
            dialer.dial(Address("other.test", 80), b"").send(None)
        assert (len(direct.dialled), len(proxied.dialled)) == (0, 1)

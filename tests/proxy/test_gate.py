"""Who is let in by an access list: streams by their address, datagrams by their sender's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.gate import Admits, GatedHost, everybody, gate_of
from shadesocks.wire.packet_plain import PlainPackets
from tests.net.packet_rig import METHODS, Rig, heard, nothing, run

if TYPE_CHECKING:
    from collections.abc import Hashable

SOURCE: Final = ("192.0.2.7", 5000)


def gate(*lines: str) -> Admits:
    return gate_of(parse_acl("\n".join(lines), "test.acl"))


def test_without_a_list_everybody_may_come_in() -> None:
    assert gate_of(None) is everybody
    assert everybody("192.0.2.7")


@pytest.mark.parametrize(
    ("ip", "admitted"),
    [
        ("192.0.2.7", False),
        ("::ffff:192.0.2.7", False),
        ("192.0.3.7", True),
        ("2001:db8::1", False),
        ("fe80::1%eth0", False),
        ("fe80::2%eth0", True),
    ],
)
def test_the_black_list(ip: str, admitted: bool) -> None:
    assert gate("[black_list]", "192.0.2.0/24", "2001:db8::/32", "fe80::1")(ip) is admitted


@pytest.mark.parametrize(("ip", "admitted"), [("192.0.2.7", True), ("::ffff:192.0.2.7", True), ("192.0.3.7", False)])
def test_the_white_list(ip: str, admitted: bool) -> None:
    assert gate("[reject_all]", "[white_list]", "192.0.2.0/24")(ip) is admitted


@pytest.mark.parametrize("ip", ["", "localhost", "192.0.2", "\0", "@abstract"])
def test_whoever_has_no_address_stays_out(ip: str) -> None:
    assert not gate("[accept_all]")(ip)


class TestPackets:
    def test_whoever_is_admitted_is_heard(self) -> None:
        plain = PlainPackets()
        host = GatedHost(plain, everybody, lambda source: source)
        packet = memoryview(bytearray(b"\1\x7f\0\0\1\0\x35x"))
        assert host.identify(packet, SOURCE, packet, 0) == SOURCE
        assert host.meet(SOURCE) is plain

    def test_whoever_is_not_is_asked_nothing(self) -> None:
        class Deaf(PlainPackets):
            def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
                raise AssertionError("it is never asked")

        host = GatedHost(Deaf(), lambda ip: ip != SOURCE[0], lambda source: source)
        with pytest.raises(RemoteProtocolError) as refused:
            host.identify(memoryview(b""), SOURCE, memoryview(b""), 0)
        assert refused.value.code == "unwelcome"

    @pytest.mark.parametrize("way", ["plain", "auto"])
    @pytest.mark.parametrize("method", METHODS)
    def test_a_relay_answers_some_and_others_not(self, method: str, way: str) -> None:
        async def story(rig: Rig) -> None:
            packets = rig.packets(method)
            relay = rig.relay(packets)
            relay._host = GatedHost(packets.host(), lambda ip: ip == "127.0.0.2", rig.datagrams.name_of)
            target = rig.socket()
            welcome, stranger = rig.client(relay, packets, "127.0.0.2"), rig.client(relay, packets)
            await stranger.say(target, b"x")
            assert relay.dropped == {"unwelcome": 1}
            assert not relay.sessions
            assert nothing(target)
            await welcome.say(target, b"y")
            assert (await heard(target))[0] == b"y"

        run(story, way)

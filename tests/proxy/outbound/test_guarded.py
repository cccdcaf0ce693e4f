"""The rules of a server that dials through others: what is refused before it is passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.origin import OriginPolicy
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.outbound import guarded
from shadesocks.proxy.outbound.guarded import GuardedBack, GuardedDialer, judge_target
from shadesocks.proxy.targets import TargetRules
from tests.net.packet_rig import AEAD, METHODS, SIP022, Judge, Rig, heard, nothing, run

if TYPE_CHECKING:
    from shadesocks.net.end import End
    from shadesocks.proxy.seams import First

RULES: Final = TargetRules(OriginPolicy(own_ports={8388}), parse_acl("[outbound_block_list]\n||evil.test\n", "a"))
OPEN: Final = TargetRules(OriginPolicy(allow_private=True, own_ports={8388}), None, [(25, 25)])


class OnlyAddresses(Judge):
    """The rig's judge, for addresses."""

    def refuse_unseen(self, _name: str, _port: int) -> str | None:
        return None


class Onward:
    """A dialer that notes what it was asked for."""

    def __init__(self) -> None:
        self.dialled: list[Address] = []

    async def dial(self, target: Address, _first: First) -> End:
        self.dialled.append(target)
        raise DialError("refused")


@pytest.mark.parametrize("host", ["good.test", "GOOD.test.", "8.8.8.8", "2606:4700::1", "bücher.test"])
def test_what_is_allowed_is_passed_on_as_it_is(host: str) -> None:
    onward = Onward()
    with pytest.raises(DialError, match="refused"):
        GuardedDialer(RULES, onward).dial(Address(host, 80), b"").send(None)
    assert onward.dialled == [Address(host, 80)]


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "a.EVIL.test.",
        "evil。test",
        "127.0.0.1",
        "::1",
        "::1%1",
        "::1%",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "localhost",
        "LocalHost.",
        "api.localhost",
        "ｌocalhost",
    ],
)
def test_what_is_not_is_denied(host: str) -> None:
    onward = Onward()
    with pytest.raises(DialError) as refused:
        GuardedDialer(RULES, onward).dial(Address(host, 80), b"").send(None)
    assert refused.value.code == "denied"
    assert not onward.dialled


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127。0。0。1",
        "１２７.0.0.1",
        "[::1]",
        "::g",
        "a b",
    ],
)
def test_what_the_next_proxy_might_take_for_an_address_is_no_name(host: str) -> None:
    """Whoever is next may hand it to a library that knows more spellings than we."""
    with pytest.raises(DialError) as refused:
        judge_target(RULES, Address(host, 80))
    assert refused.value.code == "no_name"


@pytest.mark.parametrize(("host", "allowed"), [("good.test", True), ("other.test", False), ("8.8.8.8", False)])
def test_where_all_else_is_blocked_a_name_must_be_allowed(host: str, allowed: bool) -> None:
    """Its addresses, which might be, are not known here."""
    acl = parse_acl("[outbound_block_all]\n[outbound_allow_list]\n||good.test\n9.9.9.0/24\n", "a")
    judge = TargetRules(OriginPolicy(), acl)
    if allowed:
        judge_target(judge, Address(host, 80))
    else:
        with pytest.raises(DialError) as refused:
            judge_target(judge, Address(host, 80))
        assert refused.value.code == "denied"


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        ("127.0.0.1", 80, True),
        ("localhost", 80, True),
        ("127.0.0.1", 8388, False),
        ("localhost", 8388, False),
        ("8.8.8.8", 25, False),
        ("good.test", 25, False),
    ],
)
def test_ports(host: str, port: int, allowed: bool) -> None:
    if allowed:
        judge_target(OPEN, Address(host, port))
    else:
        with pytest.raises(DialError):
            judge_target(OPEN, Address(host, port))


class TestDatagrams:
    @pytest.mark.parametrize("method", METHODS)
    def test_each_is_judged(self, method: str) -> None:
        async def story(rig: Rig) -> None:
            near_packets, far_packets = rig.packets(method), rig.packets(SIP022)
            far = rig.relay(far_packets)
            onward = rig.way_through(far, far_packets)
            near = rig.relay(near_packets, GuardedBack(RULES, onward, rig.datagrams.middle))
            client, target = rig.client(near, near_packets), rig.socket()
            port = target.getsockname()[1]
            for host in ("127.0.0.1", "localhost", "evil.test", "::ffff:127.0.0.1"):
                await client.say(Address(host, port), b"x")
            assert near.dropped == {"denied": 4}
            await client.say(Address("127.1", port), b"x")
            assert near.dropped == {"denied": 4, "no_name": 1}
            assert not far.sessions
            rig.names.known["good.test"] = rig.names.cached("127.0.0.1") or ()
            for number in range(3):
                await client.say(Address("good.test", port), b"%d" % number)
                got, outlet = await heard(target)
                assert got == b"%d" % number
            target.sendto(b"back", outlet)
            assert await client.hear() == (Address("127.0.0.1", port), b"back")

        run(story)

    def test_again_after_a_tick(self) -> None:
        async def story(rig: Rig) -> None:
            packets = rig.packets(AEAD)
            far = rig.relay(packets)
            judge = OnlyAddresses()
            back = GuardedBack(judge, rig.way_through(far, packets), rig.datagrams.middle)
            near = rig.relay(packets, back)
            client, target = rig.client(near, packets), rig.socket()
            for _ in range(2):
                await client.say(target, b"x")
                await heard(target)
            asked = judge.asked
            judge.refused.add("127.0.0.1")
            near.sweep()
            await client.say(target, b"x")
            assert nothing(target)
            assert near.dropped == {"denied": 1}
            assert (asked, judge.asked) == (1, 2)

        run(story)

    def test_what_is_remembered_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def story(rig: Rig) -> None:
            monkeypatch.setattr(guarded, "ROUTES_MOST", 4)
            packets = rig.packets(AEAD)
            back = GuardedBack(OPEN, rig.way_through(rig.relay(packets), packets), rig.datagrams.middle)
            near = rig.relay(packets, back)
            client = rig.client(near, packets)
            for number in range(10):
                await client.say(Address(f"127.0.0.{number + 1}", 9), b"x")
                assert len(back._good) <= 4

        run(story)

"""What a server may dial by the operator's rules: names, addresses, ports, and what a rule does not open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.core.networks import NetworkSet, parse_network
from shadesocks.net.origin import FORBIDDEN, NOT_AN_ADDRESS, OWN, OriginPolicy
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.targets import PORT, RULE, TargetRules

if TYPE_CHECKING:
    from collections.abc import Sequence

PUBLIC: Final = "8.8.8.8"


def rules(*lines: str, origin: OriginPolicy | None = None, ports: Sequence[tuple[int, int]] = ()) -> TargetRules:
    acl = parse_acl("\n".join(lines), "test.acl") if lines else None
    return TargetRules(origin or OriginPolicy(), acl, ports)


def allowing(*networks: str) -> TargetRules:
    return rules("[outbound_allow_list]", *networks)


def blocking(*lines: str, private: bool = False) -> TargetRules:
    return rules("[outbound_block_list]", *lines, origin=OriginPolicy(allow_private=private))


class TestPorts:
    @pytest.mark.parametrize(("port", "word"), [(24, None), (25, PORT), (26, None), (6881, PORT), (6889, PORT)])
    def test_both_ends_of_a_range_are_closed(self, port: int, word: str | None) -> None:
        assert rules(ports=[(25, 25), (6881, 6889)]).refuse(PUBLIC, port) == word

    def test_a_closed_port_is_closed_in_front_of_all_rules(self) -> None:
        judge = rules("[outbound_allow_list]", PUBLIC, ports=[(25, 25)])
        assert judge.refuse(PUBLIC, 25) == PORT
        assert judge.refuse(PUBLIC, 26) is None

    def test_without_rules_the_safe_default_holds(self) -> None:
        judge = rules(ports=[(25, 25)])
        assert judge.refuse("127.0.0.1", 80) == "loopback"
        assert judge.refuse_name("anything.test") is None


class TestNames:
    @pytest.mark.parametrize(
        "host",
        ["evil.test", "EVIL.Test", "evil.test.", "a.b.evil.test", "A.EVIL.TEST.", "ｅｖｉｌ.test", "evil。test"],
    )
    def test_a_name_is_blocked_however_it_is_written(self, host: str) -> None:
        assert blocking("||evil.test").refuse_name(host) == RULE
        assert blocking(r"(^|\.)evil\.test$").refuse_name(host) == RULE
        assert blocking("||evil.test").refuse(PUBLIC, 80, host) == RULE

    @pytest.mark.parametrize("host", ["bücher.test", "BÜCHER.test.", "xn--bcher-kva.test", "XN--BCHER-KVA.TEST"])
    def test_idna_is_one_name(self, host: str) -> None:
        assert blocking("||bücher.test").refuse_name(host) == RULE

    @pytest.mark.parametrize("host", ["good.test", "notevil.test", "evil.test.example"])
    def test_others_are_not(self, host: str) -> None:
        assert blocking("||evil.test").refuse_name(host) is None

    @pytest.mark.parametrize("host", [PUBLIC, "::1", "127.1", "", "a..b", "\0", "x" * 300, "fe80::1%eth0"])
    def test_what_is_no_name_is_left_to_the_resolver(self, host: str) -> None:
        assert blocking(".").refuse_name(host) is None

    def test_an_allowed_name_may_still_mean_a_closed_address(self) -> None:
        judge = allowing("||good.test")
        assert judge.refuse_name("good.test") is None
        assert judge.refuse(PUBLIC, 80, "good.test") is None
        assert judge.refuse("127.0.0.1", 80, "good.test") == "loopback"

    def test_an_allowed_name_may_not_mean_a_blocked_address(self) -> None:
        judge = rules("[outbound_block_list]", f"{PUBLIC}/32", "[outbound_allow_list]", "||good.test")
        assert judge.refuse(PUBLIC, 80, "good.test") == RULE
        assert judge.refuse("9.9.9.9", 80, "good.test") is None

    def test_where_all_else_is_blocked_a_name_or_an_address_is_needed(self) -> None:
        judge = rules("[outbound_block_all]", "[outbound_allow_list]", "||good.test", "9.9.9.0/24")
        assert judge.refuse(PUBLIC, 80, "good.test") is None
        assert judge.refuse("9.9.9.9", 80, "other.test") is None
        assert judge.refuse(PUBLIC, 80, "other.test") == RULE
        assert judge.refuse(PUBLIC, 80) == RULE
        assert judge.refuse(PUBLIC, 80, PUBLIC) == RULE


class TestAddresses:
    @pytest.mark.parametrize("ip", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1"])
    def test_a_blocked_address_is_blocked_in_every_clothing(self, ip: str) -> None:
        assert blocking("10.0.0.0/8", private=True).refuse(ip, 80) == RULE

    @pytest.mark.parametrize(
        "ip",
        ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2a00::5efe:8.8.8.8"],
    )
    def test_a_public_one_too(self, ip: str) -> None:
        assert blocking("8.8.8.8").refuse(ip, 80) == RULE
        assert blocking("9.9.9.9").refuse(ip, 80) is None

    @pytest.mark.parametrize("ip", ["0.0.0.0", "::", "::ffff:0.0.0.0"])
    def test_where_loopback_is_blocked_so_is_what_leads_to_it(self, ip: str) -> None:
        assert blocking("127.0.0.0/8", "::1", private=True).refuse(ip, 80) == RULE

    @pytest.mark.parametrize("ip", ["", "localhost", "127.1", "1.2.3.4.", "[::1]", "\0"])
    def test_what_is_no_address_is_refused(self, ip: str) -> None:
        for judge in (blocking("10.0.0.0/8"), allowing("0.0.0.0/0", "::/0"), blocking("10.0.0.0/8", private=True)):
            assert judge.refuse(ip, 80) == NOT_AN_ADDRESS

    def test_a_zone_does_not_hide_an_address(self) -> None:
        assert blocking("fe80::/10", private=True).refuse("fe80::1%eth0", 80) == RULE
        assert blocking("10.0.0.0/8").refuse("fe80::1%eth0", 80) == "link-local"


class TestWhatAnAllowListOpens:
    CLOSED: Final = (
        "0.0.0.0",
        "127.0.0.1",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.1.1",
        "169.254.169.254",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001:0:808:808::80ff:fffe",
        "2a00::5efe:127.0.0.1",
        "2a00::200:5efe:10.0.0.1",
        "2002:808:808::5efe:127.0.0.1",
    )

    @pytest.mark.parametrize("ip", CLOSED)
    def test_everything_opens_nothing_special(self, ip: str) -> None:
        assert allowing("0.0.0.0/0", "::/0", "2000::/3", "2a00::/16", ".").refuse(ip, 80)
        assert rules("[outbound_allow_all]").refuse(ip, 80)

    @pytest.mark.parametrize(
        ("network", "ip"),
        [
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("10.1.0.0/16", "10.1.2.3"),
            ("127.0.0.0/8", "127.0.0.1"),
            ("169.254.169.254", "169.254.169.254"),
            ("fc00::/7", "fd00::1"),
            ("fd00::/8", "fd00::1"),
            ("::1", "::1"),
            ("64:ff9b::a00:0/104", "64:ff9b::10.1.2.3"),
            ("64:ff9b:1::/48", "64:ff9b:1::1"),
        ],
    )
    def test_a_network_opens_what_is_in_it(self, network: str, ip: str) -> None:
        assert allowing(network).refuse(ip, 80) is None

    @pytest.mark.parametrize(
        ("network", "ip"),
        [
            ("8.0.0.0/5", "10.1.2.3"),
            ("10.0.0.0/8", "192.168.1.1"),
            ("10.0.0.0/8", "169.254.169.254"),
            ("169.254.0.0/16", "169.254.169.254"),
            ("169.254.169.0/24", "169.254.169.254"),
            ("169.254.0.0/16", "::ffff:169.254.169.254"),
            ("100.64.0.0/10", "100.100.100.200"),
            ("0.0.0.0/8", "0.0.0.0"),
            ("127.0.0.0/8", "0.0.0.0"),
            ("fc00::/7", "fd00:ec2::254"),
            ("fd00::/16", "fd00:c1::a9fe:a9fe"),
            ("64:ff9b::/96", "64:ff9b::10.1.2.3"),
            ("64:ff9b::a00:0/104", "64:ff9b::169.254.169.254"),
            ("2002::/16", "2002:a9fe:a9fe::1"),
            ("2a00::/16", "2a00::5efe:127.0.0.1"),
            ("2a00::/64", "2a00::5efe:169.254.169.254"),
        ],
    )
    def test_and_nothing_that_a_narrower_row_closes(self, network: str, ip: str) -> None:
        assert allowing(network).refuse(ip, 80)

    @pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    def test_own_listeners_stay_closed(self, ip: str) -> None:
        judge = rules("[outbound_allow_list]", "127.0.0.0/8", "::1", origin=OriginPolicy(own_ports={8388}))
        assert judge.refuse(ip, 8388) == OWN
        assert judge.refuse(ip, 8389) is None

    def test_what_the_operator_forbade_stays_closed(self) -> None:
        origin = OriginPolicy(forbidden=NetworkSet([parse_network("10.0.0.0/8")]))
        judge = rules("[outbound_allow_list]", "10.0.0.0/8", origin=origin)
        assert judge.refuse("10.1.2.3", 80) == FORBIDDEN
        assert judge.refuse("127.0.0.1", 80) is None, "it stands in place of the special addresses"

"""No forbidden target is dialled: by any spelling, through any door, and whatever name leads there.

Each spelling of `spellings.py` goes to a server over TCP and over UDP, and through a client in front of one. It must be
refused, and nothing may be dialled: an audit hook sees every connect and send of this process, no session may have a
socket towards targets, and a trap listens on every address of this machine.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.config.model import Mode
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.service.service import Service
from tests.dns_server import How, Name
from tests.probes.craft import Crafter
from tests.service.rig import HOST, server_config, until

from .field import AEAD, SIP022, Field, drops, key_of, name_spelling, open_spellings, outlets, run
from .spellings import TABLE, Spelling

SAMPLE: Final = 5
"""Of the table, every so many through the doors that are only other ways to the same judge."""
PUBLIC: Final = "8.8.4.4"
"""An address that may be dialled, if the watch let it."""


def sample(whole: bool, every: int = SAMPLE) -> list[Spelling]:
    return TABLE if whole else TABLE[::every]


def test_there_are_enough() -> None:
    assert len(TABLE) >= 600
    assert len({spelling.wire for spelling in TABLE}) == len(TABLE)
    assert all(spelling.words for spelling in TABLE)


# Through the server


@pytest.mark.parametrize(("method", "every"), [(AEAD, 1), (SIP022, SAMPLE)])
def test_streams_through_a_server(method: str, every: int, field: Field, whole: bool) -> None:
    async def story() -> None:
        async with field.up(field.server(method)) as far:
            reasons = far.journal.reasons
            for spelling in sample(whole, every):
                before = reasons.copy()
                assert await field.stream(far, field.wire(spelling), method) == b"", spelling.label
                await until(lambda before=before: reasons != before)  # type: ignore[misc]
                [word] = reasons - before
                assert word in spelling.words, spelling.label
                assert far.totals[0] == 0
            field.assert_nobody_was_dialled()

    run(story)


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_datagrams_through_a_server(way: str, field: Field) -> None:
    async def story() -> None:
        async with field.up(field.server(SIP022, udp_io=way)) as far:
            for spelling in TABLE:
                before, count = far.packets.dropped, drops(far)
                field.datagram(far, field.wire(spelling), SIP022)
                await until(lambda count=count: drops(far) > count)  # type: ignore[misc]
                after = far.packets.dropped
                [word] = [word for word in after if after[word] != before.get(word, 0)]
                assert word in spelling.words, spelling.label
            assert far.packets.up_packets == 0
            assert outlets(far) == 0
            field.assert_nobody_was_dialled()

    run(story)


def test_streams_with_fast_open_and_ipv6_first(field: Field, whole: bool) -> None:
    async def story() -> None:
        async with field.up(field.server(fast_open=True, ipv6_first=True, dns_cache_size=0)) as far:
            for spelling in sample(whole):
                assert await field.stream(far, field.wire(spelling)) == b"", spelling.label
            field.assert_nobody_was_dialled()

    run(story)


def test_the_systems_own_resolver_takes_no_numbers(field: Field) -> None:
    """It knows them all, and asks nobody for them; so it is not asked."""
    numerals = [spelling for spelling in TABLE if spelling.label.startswith("numeral") and is_number(spelling)]
    assert len(numerals) > 50

    async def story() -> None:
        servers = (replace(server_config(AEAD), mode=Mode.TCP_AND_UDP),)
        config = replace(field.config(servers=servers), dns=(NameServer(Transport.SYSTEM),), allow_private=True)
        async with field.up(Service.server(config)) as far:
            for count, spelling in enumerate(numerals, 1):
                assert await field.stream(far, field.wire(spelling)) == b"", spelling.label
                field.datagram(far, field.wire(spelling))
                await until(lambda count=count: drops(far) == count)  # type: ignore[misc]
            assert far.journal.reasons == far.packets.dropped == {"no_name": len(numerals)}
            field.assert_nobody_was_dialled()

    run(story)


def is_number(spelling: Spelling) -> bool:
    """True for what the system takes for an IPv4 address."""
    try:
        socket.inet_aton(spelling.wire[2:].decode())
    except OSError:
        return False
    return True


# Through a client


def test_connections_through_a_client(field: Field, whole: bool) -> None:
    """Its reply comes before the server is asked, so what tells is that nothing follows."""

    async def story() -> None:
        async with field.pair() as (far, near):
            for spelling in sample(whole):
                _, rest = await field.socks(near, field.wire(spelling))
                assert rest == b"", spelling.label
            assert set(far.journal.reasons) <= {"denied", "no_name", "malformed"}
            assert set(field.watch.seen) == {("connect", HOST, far.addresses[0].port)}
            assert field.trap.sprung() == 0

    run(story)


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_datagrams_through_a_client(way: str, field: Field, whole: bool) -> None:
    async def story() -> None:
        async with field.pair(udp_io=way) as (far, near):
            with field.connect(near) as control:
                control.send(b"\5\1\0\5\3\0\1" + bytes(6))
                reply = b""
                while len(reply) < 12:
                    reply += await asyncio.get_running_loop().sock_recv(control, 64)
                relay = socket.inet_ntoa(reply[6:10]), int.from_bytes(reply[10:12])
                for count, spelling in enumerate(sample(whole), 1):
                    field.send(b"\0\0\0" + field.wire(spelling) + b"x", relay)
                    await until(lambda count=count: drops(far) + drops(near) == count)  # type: ignore[misc]
            assert set(far.packets.dropped) | set(near.packets.dropped) == {"denied", "no_name", "malformed"}
            assert outlets(far) == 0
            assert {seen for seen in field.watch.seen if seen[2] == field.trap.port} == set()
            assert {seen[2] for seen in field.watch.seen if seen[0] == "connect"} == {far.addresses[0].port}
            assert field.trap.sprung() == 0

    run(story)


# The doors do open


@pytest.mark.parametrize("options", [{"allow_private": True}, {"forbidden_ip": ()}])
def test_what_is_allowed_is_dialled(options: dict[str, Any], field: Field) -> None:
    async def story() -> None:
        async with field.up(field.server(udp_io="plain", **options)) as far:
            for spelling in open_spellings():
                with field.connect(far) as sock:
                    sock.send(Crafter(AEAD, key_of(AEAD)).good(field.wire(spelling), b"x"))
                    await until(lambda: field.trap.sprung() == 1)
                field.datagram(far, field.wire(spelling))
                await until(lambda: field.trap.sprung() == 1)
            assert {seen[2] for seen in field.watch.seen} == {field.trap.port}

    run(story)


# Names with many meanings


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        (["127.0.0.1", PUBLIC], [PUBLIC]),
        ([PUBLIC, "127.0.0.1", "10.0.0.1", "::1", "fd00::1"], [PUBLIC]),
        (["::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2606:4700::1"], ["2606:4700::1"]),
        (["0.0.0.0", "::", "8.8.8.8", PUBLIC], ["8.8.8.8", PUBLIC]),
    ],
)
def test_only_the_public_addresses_of_a_name_are_dialled(
    addresses: Sequence[str], allowed: Sequence[str], field: Field
) -> None:
    """A race has no losers among those that are closed."""

    async def story() -> None:
        field.dns.zone["mixed.test"] = Name(addresses)
        async with field.up(field.server(udp_io="plain", connection_attempt_delay=0.01)) as far:
            target = field.wire(name_spelling("mixed.test"))
            assert await field.stream(far, target) == b""
            assert field.watch.seen == [("connect", ip, field.trap.port) for ip in allowed]
            field.watch.seen.clear()
            field.datagram(far, target)
            await until(lambda: drops(far) == 1)
            assert len(field.watch.seen) == 1
            assert field.watch.seen[0][1].removeprefix("::ffff:") == allowed[0]
            assert field.trap.sprung() == 0

    run(story)


@pytest.mark.parametrize("options", [{"dns_ttl_min": 0}, {"dns_cache_size": 0}])
def test_a_name_that_changes_its_meaning_gains_nothing(options: dict[str, Any], field: Field) -> None:
    """One question for each dial: what is judged is what is dialled."""

    async def story() -> None:
        field.dns.zone["turning.test"] = Name(turns=[[PUBLIC], ["127.0.0.1"]], ttl=0)
        target = field.wire(name_spelling("turning.test"))
        async with field.up(field.server(udp_io="plain", **options)) as far:
            for number in range(1, 7):
                assert await field.stream(far, target) == b""
                assert field.dns.asked("turning.test") == number
            for number in range(7, 13):
                field.datagram(far, target)
                await until(lambda count=number - 6: drops(far) == count)  # type: ignore[misc]
                for relay in far._shared.crowd.relays:
                    relay.sweep()  # what was judged is forgotten
                assert field.dns.asked("turning.test") == number
            assert far.journal.reasons["denied"] == 3
            assert far.packets.dropped["denied"] == 3
            assert {seen[1].removeprefix("::ffff:") for seen in field.watch.seen} == {PUBLIC}
            assert len(field.watch.seen) == 6
            assert field.trap.sprung() == 0

    run(story)


def test_an_old_answer_is_judged_like_a_new_one(field: Field) -> None:
    """A name server that fails lets old answers serve on, and not the judgement on them."""

    async def story() -> None:
        async with field.up(field.server(dns_ttl_min=0)) as far:
            field.dns.zone["stale.test"] = Name(["127.0.0.1"], ttl=0)
            for how in (How.ANSWER, How.SERVFAIL):
                field.dns.zone["stale.test"].how = how
                assert await field.stream(far, field.wire(name_spelling("stale.test"))) == b""
            assert far.journal.reasons == {"denied": 2}
            field.assert_nobody_was_dialled()

    run(story)


@pytest.mark.parametrize("options", [{}, {"dns_cache_size": 0}, {"dns_ttl_min": 0}])
def test_the_way_and_the_dial_of_a_client_have_one_answer(
    options: dict[str, Any], field: Field, tmp_path: Path
) -> None:
    """A name whose first answer bypasses and whose second does not is not dialled at the second."""

    async def story() -> None:
        rules = tmp_path / "split.acl"
        rules.write_text("[proxy_all]\n[bypass_list]\n127.0.0.0/8\n")
        async with field.pair(acl=str(rules), **options) as (far, near):
            for number in range(4):
                field.dns.zone[f"t{number}.test"] = Name(turns=[["127.0.0.1"], [PUBLIC]], ttl=0)
                with field.connect(near) as sock:
                    sock.send(b"\5\1\0\5\1\0" + field.wire(name_spelling(f"t{number}.test")))
                    await until(lambda: field.trap.sprung() == 1)
                assert field.dns.asked(f"t{number}.test") == 1
            assert field.watch.seen == [("connect", "127.0.0.1", field.trap.port)] * 4
            assert far.journal.reasons == {}

    run(story)


# The operator's rules


def test_an_allow_list_opens_what_it_says_and_no_more(field: Field, tmp_path: Path, whole: bool) -> None:
    async def story() -> None:
        rules = tmp_path / "wide.acl"
        rules.write_text("[outbound_allow_list]\n0.0.0.0/0\n::/0\n2000::/3\n||test\n(^|\\.)localhost$\n.\n")
        server = replace(server_config(AEAD), mode=Mode.TCP_AND_UDP, acl=str(rules))
        async with field.up(Service.server(field.config(servers=(server,), acl=str(rules), udp_io="plain"))) as far:
            for count, spelling in enumerate(sample(whole), 1):
                assert await field.stream(far, field.wire(spelling)) == b"", spelling.label
                field.datagram(far, field.wire(spelling))
                await until(lambda count=count: drops(far) == count)  # type: ignore[misc]
            field.assert_nobody_was_dialled()

    run(story)


@pytest.mark.parametrize(
    "host",
    ["evil.test", "EVIL.test", "a.evil.test.", "evil。test", "ｅｖｉｌ.test", "blocked-address.test", "both.test"],
)
def test_what_a_list_blocks_is_not_dialled(host: str, field: Field, tmp_path: Path) -> None:
    """Nor is a name that is allowed, where it leads to an address that is not."""

    async def story() -> None:
        rules = tmp_path / "block.acl"
        rules.write_text(f"[outbound_block_list]\n(^|\\.)evil\\.test$\n{PUBLIC}\n[outbound_allow_list]\n||test\n")
        field.dns.zone |= {
            "evil.test": Name(["8.8.8.8"]),
            "a.evil.test": Name(["8.8.8.8"]),
            "blocked-address.test": Name([PUBLIC, f"64:ff9b::{PUBLIC}"]),
        }
        server = replace(server_config(AEAD), mode=Mode.TCP_AND_UDP, acl=str(rules))
        async with field.up(Service.server(field.config(servers=(server,), acl=str(rules), udp_io="plain"))) as far:
            target = field.wire(name_spelling(host))
            assert await field.stream(far, target) == b""
            field.datagram(far, target)
            await until(lambda: drops(far) == 1)
            assert far.journal.reasons == far.packets.dropped == {"denied": 1}
            field.assert_nobody_was_dialled()

    run(story)


@pytest.mark.parametrize("rules", ["[outbound_block_list]\n||evil.test\n", "[outbound_block_all]\n"])
def test_a_chain_with_rules_passes_nothing_forbidden_on(rules: str, field: Field, tmp_path: Path, whole: bool) -> None:
    """Names alone may go on, where all is allowed: what they mean is the next server's business, which refuses it."""

    async def story() -> None:
        path = tmp_path / "chain.acl"
        path.write_text(rules)
        async with field.up(field.server(AEAD)) as last:
            hop = replace(server_config(AEAD), address=last.addresses[0], mode=Mode.TCP_AND_UDP)
            server = replace(hop, address=Address(HOST, 0), outbound_proxy=(hop,), acl=str(path))
            async with field.up(Service.server(field.config(servers=(server,), acl=str(path)))) as first:
                names = set()
                for spelling in sample(whole):
                    before = sum(last.journal.reasons.values())
                    assert await field.stream(first, field.wire(spelling)) == b"", spelling.label
                    if sum(last.journal.reasons.values()) > before:
                        names.add(spelling.label.partition(":")[0])
                may_pass = {"name", "name without an address", "name of the hosts file", "foreign numeral"}
                may_pass = may_pass if "||" in rules else set()
                assert names <= may_pass
                assert set(last.journal.reasons) <= {"denied", "no_name"}
                assert {seen[2] for seen in field.watch.seen} <= {last.addresses[0].port}
                assert field.trap.sprung() == 0

    run(story)

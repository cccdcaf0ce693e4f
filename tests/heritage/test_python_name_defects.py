"""P10 to P14, P31: what the Python version did wrong with names, datagrams and targets. Each test is named by the id in
docs/heritage.md; its first line says what happened then.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.service import service as service_file
from shadesocks.service.names import make_resolver
from tests.dns_server import FORGED, HOST6, How, Name, dns_server
from tests.service.rig import HOST, echo, run, server_config, target, until
from tests.service.test_service_udp import ask, relay_of, udp_pair
from tests.service.test_service_udp import echo as udp_echo

from .rig import (
    AEAD,
    config_of,
    connected,
    crafter,
    dns_of,
    entry_for,
    left,
    local_for,
    received,
    reset,
    rest_of,
    serving,
    udp_client,
    udp_crafter,
    where,
    wrapped,
)


async def found(config: Config, name: str) -> list[str]:
    """Return the addresses that a service of this configuration finds for a name."""
    resolver = make_resolver(config)
    try:
        return [address for _, address in await resolver.lookup(name)]
    finally:
        await resolver.close()


# P10 to P12: names


@pytest.mark.parametrize("how", [How.SERVFAIL, How.REFUSED, How.DROP])
def test_p10_a_name_server_that_fails_does_not_hide_the_next(how: How) -> None:
    """Old: of two name servers asked at once, the one with nothing to say could win."""

    async def story() -> None:
        async with dns_server() as bad, dns_server() as good:
            bad.otherwise = lambda _: Name(how=how)
            good.zone["some.test"] = Name(["192.0.2.7"])
            assert await found(Config(dns=dns_of(bad, good)), "some.test") == ["192.0.2.7"]

    run(story())


def test_p10_no_address_of_one_family_does_not_hide_the_other() -> None:
    """Old: the first answer counted, and an empty one was "unknown hostname"."""

    async def story() -> None:
        async with dns_server() as names:
            names.zone["six.test"] = Name(["2001:db8::7"], of={"AAAA": Name(["2001:db8::7"], delay=0.02)})
            assert await found(Config(dns=dns_of(names)), "six.test") == ["2001:db8::7"]

    run(story())


def test_p11_a_lost_question_is_asked_again() -> None:
    """Old: no retry and no timer, so one lost packet held the connection to the idle time-out."""

    async def story() -> None:
        async with dns_server() as names:
            names.zone["some.test"] = Name(["192.0.2.7"], drop=1)
            assert await found(Config(dns=dns_of(names)), "some.test") == ["192.0.2.7"]
            assert names.asked("some.test") == 2

    run(story())


@pytest.mark.parametrize("how", [How.WRONG_ID, How.WRONG_QUESTION, How.OTHER_PORT, How.OTHER_ADDRESS])
def test_p11_a_forged_answer_is_not_taken(how: How) -> None:
    """Old: of an answer only the sender's address was looked at."""

    async def story() -> None:
        async with dns_server(hosts=[HOST]) as names:
            names.zone["some.test"] = Name(["192.0.2.7"], how=how)
            addresses = await found(Config(dns=dns_of(names)), "some.test")
            assert "192.0.2.7" in addresses
            assert not set(FORGED.values()) & set(addresses)

    run(story())


def test_p11_questions_leave_from_many_ports() -> None:
    """Old: one source port for life."""

    async def story() -> None:
        async with dns_server() as names:
            names.otherwise = lambda _: Name(["192.0.2.7"])
            resolver = make_resolver(Config(dns=dns_of(names)))
            for number in range(200):
                await resolver.lookup(f"name{number}.test")
            await resolver.close()
            assert len({query.port for query in names.queries}) > 2
            assert len({query.id for query in names.queries}) > 100

    run(story())


def test_p11_an_answer_that_was_cut_short_is_asked_for_over_tcp() -> None:
    """Old: the bit that says so was ignored."""

    async def story() -> None:
        async with dns_server() as names:
            names.zone["long.test"] = Name(["192.0.2.7"], how=How.TRUNCATED)
            assert await found(Config(dns=dns_of(names)), "long.test") == ["192.0.2.7"]
            assert {"udp", "tcp"} <= {query.transport for query in names.queries}

    run(story())


def test_p11_a_name_server_may_have_an_ipv6_address() -> None:
    """Old: name servers with IPv6 addresses were ignored."""

    async def story() -> None:
        async with dns_server(hosts=[HOST6]) as names:
            names.zone["some.test"] = Name(["192.0.2.7"])
            assert await found(Config(dns=dns_of(names)), "some.test") == ["192.0.2.7"]

    run(story())


def test_p11_an_answer_serves_for_its_time_and_no_longer() -> None:
    """Old: the time to live was ignored, and a name in steady use never expired."""

    async def story() -> None:
        async with dns_server() as names:
            names.zone["some.test"] = Name(turns=[["192.0.2.7"], ["192.0.2.8"]], ttl=1)
            resolver = make_resolver(Config(dns=dns_of(names), dns_ttl_min=1))
            until_at = time.monotonic() + 10
            seen: list[str] = []
            while "192.0.2.8" not in seen and time.monotonic() < until_at:  # in steady use
                seen += [address for _, address in await resolver.lookup("some.test")]
                await asyncio.sleep(0.01)
            await resolver.close()
            assert seen[0] == "192.0.2.7"
            assert seen[-1] == "192.0.2.8"
            assert len(seen) > 10

    run(story())


HOSTS = "192.0.2.1 printer # the one upstairs\n192.0.2.2 printer\n127.0.0.1 localhost\n::1 localhost\n192.0.2.3 last\n"


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("printer", ["192.0.2.1"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("last.", ["192.0.2.3"]),
        ("LAST", ["192.0.2.3"]),
    ],
)
def test_p12_the_hosts_file_is_read_as_the_system_reads_it(
    name: str, addresses: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old: comments became names, the last line won, a trailing dot was refused."""
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    monkeypatch.setattr("shadesocks.service.names.hosts_path", lambda: str(hosts))

    async def story() -> None:
        async with dns_server() as names:
            config = Config(dns=dns_of(names))
            assert sorted(await found(config, name)) == sorted(addresses)
            for comment in ("upstairs", "#"):
                with pytest.raises(DialError):
                    await found(config, comment)

    run(story())


def test_p12_a_name_server_given_as_one_text_is_one_name_server() -> None:
    """Old: `"dns_server": "8.8.8.8"` was eight servers of one character each; the client had none at all."""
    text = '{"server": "192.0.2.1", "server_port": 1, "method": "aes-128-gcm", "password": "Xei9-ohM7*quah", %s}'
    for role in ("server", "local"):
        config = config_of(text % '"dns": "192.0.2.53"', role)
        assert [server.host for server in config.dns] == ["192.0.2.53"]
        config = config_of(text % '"allow_legacy": true, "dns_server": "192.0.2.53"', role, dialect="python")
        assert [server.host for server in config.dns] == ["192.0.2.53"]


def test_p12_who_has_gone_leaves_no_socket_behind() -> None:
    """Old: of two who waited for one name, the one that had gone opened a connection that was never closed."""
    here: set[asyncio.StreamWriter] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.add(writer)
        try:
            await echo(reader, writer)
        finally:
            here.discard(writer)

    async def story() -> None:
        async with dns_server() as names, target(hold) as to, serving(dns=dns_of(names)) as far:
            names.zone["slow.test"] = Name([HOST], delay=0.2)
            clients = [await connected(far) for _ in range(3)]
            for _, writer in clients:
                writer.write(crafter().good(replace(to, host="slow.test").pack(), b"x"))
            await names.until(1)
            for _, writer in clients[:2]:
                reset(writer)
            assert await clients[2][0].read(1)
            await until(lambda: (far.totals[0], len(here)) == (1, 1))
            await left(clients[2][1])
            await until(lambda: not far.totals[0] and not here)

    run(story())


# P13: datagrams


def test_p13_a_name_that_takes_its_time_holds_up_nobody() -> None:
    """Old: names of datagrams were looked up in the loop, and everybody waited."""

    async def story() -> None:
        async with dns_server() as names, udp_echo() as to, serving(dns=dns_of(names)) as far:
            names.otherwise = lambda _: Name(how=How.DROP)
            made = udp_crafter()
            with udp_client() as sock:
                sock.sendto(made.request(Address("lost.test", 9).pack(), b"waits", bytes(8), 1), where(far))
                await names.until(1)
                sock.sendto(made.request(to.pack(), b"does not", bytes(8), 2), where(far))
                assert made.open(await received(sock), 1).payload == b"does not"

    run(story())


def test_p13_a_client_of_datagrams_stays_with_its_server() -> None:
    """Old: the server was chosen anew for each datagram, so answers came from several."""

    async def story() -> None:
        async with (
            udp_echo() as to,
            serving() as first,
            serving() as second,
            local_for([entry_for(first), entry_for(second)], balancer_policy="random") as near,
        ):
            writer, reply = await ask(near)
            with udp_client() as sock:
                for _ in range(20):
                    sock.sendto(wrapped(to, b"x"), relay_of(reply))
                    await received(sock)
            assert sorted((first.packets.up_packets, second.packets.up_packets)) == [0, 20]
            writer.close()

    run(story())


def test_p13_every_datagram_is_judged() -> None:
    """Old: only the first target of a client was compared with the forbidden addresses."""

    async def story() -> None:
        async with udp_echo() as to, serving(private=False, forbidden_ip=("127.0.0.2/32",)) as far:
            made = udp_crafter()
            with udp_client() as sock, udp_client("127.0.0.2") as forbidden:
                sock.sendto(made.request(to.pack(), b"allowed", bytes(8), 1), where(far))
                assert made.open(await received(sock), 1).payload == b"allowed"
                there = Address(*forbidden.getsockname())
                sock.sendto(made.request(there.pack(), b"not allowed", bytes(8), 2), where(far))
                await until(lambda: far.packets.dropped == {"denied": 1})
                sock.sendto(made.request(to.pack(), b"allowed", bytes(8), 3), where(far))
                await received(sock)
                with pytest.raises(BlockingIOError):
                    forbidden.recv(1)

    run(story())


def test_p13_associations_have_a_limit_and_belong_to_their_connection() -> None:
    """Old: any number of associations, which outlived the SOCKS connections they were made for."""

    async def story() -> None:
        async with udp_echo() as to, udp_pair(Config(udp_max_associations=3), server_config(AEAD)) as (far, near):
            writer, reply = await ask(near)
            with udp_client() as sock:
                for _ in range(10):
                    with udp_client() as other:
                        other.sendto(wrapped(to, b"x"), relay_of(reply))
                        await received(other)
                assert (near.packets.sessions, far.packets.sessions) == (3, 3)
                await left(writer)
                await until(lambda: not near.packets.sessions)
                sock.sendto(wrapped(to, b"x"), relay_of(reply))
                await until(lambda: near.packets.dropped == {"no_association": 1})

    run(story())


def test_p13_answers_keep_a_session_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old: only the client's datagrams counted, so a flow that was only received was cut."""
    monkeypatch.setattr(service_file, "SWEEP", 0.01)

    async def story() -> None:
        made = udp_crafter()
        async with serving(udp_timeout=0.8) as far:
            with udp_client() as sock, udp_client() as sender:
                sock.sendto(made.request(Address(*sender.getsockname()).pack(), b"go", bytes(8), 1), where(far))
                loop = asyncio.get_running_loop()
                _, outlet = await loop.sock_recvfrom(sender, 100)
                began = loop.time()
                while loop.time() - began < 2.0:  # more than twice the time-out, in which the client says nothing
                    sender.sendto(b"more", outlet)
                    assert made.open(await received(sock), 1).payload == b"more"
                    await asyncio.sleep(0.01)
                assert far.packets.sessions == 1
                await until(lambda: not far.packets.sessions)

    run(story())


# P14: targets

LOOPBACKS = ["127.0.0.1", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"]


@pytest.mark.parametrize("closed", [None, ("127.0.0.0/8", "::1/128")], ids=["default", "python's"])
@pytest.mark.parametrize("host", LOOPBACKS)
def test_p14_no_spelling_of_the_loopback_passes(host: str, closed: tuple[str, ...] | None) -> None:
    """Old: 0.0.0.0 and :: led to the loopback past the list that closed it; a mapped address was a traceback."""

    async def story() -> None:
        async with target(echo) as to, serving(private=False, forbidden_ip=closed, bad_handshake="fin") as far:
            reader, writer = await connected(far)
            writer.write(crafter().good(replace(to, host=host).pack(), b"x"))
            assert await rest_of(reader) == b""
            await left(writer)
            assert far.journal.reasons == {"denied": 1}

    run(story())


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "fe80::1", "fd00::1"])
def test_p14_private_and_metadata_addresses_are_closed_by_default(host: str) -> None:
    """Old: they were open."""

    async def story() -> None:
        async with serving(private=False) as far:
            reader, writer = await connected(far)
            writer.write(crafter().good(Address(host, 80).pack(), b"x"))
            assert await rest_of(reader) == b""
            await left(writer)
            assert far.journal.reasons == {"denied": 1}

    run(story())


def test_p14_an_address_without_a_size_is_one_address() -> None:
    """Old: `127.0.0.0` closed the network up to the last bit that is set, so far more than it said."""

    async def story() -> None:
        async with target(echo) as to, serving(private=False, forbidden_ip=("127.0.0.0", "126.0.0.0")) as far:
            reader, writer = await connected(far)
            writer.write(crafter().good(to.pack(), b"x"))
            assert await reader.read(1)
            await left(writer)
            await until(lambda: far.journal.reasons == {"done": 1})

    run(story())
    text = '{"server": "192.0.2.1", "server_port": 1, "method": "aes-128-gcm", "password": "Xei9-ohM7*quah", %s}'
    warned = [problem.text for problem in config_of(text % '"forbidden_ip": ["10.0.0.0"]', "server").warnings]
    assert any("one address here, and no network" in words for words in warned)


# P31: memory of names


def test_p31_names_that_do_not_exist_fill_nothing() -> None:
    """Old: each look-up that failed left its key behind for ever."""

    async def story() -> None:
        async with dns_server() as names:
            resolver = make_resolver(Config(dns=dns_of(names), dns_cache_size=50))
            for start in range(0, 500, 50):
                asked = [resolver.lookup(f"no{number}.test") for number in range(start, start + 50)]
                answers = await asyncio.gather(*asked, return_exceptions=True)
                assert all(isinstance(answer, DialError) for answer in answers)
            assert len(resolver._cache) <= 50
            await resolver.close()

    run(story())

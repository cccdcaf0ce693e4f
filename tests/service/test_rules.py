"""Access lists and closed addresses, from the configuration to what a client of it can reach."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net.origin import OriginPolicy
from shadesocks.proxy.acl import Acl
from shadesocks.proxy.targets import TargetRules
from shadesocks.service import rules
from shadesocks.service.rules import AclShelf, has_rules, origin_policy, read_acl, read_shelf, target_judge
from shadesocks.service.service import Service
from tests.dns_server import Name, dns_server

from .rig import HOST, echo, pair, run, server_config, socks, started, target, until

BOTH = Mode.TCP_AND_UDP


@pytest.fixture
def acl(tmp_path: Path) -> Any:
    """Return what writes an access list and returns its path."""

    def write(text: str, name: str = "rules.acl") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


class TestShelf:
    def test_each_file_is_read_once(self, acl: Any) -> None:
        path, other = acl("[bypass_list]\n192.0.2.1\n"), acl("[reject_all]\n", "other.acl")
        server = server_config()
        config = Config(
            servers=(replace(server, acl=path), replace(server, acl=path), server),
            locals=(LocalConfig(Address(HOST, 0), acl=other),),
        )
        shelf = AclShelf(config)
        assert shelf.at(path) is shelf.at(path)
        assert shelf.at(path) is not shelf.at(other)
        assert shelf.at(None) is None

    def test_others_are_served_while_lists_are_read(self, acl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        turned = threading.Event()

        def slow(path: str, dialect: str) -> Acl:
            assert turned.wait(5), "the loop waits for it"
            return read_acl(path, dialect)

        monkeypatch.setattr(rules, "read_acl", slow)
        config = Config(servers=(replace(server_config(), acl=acl("[bypass_list]\n192.0.2.1\n")),))

        async def story() -> None:
            reading = asyncio.create_task(read_shelf(config))
            await asyncio.sleep(0)
            turned.set()
            shelf = await reading
            assert shelf.at(config.servers[0].acl) is not None
            bad = replace(config, servers=(replace(config.servers[0], acl="/nowhere/at.acl"),))
            with pytest.raises(ConfigError):
                await read_shelf(bad)

        run(story())

    def test_every_problem_of_every_file_is_told_and_nothing_starts(self, acl: Any) -> None:
        bad = acl("[bypass_list]\n192.0.2.1/99\n(\n", "bad.acl")
        server = server_config()
        config = Config(servers=(replace(server, acl=bad), replace(server, acl="/nowhere/at.acl")))

        async def story() -> None:
            with pytest.raises(ConfigError) as failed:
                await Service.server(config).start()
            assert [(problem.where, problem.line) for problem in failed.value.problems] == [
                (bad, 2),
                (bad, 3),
                ("/nowhere/at.acl", None),
            ]

        run(story())

    def test_the_dialect_is_the_configuration_s(self, acl: Any) -> None:
        path = acl("[bypass_list]\n192.0.2.1 # ours\n")
        with pytest.raises(ConfigError):
            read_acl(path, "rust")
        assert read_acl(path, "libev").warnings == ()


class TestJudges:
    def test_without_rules_the_policy_judges(self) -> None:
        config, origin = Config(), OriginPolicy()
        assert target_judge(config, origin, None) is origin
        assert not has_rules(config, None)

    @pytest.mark.parametrize(
        ("forbidden", "open_", "closed"),
        [
            (None, "192.88.98.1", "10.0.0.1"),
            (("192.88.98.0/24",), "10.0.0.1", "192.88.98.1"),
            (("10.0.0.0",), "10.0.0.1", "10.0.0.0"),
            (("10.0.0.1",), "10.0.0.2", "::ffff:10.0.0.1"),
            (("10.0.0.1",), "10.0.0.2", "64:ff9b::10.0.0.1"),
            (("::/0",), "10.0.0.2", "2001:db8::1"),
            ((), "10.0.0.1", ""),
        ],
    )
    def test_closed_addresses_replace_the_safe_default(
        self, forbidden: tuple[str, ...] | None, open_: str, closed: str
    ) -> None:
        policy = origin_policy(Config(forbidden_ip=forbidden), ())
        assert policy.refuse(open_, 80) is None
        if closed:
            assert policy.refuse(closed, 80)

    def test_whatever_is_open_the_process_itself_is_not(self) -> None:
        policy = origin_policy(Config(forbidden_ip=()), {8388})
        assert policy.refuse("127.0.0.1", 8388) == "own"
        assert policy.refuse("::ffff:127.0.0.1", 8388) == "own"
        assert policy.refuse("127.0.0.1", 8389) is None

    def test_ports_may_be_closed(self) -> None:
        judge = target_judge(Config(forbidden_port=((25, 25), (6881, 6889))), OriginPolicy(), None)
        assert isinstance(judge, TargetRules)
        assert [judge.refuse("8.8.8.8", port) for port in (24, 25, 26, 6880, 6881, 6889, 6890)] == [
            *(None, "port", None),
            *(None, "port", "port", None),
        ]


async def reply_to(near: Service, to: Address) -> bytes | None:
    """Ask through the pair; return what comes back of a greeting, None for nothing."""
    reader, writer, reply = await socks(near, to)
    if reply:
        writer.close()
        return None
    writer.write(b"hello")
    writer.write_eof()
    try:
        got = await reader.read(-1)
    except ConnectionError:
        got = b""
    writer.close()
    return got or None


class TestServer:
    def test_refuses_what_its_list_blocks_by_name_and_by_address(self, acl: Any) -> None:
        path = acl("[outbound_block_list]\n||bad.test\n127.0.0.2\n")

        async def story() -> None:
            async with dns_server() as names, target(echo) as to:
                names.otherwise = lambda name: Name(["127.0.0.2" if name == "moved.test" else HOST])
                dns = (NameServer(Transport.UDP, names.host, names.port),)
                async with pair(Config(dns=dns), replace(server_config(), acl=path)) as (far, near):
                    assert await reply_to(near, replace(to, host="good.test")) == b"hello"
                    for host in ("bad.test", "x.bad.test", "BAD.test.", "moved.test", "127.0.0.2", "::ffff:127.0.0.2"):
                        assert await reply_to(near, replace(to, host=host)) is None, host
                    await until(lambda: far.journal.reasons["denied"] == 6)
                    assert names.asked("bad.test") == names.asked("x.bad.test") == 0, "who asks knows too much already"

        run(story())

    def test_opens_a_private_address_only_with_a_network_as_narrow(self, acl: Any) -> None:
        """The safe default stands under the list; loopback is as special as can be."""

        async def ask(text: str) -> bytes | None:
            server = replace(server_config(), acl=acl(text))
            async with target(echo) as to, started(Service.server(Config(servers=(server,)))) as far:
                there = replace(server, address=far.addresses[0])
                local = Config(servers=(there,), locals=(LocalConfig(Address(HOST, 0)),))
                async with started(Service.local(local)) as near:
                    return await reply_to(near, to)

        async def story() -> None:
            assert await ask("[outbound_allow_list]\n0.0.0.0/0\n::/0\n") is None
            assert await ask("[outbound_allow_all]\n") is None
            assert await ask("[outbound_allow_list]\n127.0.0.1\n") == b"hello"
            assert await ask("[outbound_block_all]\n[outbound_allow_list]\n127.0.0.0/8\n") == b"hello"

        run(story())

    def test_keeps_clients_out_that_its_list_names_and_says_nothing(self, acl: Any) -> None:
        path = acl("[black_list]\n127.0.0.0/8\n")

        async def story() -> None:
            async with target(echo) as to:
                config = Config(handshake_timeout=0.2)
                server = replace(server_config(), acl=path, handshake_timeout=0.2)
                async with pair(config, server) as (far, near):
                    assert await reply_to(near, to) is None
                    assert far.journal.reasons == {"unwelcome": 1}

        run(story())

    def test_keeps_out_their_datagrams_too(self, acl: Any) -> None:
        path = acl("[reject_all]\n[white_list]\n192.0.2.0/24\n")

        async def story() -> None:
            server = replace(server_config(), acl=path, mode=BOTH)
            async with started(Service.server(Config(servers=(server,)))) as far:
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, remote_addr=(far.addresses[0].host, far.addresses[0].port)
                )
                transport.sendto(b"x" * 100)
                await until(lambda: far.packets.dropped.get("unwelcome") == 1)
                transport.close()

        run(story())


class TestClient:
    """Two ways for each target; what goes through the server shows in its counters."""

    @pytest.mark.parametrize(
        ("text", "host", "through"),
        [
            ("[proxy_all]\n[bypass_list]\n||direct.test\n", "direct.test", 0),
            ("[proxy_all]\n[bypass_list]\n||direct.test\n", "x.direct.test", 0),
            ("[proxy_all]\n[bypass_list]\n||direct.test\n", "other.test", 1),
            ("[proxy_all]\n[bypass_list]\n127.0.0.0/8\n", HOST, 0),
            ("[proxy_all]\n[bypass_list]\n127.0.0.0/8\n", "other.test", 0),
            ("[proxy_all]\n[bypass_list]\n192.0.2.0/24\n", "other.test", 1),
            ("[bypass_all]\n[proxy_list]\n||far.test\n", "far.test", 1),
            ("[bypass_all]\n[proxy_list]\n||far.test\n", "other.test", 0),
            ("[bypass_all]\n[proxy_list]\n127.0.0.0/8\n", "other.test", 1),
        ],
    )
    def test_goes_the_way_that_its_list_says(self, acl: Any, text: str, host: str, through: int) -> None:
        path = acl(text)

        async def story() -> None:
            async with dns_server() as names, target(echo) as to:
                names.otherwise = lambda _name: Name([HOST])
                dns = (NameServer(Transport.UDP, names.host, names.port),)
                config = Config(servers=(server_config(),), dns=dns, allow_private=True)
                async with started(Service.server(config)) as far:
                    local = replace(
                        config,
                        servers=(replace(server_config(), address=far.addresses[0]),),
                        locals=(LocalConfig(Address(HOST, 0), acl=path),),
                    )
                    async with started(Service.local(local)) as near:
                        assert await reply_to(near, replace(to, host=host)) == b"hello"
                        await until(lambda: not near.totals[0])
                        assert far.journal.accepted + far.totals[0] == through
                        assert near.totals == (0, 5, 5)

        run(story())

    def test_never_goes_to_itself(self, acl: Any) -> None:
        path = acl("[bypass_all]\n")

        async def story() -> None:
            config = Config(servers=(server_config(port=9),), locals=(LocalConfig(Address(HOST, 0), acl=path),))
            async with started(Service.local(config)) as near:
                _, writer, reply = await socks(near, near.addresses[0])
                assert reply == 2
                writer.close()

        run(story())

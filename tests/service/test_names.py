"""Whom a configuration asks for names, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net.ares_lookup import AresLookup
from shadesocks.net.secure_lookup import SecureLookup
from shadesocks.net.system_lookup import SystemLookup
from shadesocks.service import names
from shadesocks.service.names import LazyLookup, make_resolver
from shadesocks.service.service import Service
from tests.dns_server import Name, dns_server
from tests.net.lookups import Table

from .rig import HOST, echo, pair, run, server_config, socks, started, target

PLAIN = NameServer(Transport.UDP, "192.0.2.1")
TLS = NameServer(Transport.TLS, "192.0.2.1", 853, "192.0.2.1")
HTTPS = NameServer(Transport.HTTPS, "dns.example", 443, path="/dns-query")


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let libraries be not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(names, "find_spec", lambda name: None if name in modules else find(name))


def kind_of(config: Config) -> str:
    """Return what a configuration asks with."""

    async def story() -> str:
        resolver = make_resolver(config)
        lookup = resolver._lookup
        assert isinstance(lookup, LazyLookup)
        assert lookup._made is None, "nothing is made before it is needed"
        made = lookup._make()
        await made.close()
        await resolver.close()
        return type(made).__name__

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("dns", "kind"),
    [
        ((), AresLookup),
        ((PLAIN,), AresLookup),
        ((replace(PLAIN, transport=Transport.TCP),), AresLookup),
        ((NameServer(Transport.SYSTEM),), SystemLookup),
        ((TLS, HTTPS), SecureLookup),
        ((HTTPS,), SecureLookup),
    ],
)
def test_each_kind_of_server_is_asked_in_its_way(dns: tuple[NameServer, ...], kind: type) -> None:
    assert kind_of(Config(dns=dns)) == kind.__name__


def test_without_aiodns_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "aiodns")
    assert kind_of(Config()) == "SystemLookup"
    assert kind_of(Config(dns=(HTTPS,))) == "SecureLookup"


@pytest.mark.parametrize(
    ("dns", "missing", "words"),
    [
        ((PLAIN,), "aiodns", "asked through aiodns, which is not installed; pip install aiodns, or leave dns out"),
        ((TLS,), "dns", "asked through dnspython, which is not installed; pip install 'shadesocks[dns]'"),
    ],
)
def test_a_missing_library_is_said_at_start(
    dns: tuple[NameServer, ...], missing: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, missing)

    async def story() -> None:
        with pytest.raises(ConfigError) as failed:
            await Service.server(Config(servers=(server_config(),), dns=dns)).start()
        assert words in str(failed.value)

    run(story())


def test_a_look_up_is_made_once() -> None:
    async def story() -> None:
        made: list[Table] = []

        def make() -> Table:
            made.append(Table())
            return made[-1]

        lookup = LazyLookup(make)
        await lookup.start("a")
        await lookup.start("b")
        assert [table.asked for table in made] == [["a", "b"]]
        await lookup.close()
        await lookup.close()
        assert made[0].closed

    asyncio.run(story())


@pytest.mark.parametrize("keys", [{}, {"ipv6_first": True}, {"dns_cache_size": 0}])
def test_a_server_dials_a_name_that_its_own_name_server_knows(keys: dict[str, Any]) -> None:
    async def story() -> None:
        async with dns_server() as names_server, target(echo) as to:
            names_server.zone["far.test"] = Name([HOST])
            dns = (NameServer(Transport.UDP, names_server.host, names_server.port),)
            async with pair(Config(dns=dns, **keys), server_config()) as (_, near):
                for _ in range(2):
                    reader, writer, reply = await socks(near, replace(to, host="Far.Test."))
                    assert reply == 0
                    writer.write(b"hello")
                    writer.write_eof()
                    assert await reader.read(-1) == b"hello"
                    writer.close()
            assert names_server.asked("far.test", "A") == (2 if keys == {"dns_cache_size": 0} else 1)

    run(story())


def test_a_name_that_does_not_exist_is_said_to_the_client_of_a_bypass(tmp_path: Any) -> None:
    """What a server finds out its client does not hear (the protocol has no answer); what the client does, it does."""
    acl = tmp_path / "direct.acl"
    acl.write_text("[bypass_all]\n")

    async def story() -> None:
        async with dns_server() as names_server:
            dns = (NameServer(Transport.UDP, names_server.host, names_server.port),)
            from shadesocks.config.model import LocalConfig
            from shadesocks.core.address import Address

            local = LocalConfig(Address(HOST, 0), acl=str(acl))
            config = Config(servers=(server_config(port=9),), locals=(local,), dns=dns)
            async with started(Service.local(config)) as near:
                _, writer, reply = await socks(near, Address("nobody.test", 80))
                assert reply == 4
                writer.close()

    run(story())

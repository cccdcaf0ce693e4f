"""A document that does not come straight comes through the servers of the client."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from shadesocks.config.model import Config, LocalConfig, OnlineConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.service.service import Service
from shadesocks.service.subscriptions import download, passage
from tests.certificates import Authority
from tests.document_server import DocumentServer, document_server

from ..rig import HOST, run, server_config, started, until
from .test_online import document

if TYPE_CHECKING:
    from shadesocks.net.pipe import Scratch
    from shadesocks.net.reactor import Reactor
    from shadesocks.service.roster import Roster

SERVER = server_config()


def refuse(_host: str, _port: int) -> None:
    raise ConnectionRefusedError(111, "Connection refused")


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Authority:
    """Let no straight way lead anywhere, and this machine be a host like others; trust the authority."""
    monkeypatch.setattr(download, "straight", refuse)
    monkeypatch.setattr(passage, "is_loopback", lambda host: False)
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


def client(documents: DocumentServer, directory: Path, *servers: ServerConfig, group: str = "") -> Service:
    online = OnlineConfig((Secret(documents.url()),))
    local = LocalConfig(Address(HOST, 0), group=group)
    config = Config(servers, (local,), online=online, state_dir=str(directory), balancer_policy="ordered")
    return Service.local(config)


def far_server() -> Service:
    return Service.server(Config((SERVER,), allow_private=True))


@pytest.mark.parametrize("group", ["", "work"])
def test_a_document_comes_through_the_first_server_that_works(group: str, blocked: Authority, tmp_path: Path) -> None:
    async def story() -> None:
        async with started(far_server()) as far, document_server(context=blocked.server([HOST])) as documents:
            documents.answers = [document(far, far)]
            own = replace(SERVER, address=far.addresses[0], group=group)
            dead = replace(own, address=Address(HOST, 9))
            async with started(client(documents, tmp_path, dead, own, group=group)) as near:
                await until(lambda: len(near.servers) > 2)
                assert documents.heard[0]["path"] == "/secret"
                assert [server.remarks for server in near.servers[2:]] == ["s0", "s1"]

    run(story())


def test_the_certificate_is_verified_on_that_way_as_well(
    blocked: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with started(far_server()) as far, document_server(context=Authority().server([HOST])) as documents:
            documents.answers = [document(far)]
            own = replace(SERVER, address=far.addresses[0])
            async with started(client(documents, tmp_path, own)) as near:
                await until(lambda: "and through the servers: its certificate cannot be trusted" in caplog.text)
                assert near.servers == (own,)
            assert documents.heard == []

    run(story())


@pytest.mark.parametrize("servers", [(), (replace(SERVER, address=Address(HOST, 9)),)])
def test_without_a_server_that_works_nothing_comes(
    servers: tuple[ServerConfig, ...], blocked: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with document_server(context=blocked.server([HOST])) as documents:
            documents.answers = [document()]
            async with started(client(documents, tmp_path, *servers)):
                await until(lambda: "connection refused; " in caplog.text)
            assert documents.heard == []

    run(story())
    assert ("and through the servers: " in caplog.text) == bool(servers)


def test_a_stop_ends_what_is_under_way(blocked: Authority, tmp_path: Path) -> None:
    async def story() -> None:
        async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with started(far_server()) as far, document_server(context=blocked.server([HOST])) as documents:
            documents.answers = [silence]
            own = replace(SERVER, address=far.addresses[0])
            async with started(client(documents, tmp_path, own)) as near:
                await documents.asked.wait()
                assert near.servers == (own,)

    run(story())


def test_this_machine_is_another_one_behind_a_server() -> None:
    roster = SimpleNamespace(members=[1], groups=[1])
    way = passage.Passage(cast("Reactor", None), cast("Scratch", None), cast("Roster", roster))
    assert way.leads_to("h.example")
    assert not any(way.leads_to(host) for host in ("localhost", "127.0.0.2", "[::1]"))
    roster.members = []
    assert not way.leads_to("h.example")

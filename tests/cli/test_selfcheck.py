"""The self-check passes for every method, leaves nothing behind, and notices what is wrong."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from shadesocks.cli import selfcheck
from shadesocks.cli.exits import DIED, Failed
from shadesocks.config.model import Config, DestinationConfig, Mode, ServerConfig
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.keys import make_key_text
from shadesocks.crypto.methods import METHODS, is_ready
from shadesocks.service.parts import packets_of, shadow_of
from shadesocks.service.shared import Shared

READY = [method for method in METHODS.values() if is_ready(method)]


def server_of(name: str, mode: Mode = Mode.TCP_AND_UDP) -> ServerConfig:
    method = METHODS[name]
    return ServerConfig(Address("192.0.2.1", 1), method, Secret(make_key_text(method, os.urandom)), mode=mode)


@pytest.mark.parametrize("name", [method.name for method in READY])
def test_every_method_passes(name: str) -> None:
    server = server_of(name)
    asyncio.run(selfcheck.check_server(Config((server,)), server))


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_passes(mode: Mode) -> None:
    server = server_of("2022-blake3-aes-128-gcm", mode)
    asyncio.run(selfcheck.check_server(Config((server,)), server))


@pytest.mark.parametrize("model", ["auto", "portable"])
def test_every_event_model_passes(model: str) -> None:
    server = server_of("2022-blake3-aes-256-gcm")
    asyncio.run(selfcheck.check_server(Config((server,), event_model=model), server))


@pytest.mark.parametrize("name", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
def test_another_key_fails_with_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_of(name)
    monkeypatch.setattr(selfcheck, "shadow_of", lambda shared, _server: shadow_of(shared, server_of(name)))
    monkeypatch.setattr(selfcheck, "_LIMIT", 0.1)
    with pytest.raises(Failed, match="the self-check failed: 1 MiB did not come back") as failed:
        asyncio.run(selfcheck.check_server(Config((server,)), server))
    assert failed.value.code == DIED


@pytest.mark.parametrize("name", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
def test_another_key_for_datagrams_fails_with_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_of(name, Mode.UDP_ONLY)

    class Mixed:
        """The host of one key, and the clients of another."""

        idle_min = 0

        def __init__(self, shared: Shared) -> None:
            self.host = packets_of(shared, server).host
            self.join = packets_of(shared, server_of(name)).join

    monkeypatch.setattr(selfcheck, "packets_of", lambda shared, *_: Mixed(shared))
    monkeypatch.setattr(selfcheck, "_LIMIT", 0.1)
    with pytest.raises(Failed, match="a datagram did not come back; the first bytes do not authenticate") as failed:
        asyncio.run(selfcheck.check_server(Config((server,)), server))
    assert failed.value.code == DIED


def test_other_bytes_fail_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echo(sock: object, size: int) -> None:
        got = await selfcheck._receive(sock, size)  # type: ignore[arg-type]  # a socket
        await asyncio.get_running_loop().sock_sendall(sock, bytes(len(got)))  # type: ignore[arg-type]

    monkeypatch.setattr(selfcheck, "_echo", echo)
    server = server_of("aes-128-gcm")
    with pytest.raises(Failed, match="is not what was sent"):
        asyncio.run(selfcheck.check_server(Config((server,)), server))


def test_a_chain_is_not_dialled() -> None:
    server = replace(server_of("aes-128-gcm"), outbound_proxy=(server_of("aes-256-gcm"),))
    asyncio.run(selfcheck.check_server(Config((server,)), server))


def test_users_and_those_who_cannot_be_taken_for() -> None:
    """The first user is the client; where nobody is, or a server only passes on, there is nothing to check."""
    server = server_of("2022-blake3-aes-128-gcm")
    key = server_of("2022-blake3-aes-128-gcm").password
    users = tuple(UserConfig(name, (Credential(key),)) for name in ("anna", "ben"))
    to = DestinationConfig("east", key, server.address)
    for each, is_checked in (
        (replace(server, users=users), True),
        (replace(server, users=()), False),
        (replace(server, destinations=(to,)), False),
    ):
        assert selfcheck.is_checked(each) == is_checked
        asyncio.run(selfcheck.check_server(Config((each,)), each))

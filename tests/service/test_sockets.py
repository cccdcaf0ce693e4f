"""Options of sockets: each where the configuration wants it, and a sentence at start where the system has it not."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from dataclasses import replace
from pathlib import Path
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode, Outbound
from shadesocks.core.errors import ConfigError
from shadesocks.net import options as options_file
from shadesocks.net.options import Route
from shadesocks.service.service import Service
from shadesocks.service.sockets import accepted_options, check_sockets, dialled_options, route_of

from .rig import HOST, echo, pair, run, server_config, socks, started, target
from .test_service_udp import BOTH, ask, relay_of, trip
from .test_service_udp import echo as udp_echo

OTHER = "127.0.0.3"
"""An address of this machine that nobody takes by default."""


def has_mptcp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError:
        return False
    return True


def problem_of(config: Config) -> tuple[str, str]:
    with pytest.raises(ConfigError) as failed:
        check_sockets(config)
    assert len(failed.value.problems) == 1
    return failed.value.problems[0].key, failed.value.problems[0].text


def test_each_side_has_its_buffers() -> None:
    config = Config(
        keep_alive=7,
        user_timeout=8,
        no_delay=True,
        inbound_send_buffer=1,
        inbound_receive_buffer=2,
        outbound_send_buffer=3,
        outbound_receive_buffer=4,
    )
    accepted, dialled = accepted_options(config), dialled_options(config)
    assert (accepted.send_buffer, accepted.receive_buffer) == (1, 2)
    assert (dialled.send_buffer, dialled.receive_buffer) == (3, 4)
    for options in (accepted, dialled):
        assert (options.keep_alive, options.user_timeout, options.no_delay) == (7, 8, True)
    assert route_of(Outbound("192.0.2.1", "2001:db8::1", "eth0", 5)) == Route("192.0.2.1", "2001:db8::1", "eth0", 5)


class TestLacks:
    def test_what_nobody_asked_for_is_not_missed(self) -> None:
        check_sockets(Config(servers=(server_config(),)))

    @pytest.mark.parametrize(
        ("outbound", "key", "words"),
        [
            (Outbound(interface="nowhere0"), "outbound_bind_interface", "no usable interface nowhere0 here"),
            (Outbound(bind_ipv4="192.0.2.77"), "outbound_bind_addr", "192.0.2.77 is no address of this machine"),
            (Outbound(bind_ipv6="2001:db8::77"), "outbound_bind_addr", "2001:db8::77 is no address of this machine"),
            (Outbound(bind_ipv6="fe80::1%nowhere0"), "outbound_bind_addr", "fe80::1%nowhere0 is no address"),
        ],
    )
    def test_a_way_out_that_is_not_there(self, outbound: Outbound, key: str, words: str) -> None:
        found, text = problem_of(Config(outbound=outbound))
        assert found == key
        assert words in text
        server = replace(server_config(), outbound=outbound)
        assert problem_of(Config(servers=(server_config(), server)))[0] == f"servers[1].{key}"

    def test_a_right_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(options_file, "apply_route", refuse)
        assert "CAP_NET_ADMIN" in problem_of(Config(outbound=Outbound(fwmark=7)))[1]

    @pytest.mark.parametrize(("key", "call"), [("mptcp", "stream_socket"), ("fast_open", "defer_connect")])
    def test_a_system_without_the_option(self, key: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> Any:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

        monkeypatch.setattr(options_file, call, refuse)
        options: dict[str, Any] = {key: True}
        found, text = problem_of(Config(**options))
        assert found == key
        assert "Protocol not available; leave it out" in text

    @pytest.mark.parametrize(("bits", "wanted"), [("0", 3), ("1", 3), ("2", 3), ("3", 0), ("1027", 0), ("x", 0)])
    def test_what_is_switched_off_in_the_system_is_said(
        self, bits: str, wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Setting the option succeeds in any case, so nobody would know."""
        path = tmp_path / "tcp_fastopen"
        path.write_text(bits)
        monkeypatch.setattr(options_file, "_FASTOPEN_SYSCTL", path)
        with caplog.at_level(logging.WARNING):
            check_sockets(Config(fast_open=True))
        assert (f"sysctl -w net.ipv4.tcp_fastopen={wanted}" in caplog.text) == bool(wanted)

    def test_nothing_is_started_then(self) -> None:
        async def story() -> None:
            config = Config(servers=(server_config(),), outbound=Outbound(interface="nowhere0"))
            service = Service.server(config)
            with pytest.raises(ConfigError, match="nowhere0"):
                await service.start()
            assert service.addresses == ()

        run(story())


class TestRoute:
    def test_what_is_dialled_leaves_from_the_address_given(self) -> None:
        async def story() -> None:
            seen: list[str] = []

            async def who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                seen.append(writer.get_extra_info("peername")[0])
                await echo(reader, writer)

            async with target(who) as to:
                server = replace(server_config(), outbound=Outbound(bind_ipv4=OTHER, bind_ipv6="::1"))
                async with pair(Config(), server) as (_, near):
                    for host in (HOST, "localhost", "::ffff:127.0.0.1"):
                        reader, writer, reply = await socks(near, replace(to, host=host))
                        assert reply == 0
                        writer.write(b"x")
                        writer.write_eof()
                        assert await reader.read(-1) == (b"" if host.startswith("::") else b"x")
                        writer.close()
            assert seen == [OTHER, OTHER], "a mapped address is of IPv6, whose source address cannot reach it"

        run(story())

    @pytest.mark.parametrize("udp_io", ["auto", "plain"])
    def test_so_do_datagrams(self, udp_io: str) -> None:
        async def story() -> None:
            async with udp_echo() as to:
                server = replace(server_config(), mode=BOTH, outbound=Outbound(bind_ipv4=OTHER))
                far_config = Config(servers=(server,), allow_private=True, udp_io=udp_io)
                async with started(Service.server(far_config)) as far:
                    there = replace(server, address=far.addresses[0])
                    local = Config(servers=(there,), locals=(LocalConfig(there.address, mode=Mode.TCP_AND_UDP),))
                    local = replace(local, locals=(replace(local.locals[0], address=server_config().address),))
                    async with started(Service.local(local)) as near:
                        writer, reply = await ask(near)
                        assert await trip(relay_of(reply), to, b"from there") == b"from there"
                        writer.close()
                    sources = {
                        session.outlet.sock.getsockname()[0]
                        for relay in far._shared.crowd.relays
                        for session in relay.sessions.values()
                        if session.outlet is not None
                    }
                    assert sources == {f"::ffff:{OTHER}"}

        run(story())

    def test_an_interface_and_a_mark_are_set_where_this_is_allowed(self) -> None:
        outbound = Outbound(interface="lo", fwmark=7)
        try:
            check_sockets(Config(outbound=outbound))
        except ConfigError as error:
            pytest.skip(f"not allowed here: {error}")

        async def story() -> None:
            async with target(echo) as to, pair(Config(), replace(server_config(), outbound=outbound)) as (_, near):
                reader, writer, reply = await socks(near, to)
                assert reply == 0
                writer.write(b"x")
                writer.write_eof()
                assert await reader.read(-1) == b"x"
                writer.close()

        run(story())


class TestStreams:
    @pytest.mark.parametrize(
        "options",
        [
            {"fast_open": True},
            pytest.param({"mptcp": True}, marks=pytest.mark.skipif(not has_mptcp(), reason="no Multipath TCP here")),
            {"no_delay": True, "inbound_send_buffer": 65536, "outbound_receive_buffer": 65536},
        ],
        ids=lambda options: next(iter(options)),
    )
    @pytest.mark.parametrize("speaks_first", ["client", "target"])
    def test_bytes_pass_whoever_speaks_first(self, options: dict[str, Any], speaks_first: str) -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ready\r\n")
            await reader.read(-1)

        async def story() -> None:
            handler = greet if speaks_first == "target" else echo
            async with target(handler) as to, pair(Config(**options), server_config()) as (_, near):
                for _ in range(3):  # the first connection gets the cookie, the next ones use it
                    reader, writer, reply = await socks(near, to)
                    assert reply == 0
                    if speaks_first == "target":
                        assert await reader.readline() == b"220 ready\r\n"
                    else:
                        writer.write(b"hello")
                        assert await reader.readexactly(5) == b"hello"
                    writer.close()

        run(story())

    def test_a_listener_s_buffers_are_inherited(self) -> None:
        async def story() -> None:
            config = Config(inbound_send_buffer=30000, inbound_receive_buffer=20000)
            async with target(echo) as to, pair(config, server_config()) as (far, near):
                reader, writer, reply = await socks(near, to)
                assert reply == 0
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                left = next(iter(far.journal.relays)).left.sock
                assert left.getsockopt(SOL_SOCKET, SO_SNDBUF) == 60000, "Linux gives twice what is asked"
                assert left.getsockopt(SOL_SOCKET, SO_RCVBUF) == 40000
                writer.close()

        run(story())

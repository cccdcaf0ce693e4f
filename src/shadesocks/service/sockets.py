"""The options of sockets, from the configuration; and whether this system has them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..core.errors import ConfigError, Problem
from ..net.datagrams import DatagramOptions
from ..net.options import Route, TcpOptions, fast_open_is_off, lacks

if TYPE_CHECKING:
    from ..config.model import Config, Outbound

log = logging.getLogger(__name__)


def accepted_options(config: Config) -> TcpOptions:
    """The options of what is accepted."""
    return _options(config, config.inbound_send_buffer, config.inbound_receive_buffer)


def dialled_options(config: Config) -> TcpOptions:
    """The options of what is dialled."""
    return _options(config, config.outbound_send_buffer, config.outbound_receive_buffer)


def _options(config: Config, send: int | None, receive: int | None) -> TcpOptions:
    return TcpOptions(
        config.keep_alive,
        config.user_timeout,
        config.no_delay,
        send or 0,
        receive or 0,
        config.fast_open,
        config.mptcp,
    )


def route_of(outbound: Outbound) -> Route:
    """How what is dialled leaves."""
    return Route(outbound.bind_ipv4, outbound.bind_ipv6, outbound.interface, outbound.fwmark)


def datagram_options(config: Config, outbound: Outbound) -> DatagramOptions:
    """The options of UDP sockets."""
    return DatagramOptions(config.udp_receive_buffer or 0, config.udp_send_buffer or 0, route_of(outbound))


def check_sockets(config: Config) -> None:
    """Try every option that is not the default, before anything is started.

    Raises:
        ConfigError: with each that this system lacks or does not allow.
    """
    routes = {"": route_of(config.outbound)}
    for number, server in enumerate(config.servers):
        if server.outbound != config.outbound:
            routes[f"servers[{number}]"] = route_of(server.outbound)
    found = lacks(accepted_options(config), dialled_options(config), routes)
    problems = [Problem("config", None, key, text) for key, text in found]
    if problems:
        raise ConfigError(problems)
    if config.fast_open and (text := fast_open_is_off(listens=True, dials=True)):
        log.warning("fast_open: %s", text)

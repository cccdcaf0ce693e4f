"""Links for people: from a server of a config to the ss:// text that another machine can use, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .place import default_address, is_wildcard

if TYPE_CHECKING:
    from ..config.model import ServerConfig


def link_of(server: ServerConfig, host: str | None, name: str | None = None) -> str:
    """Return the link of a server under that host, else under its own."""
    from ..wire.uri import Link, format_link

    where = host or server.address.host
    tag = name or server.remarks or None
    link = Link(server.method.name, server.password.reveal(), where, server.address.port, tag=tag)
    plugin = server.plugin
    if plugin is not None:  # by its name: where it lies there, only that machine knows
        link = replace(link, plugin=plugin.name.rpartition("/")[2], plugin_opts=plugin.options.reveal() or None)
    return format_link(link)


def public_host(server: ServerConfig, host: str | None) -> tuple[str, str]:
    """Return the host that others should dial, and what to say about it; the second is empty when nobody guessed."""
    if host:
        return host, ""
    if not is_wildcard(server.address.host):
        return server.address.host, ""
    guess = default_address()
    if guess is None:
        return "127.0.0.1", "this machine has no route to the world, so the link only works on it; give --host NAME"
    kind = _kind(guess)
    text = f"{guess} is a guess: the address of the default route."
    if kind:
        return guess, f"{text} It is {kind}, so it works from the same network only; for others give --host NAME"
    return guess, f"{text} If others know this machine by another name, give --host NAME"


def _kind(host: str) -> str:
    """Name what makes an address unreachable from the world; empty where nothing does."""
    import ipaddress

    return "" if ipaddress.ip_address(host).is_global else "private"

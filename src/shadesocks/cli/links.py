"""Links for people: from a server of a config to the ss:// text that another machine can use, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.halves import client_half, may_be_servers
from ..config.urls import OUTLINE
from .place import default_address, is_wildcard

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig


def link_of(server: ServerConfig, host: str | None, name: str | None = None) -> str:
    """Return the link of a server under that host, else under its own."""
    from ..wire.uri import Link, format_link

    where = host or server.address.host
    tag = name or server.remarks or None
    link = Link(server.method.name, server.password.reveal(), where, server.address.port, tag=tag)
    if server.plugin is not None:  # by its name: where it lies there, only that machine knows
        plugin, options = client_half(server.plugin.name, server.plugin.options.reveal())
        link = replace(link, plugin=plugin, plugin_opts=options or None)
    return format_link(link)


def remark_on_plugin(server: ServerConfig) -> str:
    """Say which half of its plugin clients get, where the config of a server names the server's; else nothing."""
    if server.plugin is None:
        return ""
    name, options = server.plugin.name.rpartition("/")[2], server.plugin.options.reveal()
    client = client_half(name, options)
    if client != (name, options):
        half = "" if client[0] == name else f", {client[0]}"
        return f"the config has the server's half of the plugin {name}; what is written has the client's{half}"
    if may_be_servers(name):
        return f"the plugin {name} seems to be the server's half; put the client's in its place, in what is written"
    return ""


def document_links(config: Config) -> list[str]:
    """Return where the documents of servers lie that a config subscribes to, as ssconf:// links."""
    urls = [url.reveal() for url in config.online.urls] if config.online is not None else []
    return [f"{OUTLINE}://{url.partition('://')[2]}" for url in urls if url.startswith("https://")]


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

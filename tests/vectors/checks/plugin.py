"""plugin.json: the options of plugins, and the environment that they are started with."""

from __future__ import annotations

from shadesocks.config.hosts import split_port
from shadesocks.core.address import Address
from shadesocks.wire.plugin_options import Pair, environment, format_options, loopback_of, parse_options
from tests.vectors.vector import Vector, same


def parse(vector: Vector) -> str:
    """Read options; writing them and reading them again changes nothing."""
    pairs = parse_options(vector.text("options"))
    same(pairs, _pairs(vector), "pairs")
    same(parse_options(format_options(pairs)), pairs, "round trip")
    return ""


def write(vector: Vector) -> str:
    """Write options."""
    same(format_options(_pairs(vector)), vector.text("options"), "options")
    return ""


def told(vector: Vector) -> str:
    """Make the environment of a plugin."""
    config = vector.table("config")
    host, port = split_port(config["plugin_listen" if config["side"] == "client" else "ss_listen"])
    host = host.removeprefix("[").removesuffix("]")
    remote = Address(config["server"], config["server_port"])
    same(host, loopback_of(remote.host), "loopback")
    same(
        environment(remote, Address(host, int(port)), config.get("plugin_opts") or ""),
        vector.table("env"),
        "environment",
    )
    return ""


def _pairs(vector: Vector) -> list[Pair]:
    return [(key, value) for key, value in vector.fields["pairs"]]

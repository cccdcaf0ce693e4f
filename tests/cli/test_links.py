"""Links for people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shadesocks.cli import links
from shadesocks.config.model import ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.uri import parse_link

from .programs import KEY, METHOD

EVERY = ".".join("0000")


def server(host: str, remarks: str = "") -> ServerConfig:
    return ServerConfig(Address(host, 8388), METHODS[METHOD], Secret(KEY), remarks)


def test_a_link_says_what_the_server_is() -> None:
    link = parse_link(links.link_of(server("::", "home"), "proxy.example"))
    assert (link.method, link.password, link.host, link.port, link.tag) == (METHOD, KEY, "proxy.example", 8388, "home")


def test_a_name_that_is_given_goes_before_the_config_s() -> None:
    assert parse_link(links.link_of(server("::", "home"), "h", "office")).tag == "office"


def test_a_server_without_a_name_has_no_tag() -> None:
    assert "#" not in links.link_of(server("192.0.2.1"), None)


@pytest.mark.parametrize(
    ("own", "given", "route", "host", "words"),
    [
        ("::", "proxy.example", None, "proxy.example", ""),
        ("192.0.2.9", None, None, "192.0.2.9", ""),
        ("192.0.2.9", "proxy.example", None, "proxy.example", ""),
        ("::", None, "8.8.8.8", "8.8.8.8", "8.8.8.8 is a guess: the address of the default route. If others know"),
        (
            EVERY,
            None,
            "10.0.0.5",
            "10.0.0.5",
            "10.0.0.5 is a guess: the address of the default route. It is private",
        ),
        ("::", None, None, "127.0.0.1", "no route to the world, so the link only works on it"),
    ],
)
def test_the_public_host_is_known_or_said_to_be_a_guess(
    own: str, given: str | None, route: str | None, host: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "default_address", lambda: route)
    found, remark = links.public_host(server(own), given)
    assert found == host
    assert words in remark
    assert bool(words) == bool(remark)


def test_several_keys_are_one_password_whose_colon_is_escaped() -> None:
    several = replace(server("192.0.2.1"), password=Secret(f"{KEY}:{KEY}"))
    text = links.link_of(several, None)
    coded = KEY.replace("=", "%3D")
    assert text == f"ss://{METHOD}:{coded}%3A{coded}@192.0.2.1:8388"
    assert parse_link(text).password == f"{KEY}:{KEY}"
    assert parse_link(text.replace("%3A", ":")).password == f"{KEY}:{KEY}"

"""Files that are lists of links."""

from __future__ import annotations

import base64

import pytest

from shadesocks.config import Config, Mode
from shadesocks.config.load import Report, examine
from shadesocks.config.setting import Role
from shadesocks.wire.uri import parse_link

from .samples import PASSWORD

ONE = f"ss://aes-256-gcm:{PASSWORD}@one.example:1#one"
TWO = f"ss://aes-256-gcm:{PASSWORD}@two.example:2"


def look(text: str, role: Role | None = "local", dialect: str | None = None) -> Report:
    return examine(text, where="l.txt", role=role, dialect=dialect, environ={}, read_link=parse_link)


def config_of(text: str, role: Role | None = "local") -> Config:
    report = look(text, role)
    assert report.config is not None, report.problems
    return report.config


def places(config: Config) -> list[str]:
    return [str(server.address) for server in config.servers]


@pytest.mark.parametrize("text", [f"{ONE}\n{TWO}\n", base64.b64encode(f"{ONE}\n{TWO}".encode()).decode()])
def test_each_link_is_a_server(text: str) -> None:
    report = look(text)
    assert report.config is not None
    assert places(report.config) == ["one.example:1", "two.example:2"]
    assert report.config.servers[0].remarks == "one"
    assert {server.mode for server in report.config.servers} == {Mode.TCP_AND_UDP}
    assert [local.mode for local in report.config.locals] == [Mode.TCP_AND_UDP]
    assert report.taken is not None
    assert (report.taken.dialect.name, report.taken.why) == ("links", "it is a list of ss:// links, plain or base64")
    assert report.warnings == ()


def test_a_link_that_cannot_be_used_costs_no_other() -> None:
    report = look(f"{ONE}\nss://aes-256-gcm:secret@bad.example\nss://rot13:secret@bad.example:1\n{TWO}")
    assert report.config is not None
    assert places(report.config) == ["one.example:1", "two.example:2"]
    assert [str(warning).partition(" a link names")[0] for warning in report.warnings] == [
        "l.txt:2: servers[1]: this server is left out: this is no usable link:",
        "l.txt:3: servers[2]: this server is left out: this is no usable link: the method of this link is none of the "
        "Shadowsocks family",
    ]
    assert "secret" not in str(report.warnings)


def test_one_that_this_client_may_not_use_is_left_out_as_well() -> None:
    report = look(f"ss://rc4-md5:{PASSWORD}@old.example:1\n{TWO}")
    assert report.config is not None
    assert places(report.config) == ["two.example:2"]
    assert "allow_legacy" in str(report.warnings[0])


def test_links_of_others_are_counted() -> None:
    report = look(f"vmess://secret\n{ONE}")
    assert [str(warning) for warning in report.warnings] == [
        "l.txt:1: lines that are no ss:// links are left out: 1 of vmess://"
    ]


def test_no_server_at_all() -> None:
    (problem, *_) = look("vmess://secret").problems
    assert "there is no link in it that begins with ss://" in problem.text
    assert any("no server is named" in problem.text for problem in look("ss://x").problems)


def test_where_a_document_is_fetched() -> None:
    config = config_of(f"ssconf://h.example/key#Home\n{ONE}")
    assert places(config) == ["one.example:1"]
    assert config.online is not None
    assert [url.reveal() for url in config.online.urls] == ["https://h.example/key"]
    assert config_of("ssconf://h.example/key").servers == ()
    assert "a server has no use for it" in look("ssconf://h.example/key", "server").problems[0].text


def test_options_go_before_it() -> None:
    report = examine(ONE, role="local", read_link=parse_link, overrides={"local_address": "127.0.0.1:7"})
    assert report.config is not None
    assert report.config.locals[0].address.port == 7


def test_a_name_decides() -> None:
    assert "this is not a list of ss:// links" in look("{}", dialect="links").problems[0].text
    assert "configuration is an object" in look("[]").problems[0].text
    assert look(ONE, dialect="links").problems == ()
    assert look(ONE, dialect="python").problems != ()

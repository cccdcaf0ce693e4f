"""`shadesocks user link`: the link of each server at which a user is."""

from __future__ import annotations

import pytest

from shadesocks.cli.exits import CONFIG, OK, USAGE
from shadesocks.wire.uri import parse_link
from tests.cli.programs import KEY, METHOD

from .conftest import FAY, Site


def test_a_user_of_the_config_and_one_of_the_store(site: Site) -> None:
    assert site.call("link", "fay") == OK
    link = parse_link(site.out)
    assert (link.host, link.port, link.method, link.password) == ("127.0.0.1", 8388, METHOD, f"{KEY}:{FAY}")
    assert site.call("link", "8389", "--host", "example.org") == OK
    link = parse_link(site.out)
    assert (link.host, link.port, link.password) == ("example.org", 8389, "mVt5-kd93Qpz_0Lr2")
    assert site.call("add", "anna") == OK
    assert site.call("link", "anna", "-q") == OK
    first, *code = site.out.splitlines()
    assert parse_link(first).password.startswith(f"{KEY}:")
    assert len(code) > 15


def test_one_for_each_server(site: Site) -> None:
    shared = {"method": METHOD, "password": KEY, "users": []}
    site.write(servers=[{"server": "::", "server_port": port, **shared} for port in (1, 2)])
    assert site.call("add", "anna") == OK
    assert site.call("link", "anna", "--host", "example.org") == OK
    assert [parse_link(line).port for line in site.out.splitlines()] == [1, 2]
    assert site.call("link", "anna") == OK
    assert "--host NAME" in site.err, "an address was guessed"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("ann",), 1, "there is no user ann"),
        (("fay", "--host", "a b"), USAGE, "--host: this is no host name"),
    ],
)
def test_what_has_no_link(words: tuple[str, ...], code: int, sentence: str, site: Site) -> None:
    assert site.call("link", *words) == code
    assert sentence in site.err


def test_a_store_alone_knows_no_server(site: Site) -> None:
    assert site.call("add", "anna") == OK
    assert site.bare("link", "anna", "--store", str(site.path)) == CONFIG
    assert "name its config, too: -c FILE" in site.err
    site.write(servers=[])
    assert site.call("link", "anna") == CONFIG
    assert "anna is at no server of" in site.err


def test_no_link_goes_into_the_journal(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadesocks.cli.screen.is_journal", lambda _stream: True)
    assert site.call("link", "fay") == OK
    assert site.out == ""
    assert "not written into the journal" in site.err

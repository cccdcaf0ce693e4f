"""`shadesocks user list` and `show`: tables for people, documents for programs, keys for neither."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shadesocks.cli.exits import CONFIG, OK, USAGE
from shadesocks.service.store.store import Row
from tests.cli.asked import Stub

from .conftest import FAY, Site

NOW_HOUR = int(time.time()) // 3600
ROW: dict[str, Any] = {
    "name": "anna",
    "ports": [8388],
    "enabled": True,
    "refused": None,
    "connections": 2,
    "sessions": 1,
    "sources": 1,
    "up": 5,
    "down": 6,
    "wire_up": 7,
    "wire_down": 8,
    "used": 500,
    "quota": 900,
    "left": 400,
    "expires": None,
    "note": "",
}
KEY_OF_ANNA = FAY[:40] + "A" + FAY[41:]


@pytest.fixture
def anna(site: Site) -> Site:
    words = ("--quota", "900", "--note", "x\x7f", "--expires", "2100-01-01")
    assert site.call("add", "anna", "--password", KEY_OF_ANNA, *words) == OK
    site.passed(Row("anna", NOW_HOUR, 100, 200, 300, 400), Row("fay", NOW_HOUR - 24, 5 << 30, 1, 0, 0))
    return site


def test_the_table(anna: Site) -> None:
    assert anna.call("list") == OK
    lines = anna.out.splitlines()
    assert lines[0].split() == ["USER", "STATE", "PORT", "UP", "DOWN", "USED", "QUOTA", "LEFT", "EXPIRES", "NOTE"]
    assert [line.split()[0] for line in lines[1:]] == ["8389", "anna", "fay"]
    assert " ".join(lines[2].split()) == "anna served 8388 100 B 200 B 300 B 900 B 600 B 2100-01-01 x?"
    assert lines[3].split()[1] == "quota"
    assert FAY not in anna.out + anna.err
    assert KEY_OF_ANNA not in anna.out


def test_what_lives_is_told_by_those_who_run(anna: Site) -> None:
    workers = [
        Stub(pid, master=4, store=str(anna.path), users={"users": [{**ROW, "refused": word}]})
        for pid, word in ((5, None), (6, "sou\x1b"))
    ]
    other = Stub(7, store="/elsewhere/users.db", users={"users": [{**ROW, "connections": 100}]})
    anna.running(*workers, other, Stub(8, "local", store=str(anna.path), users={"users": [ROW]}))
    assert anna.call("list") == OK
    [line] = [line for line in anna.out.splitlines() if line.startswith("anna")]
    assert " ".join(line.split()) == "anna sou? 8388 4 2 100 B 200 B 500 B 900 B 400 B 2100-01-01 x?"
    told = anna.json("show", "anna")
    assert (told["live"], told["used"], told["left"]) == ({"connections": 4, "sessions": 2, "sources": 1}, 500, 400)
    assert workers[0].asked[-1] == ("users", {"name": "anna"})
    assert "now       4 TCP, 2 UDP, from 1 address" in (anna.call("show", "anna"), anna.out)[1]


def test_the_documents(anna: Site) -> None:
    told = anna.json("list")
    assert [row["name"] for row in told] == ["8389", "anna", "fay"]
    assert all("password" not in row["credentials"][0] for row in told if row["credentials"])
    assert told[1] == {
        "name": "anna",
        "stands": {"store": str(anna.path)},
        "enabled": True,
        "refused": None,
        "note": "x\x7f",
        "port": None,
        "ports": [8388],
        "limits": {
            "quota": {"size": 900, "window": "lifetime", "day": 1},
            "expires": 4102444800,
            "up_speed": None,
            "down_speed": None,
            "connections": None,
            "sessions": None,
            "sources": None,
            "source_grace": None,
            "ports": None,
            "targets": None,
        },
        "used": 300,
        "left": 600,
        "up": 100,
        "down": 200,
        "wire_up": 300,
        "wire_down": 400,
        "reset_at": None,
        "live": None,
        "credentials": [{"number": 1, "from": None, "until": None, "valid": True}],
    }
    assert told[2]["stands"] == {"config": str(anna.config), "line": 10}
    assert (told[2]["refused"], told[2]["left"]) == ("quota", 0)
    keys = anna.json("list", "--keys")
    assert keys[1]["credentials"][0]["password"] == KEY_OF_ANNA
    assert anna.call("list", "--keys") == USAGE


def test_one_user(anna: Site) -> None:
    assert anna.call("show", "anna") == OK
    lines = anna.out.splitlines()
    day = time.strftime("%Y-%m-%d", time.gmtime(NOW_HOUR * 3600))
    assert lines[0] == "anna"
    assert f"  stands in the store {anna.path}" in lines
    assert "  state     served" in lines
    assert "  quota     900 B; used 300 B, left 600 B" in lines
    assert "  passed    up 100 B, down 200 B (300 B and 400 B on the wire)" in lines
    assert lines[-1].split() == [day, "100", "B", "200", "B"]
    assert KEY_OF_ANNA not in anna.out
    told = anna.json("show", "anna")
    assert told["days"] == [{"day": day, "up": 100, "down": 200, "wire_up": 300, "wire_down": 400}]
    assert "links" not in told
    [link] = anna.json("show", "anna", "--keys")["links"]
    assert link.startswith("ss://")
    assert anna.call("show", "anna", "--keys") == OK
    assert f"1: {KEY_OF_ANNA} valid for good" in anna.out
    assert f"  link      {link}" in anna.out.splitlines()
    assert anna.call("show", "fay") == OK
    assert f"  stands in {anna.config} line 10" in anna.out
    assert anna.call("show", "8389") == OK


def test_without_a_store_the_config_has_users(site: Site) -> None:
    site.write(store="")
    assert [row["name"] for row in site.json("list")] == ["fay"]
    assert site.json("show", "fay")["used"] is None
    server = Stub(5, users={"users": [{**ROW, "name": "fay"}]})
    server.config = str(site.config)
    site.running(server)
    told = site.json("show", "fay")
    assert (told["used"], told["up"], told["down"], told["wire_up"], told["wire_down"]) == (500, 5, 6, 7, 8)
    site.running()
    site.write(servers=[], store="")
    assert site.call("list") == OK
    assert site.out.endswith('c.json; for such as come and go add "store": "users.db" to it\n')
    site.write(servers=[])
    assert site.call("list") == OK
    assert site.out == f"there are no users in {site.path}; `shadesocks user add NAME` makes one\n"


def test_a_store_that_is_not_there_is_not_made(site: Site) -> None:
    assert site.call("list") == OK
    assert not site.path.exists()
    assert site.bare("list", "--store", str(site.path)) == CONFIG
    assert f"there is no store at {site.path}" in site.err
    assert not site.path.exists()

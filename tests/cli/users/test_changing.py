"""`shadesocks user set`, `del` and `reset`: what is named changes, and nothing else."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.cli.exits import CONFIG, OK, USAGE
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.secret import Secret
from shadesocks.service.store.store import Row
from shadesocks.wire.uri import parse_link
from tests.cli.asked import Stub

from .conftest import FAY, Site

KEYS = [FAY[:40] + letter + FAY[41:] for letter in "ABC"]
HOUR = 3600


@pytest.fixture
def anna(site: Site) -> Site:
    assert site.call("add", "anna", "--password", KEYS[0], "--quota", "10G", "--note", "x", "--ports", "80") == OK
    return site


def test_only_what_is_named_changes(anna: Site) -> None:
    before = anna.user("anna")
    assert anna.call("set", "anna", "--quota", "20G") == OK
    assert anna.user("anna") == replace(before, limits=replace(before.limits, quota=Quota(20 << 30)))
    assert "quota     20 GiB" in anna.out
    assert anna.call("set", "anna", "--window", "month", "--day", "3") == OK
    assert anna.user("anna").limits.quota == Quota(20 << 30, "month", 3)
    assert anna.call("set", "anna", "--quota", "none", "--ports", "none", "--note", "") == OK
    assert anna.user("anna") == replace(before, limits=Limits(), note="")
    assert anna.call("set", "anna", "--disable") == OK
    assert anna.user("anna").limits == Limits(enabled=False)
    assert anna.call("set", "anna", "--enable", "--expires", "30d") == OK
    expires = anna.user("anna").limits.expires
    assert expires is not None
    assert 0 <= expires - time.time() - 30 * 24 * HOUR + 10 <= 20
    assert anna.call("set", "anna", "--expires", "never") == OK
    assert anna.user("anna") == replace(before, limits=Limits(), note="")
    assert anna.call("set", "anna", "--enable") == OK
    assert anna.out == "all is as before\n"


def test_passwords_come_and_go(anna: Site) -> None:
    assert anna.call("set", "anna", "--add-password", KEYS[1], "--valid-from", "2030-01-01") == OK
    one, two = anna.user("anna").credentials
    assert (one, two) == (Credential(Secret(KEYS[0])), Credential(Secret(KEYS[1]), 1893456000))
    assert "2: from 2030-01-01 00:00 UTC, not valid now" in anna.out
    assert KEYS[1] not in anna.out
    assert anna.call("set", "anna", "--drop-password", "3") == USAGE
    assert anna.call("set", "anna", "--drop-password", "1", "--drop-password", "2") == USAGE
    assert "to let him in no more: --disable" in anna.err
    assert anna.call("set", "anna", "--drop-password", "1") == OK
    assert anna.user("anna").credentials == (two,)
    assert anna.call("set", "anna", "--password", KEYS[2], "--keys") == OK
    assert anna.user("anna").credentials == (Credential(Secret(KEYS[2])),)
    assert f"1: {KEYS[2]} valid for good" in anna.out
    link = next(line.split()[1] for line in anna.out.splitlines() if line.startswith("  link"))
    assert parse_link(link).password.endswith(KEYS[2])


def test_who_has_no_valid_password_is_not_served(anna: Site) -> None:
    assert anna.call("set", "anna", "--password", KEYS[1], "--valid-until", "2020-01-01") == OK
    assert "  state     refused: no valid password" in anna.out
    assert anna.json("show", "anna")["refused"] is None


def test_another_link_is_told(anna: Site) -> None:
    assert anna.call("set", "anna", "--note", "y") == OK
    assert "another link" not in anna.out
    assert anna.call("set", "anna", "--rotate", "7d") == OK
    assert anna.out.endswith(f"another link: shadesocks user link anna -c {anna.config}\n")
    assert anna.call("set", "anna", "--rotate", "7d", "--keys") == OK
    assert "another link" not in anna.out
    assert anna.call("set", "anna", "--drop-password", "1") == OK
    assert "another link" not in anna.out, "it has the newest one"


def test_a_rotation_lets_the_old_one_hold_for_a_while(anna: Site) -> None:
    assert anna.call("set", "anna", "--rotate", "7d") == OK
    old, new = anna.user("anna").credentials
    assert old.password.reveal() == KEYS[0]
    assert old.valid_until is not None
    assert abs(old.valid_until - time.time() - 7 * 24 * HOUR) < 10
    assert new.valid_until is None
    assert anna.call("set", "anna", "--rotate", "0") == OK
    [newest] = anna.user("anna").credentials
    assert newest.password not in (old.password, new.password)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("ann", "--disable"), 1, "there is no user ann; did you mean anna?"),
        (("fay", "--disable"), 1, "line 10: change it there, then `shadesocks reload`"),
        (("anna", "--password", "a", "--rotate", "0"), USAGE, "one of --password, --add-password and --rotate"),
        (("anna", "--valid-until", "1d"), USAGE, "go with --add-password"),
        (("anna", "--rotate", "soon"), USAGE, "12h, 7d, 2w; or 0"),
        (("anna", "--add-password", FAY), 1, "anna: has a key that is another one's"),
        (("anna", "--add-password", "canary"), 1, "anna: the key of 2022-blake3-aes-256-gcm"),
        (("anna", "--port", "8389"), 1, "so only one can use it"),
        (("anna",), USAGE, "say what is to change"),
        (("anna", "--port", "0"), USAGE, "--port: a number from 1 to 65535"),
        (("anna", "--quota", "none", "--day", "3"), USAGE, "there is to be none"),
        (("anna", "--valid-from", "2d", "--add-password", "new", "--valid-until", "1d"), USAGE, "before --valid-until"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], code: int, sentence: str, anna: Site) -> None:
    before = anna.roll()
    assert anna.call("set", *words) == code
    assert sentence in anna.err
    assert "canary" not in anna.err
    assert anna.roll() == before


def test_a_user_moves_to_a_port_of_his_own_and_back(anna: Site) -> None:
    told = anna.json("set", "anna", "--port", "9000")
    assert (told["port"], told["ports"]) == (9000, [9000])
    told = anna.json("set", "anna", "--port", "none")
    assert (told["port"], told["ports"]) == (None, [8388])


def test_whoever_has_the_password_of_a_port_has_limits(anna: Site) -> None:
    assert anna.call("set", "8389", "--quota", "5G", "--note", "the old port") == OK
    assert anna.user("8389") == UserConfig("8389", (), Limits(quota=Quota(5 << 30)), "the old port")
    [told] = [row for row in anna.json("list") if row["name"] == "8389"]
    assert (told["left"], told["ports"], told["stands"]) == (5 << 30, [8389], {"store": str(anna.path)})
    for words in (("--rotate", "0"), ("--password", "x")):
        assert anna.call("set", "8389", *words) == 1
        assert "8389 is whoever has the password of that port" in anna.err
    assert anna.call("del", "8389") == OK
    assert anna.call("del", "8389") == 1
    assert anna.json("show", "8389")["stands"] == {"config": str(anna.config), "line": None}


def test_a_port_that_a_manager_added_has_limits(anna: Site) -> None:
    row = {
        "name": "9000",
        "ports": [9000, "x"],
        "refused": None,
        "connections": 0,
        "sessions": 0,
        "sources": 0,
        "used": None,
        "note": "",
    }
    server = Stub(5, store=str(anna.path), reload={"applied": True}, users={"users": [row]})
    anna.running(server)
    anna.write(manager_listen="127.0.0.1:6001")
    told = anna.json("show", "9000")
    assert (told["stands"], told["ports"]) == ({"manager": True}, [9000])
    assert anna.call("set", "9000", "--quota", "5G") == OK
    assert anna.user("9000").limits.quota == Quota(5 << 30)
    assert anna.call("reset", "9001") == 1
    assert anna.call("del", "9000") == OK
    assert anna.out == "deleted: the limits of 9000\n", "whoever has the password of the port stays"


def test_a_port_of_his_own_has_one_password(anna: Site) -> None:
    assert anna.call("set", "anna", "--port", "9000") == OK
    for words in (("--rotate", "7d"), ("--add-password", KEYS[1]), ("--password", KEYS[1], "--valid-until", "1d")):
        assert anna.call("set", "anna", *words) == 1
        assert "anna has a port of his own, and so one password" in anna.err
    assert anna.call("set", "anna", "--rotate", "0") == OK
    assert len(anna.user("anna").credentials) == 1


def test_a_change_that_the_server_refuses_is_the_exit_code(anna: Site) -> None:
    server = Stub(5, store=str(anna.path), reload={"applied": False, "problems": ["c.json:3: no"]}, users={"users": []})
    anna.running(server)
    assert anna.call("set", "anna", "--disable") == 1
    assert "c.json:3: no" in anna.err
    assert not anna.user("anna").limits.enabled
    assert anna.call("set", "anna", "--enable", "--no-reload") == OK
    assert [word for word, _ in server.asked].count("reload") == 1


def test_a_user_is_deleted_and_what_passed_is_kept(anna: Site) -> None:
    anna.passed(Row("anna", 5, 1, 2, 3, 4))
    assert anna.call("del", "anna") == OK
    assert anna.out == "deleted: anna\n"
    roll = anna.roll()
    assert (dict(roll.users), set(roll.stored)) == ({}, {"anna"})
    assert anna.call("show", "anna") == 1
    assert "anna is no user any more; what passed is kept" in anna.err
    assert anna.call("del", "anna") == 1
    assert anna.call("del", "anna", "--forget") == OK
    assert not anna.roll().stored


def test_the_last_bytes_that_a_server_writes_are_forgotten_too(anna: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Stub(5, store=str(anna.path), reload={"applied": True})
    anna.running(server)

    def sleep(seconds: float) -> None:
        assert seconds >= 2
        assert server.asked == [("reload", {})] * 2
        anna.passed(Row("anna", 5, 1, 2, 3, 4))

    monkeypatch.setattr("shadesocks.cli.users.changing.time.sleep", sleep)
    assert anna.call("del", "anna", "--forget") == OK
    assert not anna.roll().stored


def test_what_lives_of_somebody_ends_before_he_is_deleted(anna: Site) -> None:
    seen = []

    def reload() -> dict[str, Any]:
        roll = anna.roll()
        seen.append(roll.users["anna"].limits.enabled if "anna" in roll.users else None)
        return {"applied": len(seen) > 1}

    anna.running(Stub(5, store=str(anna.path), reload=reload))
    assert anna.call("del", "anna") == 1, "the first reload was refused"
    assert seen == [False, None]
    assert anna.call("add", "anna", "--no-reload") == OK
    assert anna.call("del", "anna", "--no-reload") == OK
    assert seen == [False, None]


def test_one_who_is_unknown_or_in_the_file_deletes_nobody(anna: Site) -> None:
    for names in (("anna", "ben"), ("anna", "fay")):
        assert anna.call("del", *names) == 1
        assert anna.err.endswith("; nothing is deleted\n")
    assert set(anna.roll().users) == {"anna"}
    anna.on_store(lambda store: store.put("odd", "{"))
    assert anna.call("set", "odd", "--disable") == 1
    assert "`shadesocks user del` deletes it" in anna.err
    assert anna.call("del", "odd") == OK


def test_a_quota_begins_anew(anna: Site) -> None:
    hour = int(time.time()) // HOUR
    anna.passed(Row("anna", hour, 700, 0, 0, 0), Row("fay", hour, 9, 0, 0, 0))
    assert anna.json("show", "anna")["used"] == 700
    assert anna.call("reset", "anna", "fay") == OK
    assert anna.out == "reset: anna\nreset: fay\n"
    told = anna.json("show", "anna")
    assert (told["used"], told["up"]) == (0, 700)
    assert told["reset_at"] is not None
    assert anna.json("show", "fay")["used"] == 0
    assert anna.call("reset", "nobody") == 1


def test_a_server_that_runs_hears_of_a_reset(anna: Site) -> None:
    server = Stub(5, store=str(anna.path), reload={"applied": True})
    anna.running(server)
    assert anna.call("reset", "anna") == OK
    assert server.asked == [("reload", {})]
    server.answers["reload"] = {"applied": False}
    assert anna.call("reset", "anna") == 1
    assert anna.call("reset", "anna", "--no-reload") == OK


def test_somebody_elses_process_is_told_of(anna: Site) -> None:
    anna.running(closed=("/run/shadesocks-x/server-1.sock",))
    assert anna.call("set", "anna", "--disable") == OK
    assert "another user's (/run/shadesocks-x/server-1.sock)" in anna.err
    assert anna.call("reset", "anna") == OK
    assert "another user's" in anna.err


def test_without_a_store_nothing_can_be_changed(site: Site) -> None:
    site.write(store="")
    for words in (("set", "fay", "--disable"), ("del", "fay"), ("reset", "fay")):
        assert site.call(*words) == CONFIG
        assert "names no store" in site.err
    assert json.loads(site.config.read_text())["store"] == ""

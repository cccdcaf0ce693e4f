"""`shadesocks user add`: what is made, what is told, what is refused."""

from __future__ import annotations

import io
import json

import pytest

from shadesocks.cli.exits import CONFIG, DIED, OK, USAGE
from shadesocks.core.limits import Limits, Quota
from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.methods import METHODS
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Row, StoreError
from shadesocks.wire.uri import parse_link
from tests.cli.asked import Stub
from tests.cli.programs import KEY, METHOD
from tests.cli.terminal import on_terminal

from .conftest import FAY, Site


def link_in(text: str) -> str:
    [link] = [line for line in text.splitlines() if line.startswith("ss://")]
    return link


def test_a_user_is_made_with_a_key_and_a_link(site: Site) -> None:
    assert site.call("add", "anna", "--host", "example.org") == OK
    user = site.user("anna")
    [credential] = user.credentials
    assert (user.limits, user.note, user.port) == (Limits(), "", None)
    assert len(parse_keys(METHODS[METHOD], credential.password.reveal())[0]) == 32
    assert site.out.splitlines()[0] == f"made: anna, in {site.path}"
    link = parse_link(link_in(site.out))
    assert (link.host, link.port, link.method, link.tag) == ("example.org", 8388, METHOD, "anna")
    assert link.password == f"{KEY}:{credential.password.reveal()}"
    assert "▀" not in site.out, "a code is for a terminal"


def test_all_that_may_be_said(site: Site) -> None:
    words = (
        *("--quota", "10G", "--window", "month", "--day", "5", "--expires", "2027-01-31", "--up-speed", "2M"),
        *("--down-speed", "4096", "--connections", "3", "--sessions", "4", "--sources", "2", "--source-grace", "1.5"),
        *("--ports", "80,443,8000-8999", "--targets", "example.org,10.0.0.0/8", "--note", "third floor", "--disabled"),
    )
    assert site.call("add", "anna", "--password", FAY[:-2] + "g=", *words) == OK
    assert site.user("anna").limits == Limits(
        enabled=False,
        quota=Quota(10 << 30, "month", 5),
        expires=1801353600,
        up_speed=2 << 20,
        down_speed=4096,
        connections=3,
        sessions=4,
        sources=2,
        source_grace=1.5,
        ports=((80, 80), (443, 443), (8000, 8999)),
        targets=("example.org", "10.0.0.0/8"),
    )
    assert site.user("anna").note == "third floor"
    assert site.user("anna").credentials[0].password.reveal() == FAY[:-2] + "g="


def test_a_user_of_a_port_of_his_own(site: Site) -> None:
    assert site.call("add", "ben", "--port", "9000") == OK
    user = site.user("ben")
    assert user.port == 9000
    link = parse_link(link_in(site.out))
    assert (link.port, link.password) == (9000, user.credentials[0].password.reveal())
    assert site.call("add", "carl", "--port", "9001", "--valid-until", "2030-01-01") == 1
    assert "carl has a port of his own, and so one password" in site.err
    assert site.call("add", "carl", "--valid-until", "2030-01-01") == OK
    assert site.user("carl").credentials[0].valid_until == 1893456000


def test_for_programs(site: Site) -> None:
    told = site.json("add", "anna", "--note", "x")
    assert (told["name"], told["note"], told["ports"]) == ("anna", "x", [8388])
    key = site.user("anna").credentials[0].password.reveal()
    assert key not in site.out
    told = site.json("add", "ben", "--keys")
    key = site.user("ben").credentials[0].password.reveal()
    assert told["credentials"][0]["password"] == key
    assert parse_link(told["links"][0]).password == f"{KEY}:{key}"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("anna",), 1, "there is a user anna already; `shadesocks user set` changes it"),
        (("fay",), 1, "fay stands in {config} line 10: change it there, then `shadesocks reload`"),
        (("8389",), 1, "there is a user 8389 already"),
        (("carl", "--password", "canary"), 1, "carl: the key of 2022-blake3-aes-256-gcm has 4 bytes"),
        (("carl", "--password", FAY), 1, "carl: has a key that is another one's"),
        (("carl", "--port", "8389"), 1, "so only one can use it"),
        (("carl", "--quota", "much"), USAGE, "carl: quota is a number of bytes"),
        (("carl", "--window", "month"), USAGE, "say how much it is: --quota 10G"),
        (("carl", "--connections", "x"), USAGE, "carl: connections is a whole number"),
        (("carl", "--up-speed", "1"), USAGE, "to let nothing pass, disable the user"),
        (("carl", "--valid-until", "then"), USAGE, "--valid-until is a day or an instant"),
        (("carl", "--expires", "tomorrow"), USAGE, "UTC where no zone stands; or 30d, from now"),
        (("carl", "--ports", "https"), USAGE, "on a command line 443,8000-8999"),
        (("",), USAGE, "a user: a name has"),
        (("c\x1b",), USAGE, "c?: a name has 1 to 255 letters"),
        ((), USAGE, "give a NAME, or a file of users with --from"),
        (("carl", "--from", "x"), USAGE, "give a NAME, or a file of users with --from"),
        (("--from", "nowhere.csv"), CONFIG, "nowhere.csv cannot be read"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], code: int, sentence: str, site: Site) -> None:
    assert site.call("add", "anna") == OK
    before = site.roll()
    assert site.call("add", *words) == code
    assert sentence.format(config=site.config) in site.out + site.err
    assert "canary" not in site.err
    assert site.roll() == before


def test_who_is_not_served_at_once_is_told_of(site: Site) -> None:
    for words, why in (
        (("--expires", "2020-01-01"), "expired"),
        (("--valid-from", "2100-01-01"), "no valid password"),
    ):
        assert site.call("add", why, *words) == OK
        assert f"note: he is not served now: {why}" in site.err
    assert site.call("add", "dan", "--disabled") == OK
    assert "not served" not in site.err, "that was asked for"


def test_a_config_without_a_list_of_users_has_no_room_but_ports(site: Site) -> None:
    site.write(servers=[])
    assert site.call("add", "anna") == 1
    assert "give him a port" in site.err


def test_a_store_alone_knows_no_method(site: Site) -> None:
    assert site.bare("add", "anna", "--store", str(site.path)) == USAGE
    assert "--password KEY" in site.err
    assert site.bare("add", "anna", "--store", str(site.path), "--password", "x") == OK
    assert "its link: shadesocks user link NAME -c FILE" in site.out
    assert site.user("anna").credentials[0].password.reveal() == "x"


def test_a_config_without_a_store_says_so(site: Site) -> None:
    site.write(store="")
    assert site.call("add", "anna") == CONFIG
    assert 'add "store": "users.db" to it' in site.err
    assert site.call("add", "anna", "--store", str(site.path)) == OK
    assert parse_link(link_in(site.out)).port == 8388


def test_a_running_server_is_asked_to_reload(site: Site) -> None:
    one, other = (
        Stub(pid, store=str(place), reload={"applied": True, "problems": []})
        for pid, place in ((5, site.path), (6, site.folder / "other.db"))
    )
    site.running(one, other)
    assert site.call("add", "anna", "--no-reload") == OK
    assert (one.asked, other.asked) == ([], [])
    assert site.call("add", "ben") == OK
    assert (one.asked, other.asked) == ([("reload", {})], [])
    one.answers["reload"] = {"applied": False, "problems": ["c.json:3: no\x1b"]}
    assert site.call("add", "carl") == 1
    assert "c.json:3: no?" in site.err
    assert "refused to reload: it serves as before; the store has the change" in site.err
    assert "carl" in site.roll().users


def test_what_passed_for_a_name_before_is_told(site: Site) -> None:
    site.passed(Row("anna", 5, 2048, 0, 0, 0))
    assert site.call("add", "anna", "--quota", "1K") == OK
    assert "note: anna was here before, and 2 KiB passed; the quota counts from now after" in site.err
    assert site.json("show", "anna")["refused"] == "quota"


def test_many_from_a_file(site: Site) -> None:
    file = site.folder / "users.csv"
    file.write_text("name,quota,note\nanna,10G,first\nben,,\n")
    assert site.call("add", "--from", str(file), "--window", "month", "--quota", "1G", "--note", "all") == OK
    assert site.out.splitlines()[0] == f"made: 2 users, in {site.path}"
    assert "ss://" not in site.out
    anna, ben = site.user("anna"), site.user("ben")
    assert (anna.limits.quota, anna.note) == (Quota(10 << 30, "month"), "first")
    assert (ben.limits.quota, ben.note) == (Quota(1 << 30, "month"), "all")
    told = site.json("list", "--keys")
    assert len({row["credentials"][0]["password"] for row in told if row["name"] in ("anna", "ben")}) == 2


def test_of_many_all_are_made_or_none(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    file = site.folder / "users.json"
    file.write_text(json.dumps([{"name": "anna"}, {"name": "fay"}]))
    assert site.call("add", "--from", str(file)) == 1
    file.write_text(json.dumps([{"name": "anna"}, {"name": "ben", "password": "canary"}]))
    assert site.call("add", "--from", str(file)) == 1
    assert "error: ben: the key of" in site.err
    assert "canary" not in site.err
    assert not site.roll().stored
    put = SqliteStore.put

    def fail(self: SqliteStore, name: str, definition: str) -> None:
        if name == "ben":
            raise StoreError("users.db: the disk is full")
        put(self, name, definition)

    monkeypatch.setattr(SqliteStore, "put", fail)
    file.write_text(json.dumps([{"name": "anna"}, {"name": "ben"}]))
    assert site.call("add", "--from", str(file)) == DIED
    assert "the disk is full" in site.err
    assert not site.roll().users


def test_a_person_at_a_terminal_gets_a_code(site: Site) -> None:
    for words, is_drawn in (((), True), (("--no-qr",), False)):
        name = f"anna{len(words)}"
        with on_terminal(site.folder, "user", "add", name, "-c", str(site.config), *words) as glass:
            assert glass.rest() == OK
        assert f"made: {name}, in" in glass.seen
        assert ("▀" in glass.seen) is is_drawn


def test_a_password_is_typed_or_comes_from_stdin(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    key = FAY[:40] + "A" + FAY[41:]
    with on_terminal(site.folder, "user", "add", "anna", "-c", str(site.config), "--password", "-") as glass:
        glass.until("password: ")
        glass.press(f"{key}\r")
        assert glass.rest() == OK
    assert key not in glass.seen
    assert site.user("anna").credentials[0].password.reveal() == key
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert site.call("add", "ben", "--password", "-") == USAGE
    assert "the password is empty" in site.err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key[:40]}C{key[41:]}\n"))
    assert site.call("set", "anna", "--add-password", "-") == OK
    assert len(site.user("anna").credentials) == 2

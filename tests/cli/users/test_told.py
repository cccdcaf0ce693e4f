"""What is told of a user."""

from __future__ import annotations

from shadesocks.cli.users.told import Person, instant_text, lines, members, place_text, table
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.secret import Secret
from shadesocks.service.store.store import Stored

NOW = 1_779_235_200.0
"""2026-05-20 00:00 UTC."""
STORE = {"store": "/x\x1b"}


def person(limits: Limits, used: int | None = None) -> Person:
    return Person(UserConfig("a\x1b", limits=limits), STORE, Stored("a"), used)


def test_all_that_can_be_said_of_one() -> None:
    limits = Limits(
        quota=Quota(10 << 20, "month", 5),
        expires=int(NOW) + 86_400,
        up_speed=2048,
        down_speed=4096,
        connections=1,
        sessions=2,
        sources=3,
        ports=((80, 80), (8000, 8999)),
        targets=("example.org",),
    )
    user = UserConfig("anna", (Credential(Secret("canary")), Credential(Secret("canary"), 5, 6)), limits, "n\x1b", 8388)
    told = list(lines(Person(user, STORE, Stored("anna", reset_at=int(NOW)), 1 << 20), NOW))
    assert told == [
        "anna",
        "  stands in the store /x?",
        "  state     served",
        "  note      n?",
        "  port      8388",
        "  quota     10 MiB a month, from day 5; used 1 MiB, left 9 MiB",
        "  reset     2026-05-20 00:00 UTC",
        "  expires   2026-05-21 00:00 UTC (in 1 d)",
        "  speed     up 2 KiB/s, down 4 KiB/s",
        "  at once   1 connection, 2 UDP sessions, 3 addresses",
        "  allowed   ports 80, 8000-8999; targets example.org",
        "  password  1: valid for good",
        "            2: from 1970-01-01 00:00 UTC until 1970-01-01 00:00 UTC, not valid now",
    ]


def test_why_one_is_refused() -> None:
    assert person(Limits()).refused(NOW) is None
    assert person(Limits(enabled=False)).refused(NOW) == "disabled"
    assert person(Limits(expires=int(NOW))).refused(NOW) == "expired"
    assert person(Limits(quota=Quota(5)), 4).refused(NOW) is None
    assert person(Limits(quota=Quota(5)), 5).refused(NOW) == "quota"
    assert person(Limits(quota=Quota(5)), None).refused(NOW) is None
    by_server = person(Limits(enabled=False))
    by_server.row = {"refused": "what\x1b", "connections": 0, "sessions": 0, "sources": 0}
    assert by_server.refused(NOW) == "what?"
    assert "  expires   never" not in list(lines(person(Limits()), NOW))


def test_no_escape_comes_through() -> None:
    assert "\x1b" not in "\n".join(table([person(Limits())], NOW))
    assert "\x1b" not in "\n".join(lines(person(Limits()), NOW))
    assert members(person(Limits()), NOW)["name"] == "a\x1b", "a program reads it as it is"


def test_texts() -> None:
    assert place_text({"config": "c.json", "line": 12}) == "c.json line 12"
    assert place_text({"config": "c.json", "line": None}) == "c.json"
    assert instant_text(10**18) == "never"

"""Which servers are asked, and what they say together."""

from __future__ import annotations

import os
from typing import Any

import pytest

from shadesocks.cli.overview import RELOAD_LIMIT
from shadesocks.cli.running import Found, SilentError
from shadesocks.cli.users.book import Book
from shadesocks.cli.users.live import Live, same_place
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.secret import Secret
from shadesocks.wire.control import FAILED, NOT_FOUND, ControlError
from tests.cli.asked import Stub

BOOK = Book("/etc/server.json", None, "/var/lib/users.db")
ROW: dict[str, Any] = {"name": "anna", "refused": None, "connections": 0, "sessions": 0, "sources": 0, "used": None}
GOOD = {"applied": True, "problems": []}


def live(*stubs: Stub) -> Live:
    return Live(Found(list(stubs)), BOOK)  # type: ignore[arg-type]


def test_those_that_have_the_store_or_the_config_are_asked() -> None:
    by_store, by_config = Stub(1, store="/var/lib/../lib/users.db"), Stub(2)
    by_store.config, elsewhere = "/other.json", Stub(3, store="/else/users.db")
    elsewhere.config = "/other.json"
    found = live(by_store, by_config, elsewhere, Stub(4, "local", store=BOOK.path))
    assert [service.pid for service in found.services] == [1, 2]


def test_a_config_named_from_where_the_process_is() -> None:
    here = Stub(os.getpid())
    here.config = "c.json"
    book = Book(os.path.join(os.getcwd(), "c.json"), None, "")
    assert Live(Found([here]), book).services == [here]  # type: ignore[comparison-overlap,list-item]
    assert not Live(Found([Stub(1)]), Book(None, None, "")).services  # type: ignore[list-item]


def test_one_place_under_several_names() -> None:
    assert same_place("/etc/../etc/x", "/etc/x")
    assert same_place("postgresql://a:b@h/users", "postgresql://a:c@h/users?x=1")
    assert not same_place("postgresql://h/users", "postgresql://h/others")


def test_one_of_each_master_reloads() -> None:
    workers = [Stub(pid, master=4, store=BOOK.path, reload=GOOD) for pid in (5, 6)]
    assert live(*workers).reload()
    assert [len(worker.asked) for worker in workers].count(1) == 1
    assert RELOAD_LIMIT in [worker.sock.limit for worker in workers]


@pytest.mark.parametrize(
    ("stub", "words"),
    [
        (Stub(1, reload=SilentError("no answer")), "has the change not yet; try: shadesocks reload"),
        (Stub(1, status={}), "the change is served after a restart"),
        (Stub(1, reload={"applied": False}), "refused to reload"),
    ],
)
def test_what_goes_wrong_is_told(stub: Stub, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not live(stub).reload()
    assert words in capsys.readouterr().err
    assert live().reload(), "nobody runs"


def test_a_problem_that_is_not_ours_is_told_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert live(Stub(1, reload={"applied": True, "problems": ["port 1 is taken\x1b"]})).reload()
    assert "port 1 is taken?" in capsys.readouterr().err


def test_who_is_left_out_by_a_server_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    key = (Credential(Secret("canary")),)
    several = [UserConfig(f"u{number}\x1b", key) for number in range(8)]
    rows = [{**ROW, "name": user.name} for user in several]
    server = Stub(1, reload=GOOD, users={"users": rows[:1]})
    assert live(server).serve(several[:1])
    assert server.asked[-1] == ("users", {"name": "u0\x1b"})
    assert not live(server).serve(several)
    assert "leaves out u1?, u2?, u3?, u4?, u5? and 2 more; its log says why" in capsys.readouterr().err
    server.answers["users"] = ControlError(NOT_FOUND, "nobody")
    assert not live(server).serve(several[:1])
    assert "leaves out u0?; its log says why" in capsys.readouterr().err
    assert live(server).serve([UserConfig("9000")]), "whose port may come later"
    assert live(Stub(1, reload=GOOD)).serve(several), "an older version cannot say"
    server.answers["reload"] = {"applied": False}
    assert not live(server).serve([])


def test_that_a_user_is_not_known_is_nothing_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    assert live(Stub(1, users=ControlError(NOT_FOUND, "nobody"))).rows("anna") == {}
    assert capsys.readouterr().err == ""
    assert live(Stub(1, users=ControlError(FAILED, "a defect")), Stub(2, users=SilentError("gone"))).rows() == {}
    err = capsys.readouterr().err
    assert "a defect" in err
    assert "gone" in err


@pytest.mark.parametrize(
    "answer",
    [{}, {"users": 5}, {"users": [5]}, {"users": [{"name": "anna"}]}, {"users": [{**ROW, "connections": "\x1b"}]}],
)
def test_an_answer_of_another_version_is_no_row(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert live(Stub(1, users=answer), Stub(2)).rows() == {}
    assert "its version is another one's" in capsys.readouterr().err

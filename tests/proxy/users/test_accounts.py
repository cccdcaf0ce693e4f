"""All accounts: opened, swept while they are awake, closed without losing a byte."""

from __future__ import annotations

from shadesocks.core.limits import FREE, Limits
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import Counts

from .test_account import begin


def test_only_who_moves_is_told() -> None:
    accounts = Accounts()
    ann, _ = accounts.open("ann", FREE, 0, 0), accounts.open("bob", FREE, 0, 0)
    assert accounts.sweep(0, 0) == []
    relay = begin(ann)
    relay.move(5, 6)
    assert accounts.sweep(1, 1) == [("ann", Counts(5, 6, 55, 56))]
    assert ann in accounts.awake
    relay.end("done")
    assert accounts.sweep(2, 2) == []
    assert not accounts.awake
    assert [account.name for account in accounts] == ["ann", "bob"]
    assert len(accounts) == 2


def test_an_account_goes_on_under_other_limits() -> None:
    accounts = Accounts()
    ann = accounts.open("ann", FREE, 0, 0)
    begin(ann)
    assert accounts.open("ann", Limits(connections=1), 0, 0) is ann is accounts.find("ann")
    assert ann.limits == Limits(connections=1)
    assert ann.live == 1


def test_what_passed_last_for_a_user_who_goes_is_told() -> None:
    accounts = Accounts()
    relay = begin(accounts.open("ann", FREE, 0, 0))
    relay.move(7, 0)
    accounts.close("ann")
    accounts.close("ann")
    assert relay.word == "disabled"
    assert accounts.find("ann") is None
    assert accounts.sweep(1, 1) == [("ann", Counts(7, 0, 57, 50))]
    assert not accounts.awake


def test_a_user_who_comes_back_at_once_is_told_apart_from_before() -> None:
    accounts = Accounts()
    relay = begin(accounts.open("ann", FREE, 0, 0))
    relay.move(7, 0)
    accounts.close("ann")
    begin(accounts.open("ann", FREE, 0, 0)).move(1, 0)
    told = accounts.sweep(1, 1)
    assert sorted(told) == [("ann", Counts(1, 0, 51, 50)), ("ann", Counts(7, 0, 57, 50))]

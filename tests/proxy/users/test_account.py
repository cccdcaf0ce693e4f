"""The account of a user: what is counted, who is let in, who is ended, and against a plain model all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.proxy.users.account import UNLIMITED, Account
from shadesocks.proxy.users.counts import NOTHING, Counts

HERE, THERE = b"\x0a\0\0\1", b"\x0a\0\0\2"


def at(now: int) -> Callable[[], int]:
    """A clock that stands still."""
    return lambda: now


class Carrier:
    """A relay or a session, as an account sees it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.counts = NOTHING
        self.word = ""
        self.seen_at = 0.0

    def carried(self) -> Counts:
        return self.counts

    def move(self, up: int, down: int) -> None:
        self.counts = self.counts.plus(Counts(up, down, up + 50, down + 50))

    def end(self, word: str) -> None:
        if not self.word:
            self.word = word
            self.account.ended(self)


def begin(account: Account, group: bytes = HERE, *, is_session: bool = False) -> Carrier:
    carrier = Carrier(account)
    account.began(carrier, group, carrier.end, is_session=is_session)
    return carrier


def test_what_passes_is_told_once() -> None:
    account = Account("ann")
    one, other = begin(account), begin(account)
    one.move(10, 100)
    assert account.sweep(1, 1) == Counts(10, 100, 60, 150)
    assert account.sweep(2, 2) == NOTHING
    one.move(1, 0)
    other.move(0, 5)
    other.end("done")
    assert account.sweep(3, 3) == Counts(1, 5, 101, 105)
    one.move(2, 2)
    one.end("done")
    one.end("done")
    asleep = [account.is_asleep]
    assert account.sweep(4, 4) == Counts(2, 2, 52, 52)
    assert [*asleep, account.is_asleep] == [False, True]
    assert account.counts == Counts(13, 107, 213, 307)


def test_without_limits_everybody_is_let_in() -> None:
    account = Account("ann")
    assert account.admit(HERE, at(0), at(0)) is None
    assert account.welcome(THERE, at(0), at(0)) is None
    assert account.left == UNLIMITED
    assert account.used(0) == 0


@pytest.mark.parametrize(("limits", "word"), [(Limits(enabled=False), "disabled"), (Limits(expires=5), "expired")])
def test_who_is_refused_is_ended(limits: Limits, word: str) -> None:
    account = Account("ann")
    assert account.admit(HERE, at(0), at(4)) is None
    carrier = begin(account)
    account.limit(limits, 1, 4)
    assert not carrier.word, "a change holds for what is live from the next sweep on"
    account.sweep(2, 5)
    assert carrier.word == word
    assert account.admit(HERE, at(3), at(5)) == word
    assert account.welcome(HERE, at(3), at(5)) == word


def test_a_quota_ends_what_is_live_and_refuses_what_comes() -> None:
    account = Account("ann", Limits(quota=Quota(100)))
    carrier = begin(account)
    carrier.move(40, 59)
    account.sweep(1, 1)
    assert account.admit(HERE, at(1), at(1)) is None
    carrier.move(1, 0)
    assert account.sweep(2, 2).payload == 1
    assert carrier.word == "quota"
    assert account.admit(HERE, at(2), at(2)) == "quota"
    assert account.used(2) == 100
    account.reset(3)
    assert account.admit(HERE, at(3), at(3)) is None


def test_a_quota_of_nothing_lets_nothing_pass() -> None:
    assert Account("ann", Limits(quota=Quota(0))).admit(HERE, at(0), at(0)) == "quota"


def test_a_quota_is_renewed_though_nobody_is_there() -> None:
    account = Account("ann", Limits(quota=Quota(100, "month")))
    late = int(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp())
    account.restore(0, [(late // 3600, 100)], late)
    assert account.admit(HERE, at(0), at(late)) == "quota"
    assert account.admit(HERE, at(1), at(late + 1)) is None


def test_between_sweeps_what_is_spent_counts() -> None:
    account = Account("ann", Limits(quota=Quota(100)))
    carrier = begin(account)
    carrier.move(60, 0)
    account.left -= 60
    assert account.refuse(0) is None
    carrier.move(0, 40)
    account.left -= 40
    assert account.refuse(0) == "quota"
    account.sweep(1, 1)
    assert account.used(1) == 100, "what was spent is not counted twice"


def test_other_limits_keep_what_was_used() -> None:
    account = Account("ann", Limits(quota=Quota(100)))
    begin(account).move(50, 0)
    account.sweep(1, 1)
    account.limit(Limits(quota=Quota(1000)), 1, 1)
    assert account.used(1) == 50
    account.limit(Limits(quota=Quota(1000, "month")), 1, 1)
    assert account.used(1) == 0, "of another window the store knows"
    account.restore(0, [(0, 70)], 1)
    assert account.used(1) == 70
    account.limit(Limits(quota=Quota(1000, "month", 2)), 1, 1)
    assert account.used(1) == 0
    account.limit(FREE, 1, 1)
    account.restore(5, [], 1)
    account.reset(1)
    assert account.used(1) == 0


@pytest.mark.parametrize("window", ["lifetime", "month", "days"])
def test_what_passed_since_a_store_was_asked_counts_beside_its_answer(window: str) -> None:
    account = Account("ann", Limits(quota=Quota(1000, window)))
    carrier = begin(account)
    carrier.move(40, 0)
    account.sweep(1, 1)
    asked = account.counts.payload
    carrier.move(5, 2)
    account.sweep(2, 2)
    carrier.move(1, 0)
    account.restore(300 + asked, [(0, 300 + asked)], 2, here=asked)
    assert (account.used(2), account.left) == (347, 652)
    account.sweep(3, 3)
    assert (account.used(3), account.left) == (348, 652)
    assert account.resets == 0
    account.reset(3)
    assert account.resets == 1


def test_connections_are_counted_from_admission_to_the_end() -> None:
    account = Account("ann", Limits(connections=2))
    assert [account.admit(HERE, at(0), at(0)) for _ in range(3)] == [None, None, "connections"]
    account.leave()
    assert account.admit(HERE, at(0), at(0)) is None
    assert Account("bob", Limits(connections=0)).admit(HERE, at(0), at(0)) == "connections"


def test_the_session_unused_for_longest_makes_room() -> None:
    account = Account("ann", Limits(sessions=2))
    sessions = []
    for _ in range(2):
        assert account.welcome(HERE, at(0), at(0)) is None
        sessions.append(begin(account, is_session=True))
    sessions[0].seen_at = 5.0
    assert account.welcome(HERE, at(0), at(0)) is None
    assert [session.word for session in sessions] == ["", "crowded"]
    begin(account, is_session=True)
    account.limit(Limits(sessions=1), 0, 0)
    assert account.welcome(HERE, at(0), at(0)) is None
    assert account.live == 0
    account.limit(Limits(sessions=0), 0, 0)
    assert account.welcome(HERE, at(0), at(0)) == "connections"


def test_sessions_from_before_a_limit_count() -> None:
    account = Account("ann")
    relay, session = begin(account), begin(account, is_session=True)
    account.limit(Limits(sessions=1), 0, 0)
    assert account.welcome(HERE, at(0), at(0)) is None
    assert (relay.word, session.word) == ("", "crowded")


def test_addresses_that_are_too_many_are_ended() -> None:
    account = Account("ann", Limits(sources=1, source_grace=10))
    assert account.admit(HERE, at(0), at(0)) is None
    assert account.admit(THERE, at(0), at(0)) is None
    here, there = begin(account, HERE), begin(account, THERE)
    for now in range(1, 11):
        here.move(1, 1)
        there.move(1, 1)
        account.sweep(now, now)
    assert there.word == ""
    account.sweep(10.5, 10)
    assert (here.word, there.word) == ("", "sources")
    assert account.admit(THERE, at(11), at(11)) == "sources"


def test_an_idle_connection_keeps_no_place() -> None:
    """The old address of a telephone that is gone, whose connection nobody closed."""
    account = Account("ann", Limits(sources=1, source_grace=10))
    account.admit(HERE, at(0), at(0))
    here = begin(account, HERE)
    here.move(1, 1)
    account.sweep(1, 1)
    account.admit(THERE, at(5), at(5))
    there = begin(account, THERE)
    for now in range(5, 60):
        there.move(1, 1)
        account.sweep(now, now)
    assert (here.word, there.word) == ("", "")
    here.move(1, 1)
    account.sweep(60, 60)
    assert here.word == "", "it is back, and borne with"


def test_speeds_are_buckets_that_outlive_a_change() -> None:
    account = Account("ann", Limits(up_speed=100_000))
    assert account.down_bucket is None
    bucket = account.up_bucket
    assert bucket is not None
    bucket.take(bucket.size + 5_000, 0.0)
    account.limit(Limits(up_speed=200_000, down_speed=5_000), 0.0, 0)
    buckets = [account.up_bucket, account.down_bucket]
    assert buckets[0] is bucket
    assert buckets[1]
    assert bucket.tokens(0.0) == -5_000
    account.limit(FREE, 0.0, 0)
    assert not any([account.up_bucket, account.down_bucket])


class AccountMachine(RuleBasedStateMachine):
    """An account with a quota and limits of numbers, against sums in plain integers."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000
        self.account = Account("ann", awake={})
        self.limits = FREE
        self.carriers: list[Carrier] = []
        self.admitted = 0
        self.moved = NOTHING
        self.told = NOTHING
        self.used = 0

    @rule(
        quota=st.none() | st.integers(0, 1000),
        connections=st.none() | st.integers(0, 3),
        sessions=st.none() | st.integers(0, 3),
        enabled=st.booleans(),
    )
    def limit(self, quota: int | None, connections: int | None, sessions: int | None, enabled: bool) -> None:
        before = self.limits
        self.limits = Limits(
            quota=None if quota is None else Quota(quota),
            connections=connections,
            sessions=sessions,
            enabled=enabled or quota is not None,
        )
        self.account.limit(self.limits, self.now, self.now)
        if before.quota is None or quota is None:
            self.used = 0

    @rule()
    def connect(self) -> None:
        word = self.account.admit(HERE, at(self.now), at(self.now))
        full = self.limits.connections is not None and self.admitted >= self.limits.connections
        if not self.limits.enabled:
            assert word == "disabled"
        elif word is None:
            assert not full
            self.admitted += 1
            self.carriers.append(begin(self.account))
        else:
            assert word == "quota" or (full and word == "connections")

    @rule()
    def associate(self) -> None:
        if self.account.welcome(HERE, at(self.now), at(self.now)) is None:
            self.carriers.append(begin(self.account, is_session=True))

    @precondition(lambda self: self.carriers)
    @rule(data=st.data(), up=st.integers(0, 300), down=st.integers(0, 300))
    def move(self, data: st.DataObject, up: int, down: int) -> None:
        carrier = data.draw(st.sampled_from(self.carriers))
        if not carrier.word:
            carrier.move(up, down)
            self.account.left -= up + down
            self.moved = self.moved.plus(Counts(up, down, up + 50, down + 50))

    @precondition(lambda self: self.carriers)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.carriers)).end("done")

    @rule()
    def reset(self) -> None:
        self.account.reset(self.now)
        self.used = 0

    @rule()
    def sweep(self) -> None:
        self.now += 1
        delta = self.account.sweep(self.now, self.now)
        assert min(delta) >= 0
        self.told = self.told.plus(delta)
        assert self.told == self.moved == self.account.counts
        if self.limits.quota is not None:
            self.used += delta.payload
            assert self.account.used(self.now) == self.used
            assert (self.account.refuse(self.now) == "quota") == (self.used >= self.limits.quota.size)
            if self.used >= self.limits.quota.size:
                assert all(carrier.word for carrier in self.carriers)
        if not self.limits.enabled:
            assert all(carrier.word for carrier in self.carriers)

    @invariant()
    def live_ones_are_known(self) -> None:
        assert self.account.live == sum(not carrier.word for carrier in self.carriers)


TestAccountMachine: Callable[[], None] = AccountMachine.TestCase  # type: ignore[assignment]
AccountMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

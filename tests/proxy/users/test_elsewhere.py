"""Limits of one user over several processes: what the others do counts here, as soon as it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shadesocks.core.limits import Limits, Quota
from shadesocks.proxy.users.account import UNLIMITED, Account
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import Counts
from tests.proxy.users.test_account import HERE, THERE, Carrier, begin
from tests.service.users.processes import Process, Town

HOUR = 3600


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town()
    yield town
    town.close()


def at(now: float) -> Callable[[], int]:
    return lambda: int(now)


def served(town: Town, limits: Limits, count: int = 2) -> list[Account]:
    """Return the account of one user in several processes."""
    return [account_of(town.start(slot, {"ann": limits}, stores=False)) for slot in range(count)]


def account_of(process: Process) -> Account:
    account = process.accounts.find("ann")
    assert account is not None
    return account


def come(account: Account) -> Carrier:
    """Begin as connections do."""
    assert account.admit(HERE, at(0), at(0)) is None
    return begin(account)


# -- quotas ------------------------------------------------------------------------------------


def test_a_quota_that_is_used_up_elsewhere_lets_nobody_in_here(town: Town) -> None:
    here, there = served(town, Limits(quota=Quota(1000)))
    carrier = begin(there)
    carrier.move(900, 90)
    there.sweep(1, 1)
    assert here.admit(HERE, at(1), at(1)) is None
    assert here.used(1) == 990
    mine = begin(here)
    carrier.move(10, 0)
    there.sweep(2, 2)
    assert carrier.word == "quota"
    assert here.admit(HERE, at(2), at(2)) == "quota", "no sweep was needed"
    words = [mine.word]
    here.sweep(2.5, 2)
    assert [*words, mine.word] == ["", "quota"]
    assert here.left == there.left == 0


@pytest.mark.parametrize("window", ["lifetime", "month", "days"])
def test_a_reset_in_one_process_is_one_in_all(town: Town, window: str) -> None:
    here, there = served(town, Limits(quota=Quota(1000, window)))
    begin(here).move(600, 0)
    begin(there).move(600, 0)
    for account in (here, there, here):
        account.sweep(1, 10 * HOUR)
    assert here.refuse(10 * HOUR) == there.refuse(10 * HOUR) == "quota"
    there.reset(10 * HOUR)
    assert (here.used(10 * HOUR), there.used(10 * HOUR)) == (0, 0)
    assert here.admit(HERE, at(1), at(10 * HOUR)) is None
    begin(here).move(300, 0)
    here.sweep(2, 10 * HOUR)
    assert (here.used(10 * HOUR), there.used(10 * HOUR)) == (300, 300)


def test_a_follower_goes_on_with_a_quota_of_a_lifetime_though_there_is_no_store(town: Town) -> None:
    limits = {"ann": Limits(quota=Quota(1000))}
    first, second = town.start(0, limits, stores=False), town.start(1, limits, stores=False)
    for process in (first, second):
        process.move("ann", 200, 0)
        process.sweep()
    first.kill()
    assert account_of(town.start(0, limits, stores=False)).used(0) == 400
    account_of(second).reset(0)
    second.move("ann", 50, 0)
    second.sweep()
    second.kill()
    assert account_of(town.start(1, limits, stores=False)).used(0) == 50


def test_what_a_store_had_of_the_others_is_not_counted_again(town: Town) -> None:
    limits = {"ann": Limits(quota=Quota(1000))}
    first = town.start(0, limits)
    first.move("ann", 200, 0)
    first.sweep()
    first.work()
    first.move("ann", 30, 0)
    first.sweep()  # told, and not written
    second = town.start(1, limits)
    assert second.seat.written_elsewhere("ann") == 200
    account_of(second).restore(town.store.sum("ann").payload, (), 0, second.seat.written_elsewhere("ann"))
    assert account_of(second).used(0) == 230
    assert second.seat.stands() is None, "a batch is under way"
    first.work()
    assert second.seat.stands() == (2,)
    assert account_of(second).used(0) == 230


class Shared(RuleBasedStateMachine):
    """A quota over three processes that sweep as they like: what passes beyond it is what passed between two sweeps."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(3, 4)
        limits = {"ann": Limits(quota=Quota(500))}
        self.processes = [self.town.start(slot, limits, stores=False) for slot in range(3)]
        self.carriers: list[Carrier | None] = [None] * 3
        self.between = [0] * 3
        self.most = [0] * 3
        self.passed = 0

    @rule(slot=st.integers(0, 2), size=st.integers(1, 120))
    def move(self, slot: int, size: int) -> None:
        account = account_of(self.processes[slot])
        carrier = self.carriers[slot]
        if carrier is None or carrier.word:
            if account.admit(HERE, at(0), at(0)) is not None:
                return
            carrier = self.carriers[slot] = begin(account)
        carrier.move(size, 0)
        self.passed += size
        self.between[slot] += size
        self.most[slot] = max(self.most[slot], self.between[slot])

    @rule(slot=st.integers(0, 2))
    def sweep(self, slot: int) -> None:
        self.town.now += 0.4
        self.processes[slot].sweep()
        self.between[slot] = 0

    @invariant()
    def the_overshoot_is_bounded(self) -> None:
        assert self.passed <= 500 + sum(self.most)
        assert self.town.sum("ann").payload == self.passed - sum(self.between)

    def teardown(self) -> None:
        for _ in range(2):
            for process in self.processes:
                process.sweep()
        assert {account_of(process).used(0) for process in self.processes} == {self.passed}
        assert {account_of(process).left for process in self.processes} == {500 - self.passed}
        if self.passed >= 500:
            assert all(account_of(process).admit(HERE, at(0), at(0)) == "quota" for process in self.processes)
            assert all(carrier is None or carrier.word == "quota" for carrier in self.carriers)
        self.town.close()


TestShared = Shared.TestCase
TestShared.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# -- connections, sessions, addresses ----------------------------------------------------------


def test_connections_are_those_of_all(town: Town) -> None:
    here, there = served(town, Limits(connections=3))
    assert [here.admit(HERE, at(0), at(0)), there.admit(HERE, at(0), at(0)), here.admit(HERE, at(0), at(0))] == [
        None
    ] * 3
    assert there.admit(HERE, at(0), at(0)) == here.admit(HERE, at(0), at(0)) == "connections"
    here.leave()
    assert there.admit(HERE, at(0), at(0)) is None
    assert (here.connections, there.connections) == (1, 2)


def test_the_connections_of_a_dead_process_are_nobody_s(town: Town) -> None:
    first, second = (town.start(slot, {"ann": Limits(connections=1)}, stores=False) for slot in range(2))
    assert account_of(first).admit(HERE, at(0), at(0)) is None
    first.kill()
    assert account_of(second).admit(HERE, at(0), at(0)) == "connections"
    second.sweep()
    assert account_of(second).admit(HERE, at(0), at(0)) is None


def test_what_was_told_under_other_limits_is_forgotten(town: Town) -> None:
    limited = Limits(connections=2, up_speed=SPEED)
    here, there = served(town, limited)
    carriers = [come(here), come(here)]
    here.sweep(1, 1)
    for account in (here, there):
        account.limit(Limits(), 2, 2)
    for carrier in carriers:
        carrier.end("done")
        here.leave()
    here.sweep(3, 3)
    for account in (here, there):
        account.limit(limited, 4, 4)
    come(there)
    come(there)
    assert rate(there) == SPEED


def test_of_all_sessions_the_oldest_make_room_within_a_second(town: Town) -> None:
    here, there = served(town, Limits(sessions=2))
    carriers = []
    for seen_at, account in enumerate((here, there, here, there), 1):
        assert account.welcome(HERE, at(0), at(0)) is None
        carrier = begin(account, is_session=True)
        carrier.seen_at = seen_at
        carriers.append(carrier)
    for _ in range(2):
        for account in (here, there):
            account.sweep(5, 5)
    assert [carrier.word for carrier in carriers] == ["crowded", "crowded", "", ""]


def test_a_session_that_is_used_stays_whoever_was_first(town: Town) -> None:
    here, there = served(town, Limits(sessions=1))
    old, new = begin(here, is_session=True), begin(there, is_session=True)
    old.seen_at, new.seen_at = 9, 8
    for _ in range(2):
        here.sweep(10, 10)
        there.sweep(10, 10)
    assert (old.word, new.word) == ("", "crowded")


def test_addresses_are_those_of_all(town: Town) -> None:
    here, there = served(town, Limits(sources=1, source_grace=10))
    assert here.admit(HERE, at(0), at(0)) is None
    first = begin(here, HERE)
    assert there.admit(THERE, at(1), at(1)) is None, "borne with"
    second = begin(there, THERE)
    assert there.admit(b"third", at(2), at(2)) == "sources"
    for now in range(2, 13):
        for account, carrier in ((here, first), (there, second)):
            carrier.move(1, 1)
            account.sweep(now, now)
    assert (first.word, second.word) == ("", "sources"), "the grace time is over"
    assert here.admit(THERE, at(13), at(13)) == "sources"
    assert there.admit(HERE, at(13), at(13)) is None


def test_with_a_high_limit_of_addresses_each_counts_alone(town: Town) -> None:
    here, there = served(town, Limits(sources=17, source_grace=0))
    for number in range(17):
        assert here.admit(bytes([number]), at(0), at(0)) is None
    assert there.admit(b"another", at(0), at(0)) is None


def test_a_user_of_many_connections_on_both_sides_keeps_them(town: Town) -> None:
    here, there = served(town, Limits())
    for account in (here, there):
        assert [account.admit(HERE, at(0), at(0)) for _ in range(5)] == [None] * 5


# -- speeds ------------------------------------------------------------------------------------

SPEED = 1 << 20


def rate(account: Account) -> int:
    assert account.up_bucket is not None
    return account.up_bucket.rate


def test_a_speed_is_shared_by_those_who_want_it(town: Town) -> None:
    here, there = served(town, Limits(up_speed=SPEED))
    carrier = come(here)
    assert rate(here) == SPEED
    carrier.move(SPEED, 0)
    here.sweep(1, 1)
    other = come(there)
    assert rate(there) == SPEED // 6, "of three workers"
    for now in (2, 3, 4):
        carrier.move(rate(here), 0)
        other.move(rate(there), 0)
        here.sweep(now, now)
        there.sweep(now + 0.5, now)
    assert rate(here) == rate(there) == SPEED // 2
    other.end("done")
    there.sweep(5, 5)
    carrier.move(rate(here), 0)
    here.sweep(5.5, 5)
    assert rate(here) == SPEED
    assert there.is_asleep


class Paced(RuleBasedStateMachine):
    """Connections that come and go at three processes, which look as they like: the shares never add up to too much."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(3, 4)
        self.accounts = served(self.town, Limits(down_speed=SPEED), 3)
        self.carriers: list[Carrier | None] = [None] * 3
        self.now = 1.0

    @rule(slot=st.integers(0, 2))
    def come(self, slot: int) -> None:
        if self.carriers[slot] is None:
            self.carriers[slot] = come(self.accounts[slot])

    @rule(slot=st.integers(0, 2))
    def go(self, slot: int) -> None:
        carrier = self.carriers[slot]
        if carrier is not None:
            carrier.end("done")
            self.accounts[slot].leave()
            self.carriers[slot] = None

    @rule(slot=st.integers(0, 2), part=st.sampled_from([0, 0.1, 0.5, 1]), wait=st.floats(0, 1.5))
    def sweep(self, slot: int, part: float, wait: float) -> None:
        self.now += wait
        carrier, bucket = self.carriers[slot], self.accounts[slot].down_bucket
        assert bucket is not None
        if carrier is not None:
            carrier.move(0, int(bucket.rate * part))
        self.accounts[slot].sweep(self.now, int(self.now))

    @invariant()
    def the_shares_are_bounded(self) -> None:
        buckets = [account.down_bucket for account in self.accounts if account.live]
        rates = [bucket.rate for bucket in buckets if bucket is not None]
        assert sum(rates) <= SPEED + (len(rates) - 1) * (SPEED // 6 * 1.01 + 2048) if rates else True
        assert all(rate >= SPEED // 6 for rate in rates)

    def teardown(self) -> None:
        self.town.close()


TestPaced = Paced.TestCase
TestPaced.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_three_that_come_at_once_do_not_have_the_speed_three_times(town: Town) -> None:
    accounts = served(town, Limits(up_speed=SPEED), 3)
    for account in accounts:
        come(account)
    assert [rate(account) for account in accounts] == [SPEED, SPEED // 6, SPEED // 6]


def test_a_change_of_a_speed_goes_by_the_share(town: Town) -> None:
    here, there = served(town, Limits(up_speed=SPEED))
    carriers = [come(here), come(there)]
    for now in (1, 2, 3):
        for account, carrier in zip((here, there), carriers, strict=True):
            carrier.move(rate(account), 0)
            account.sweep(now, now)
    here.limit(Limits(up_speed=2 * SPEED), 4, 4)
    assert rate(here) <= SPEED, "the other one goes by the old speed, and wants all of that"
    here.limit(Limits(), 5, 5)
    assert here.up_bucket is None


# -- the account itself ------------------------------------------------------------------------


def test_an_account_that_is_closed_tells_what_still_passed_and_nothing_of_now(town: Town) -> None:
    process = town.start(0, {"ann": Limits(connections=2)}, stores=False)
    old = account_of(process)
    assert old.admit(HERE, at(0), at(0)) is None
    carrier = begin(old)
    process.sweep()
    carrier.move(5, 5)
    process.accounts.close("ann")
    new = process.accounts.open("ann", Limits(connections=2), 0, 0)
    assert [new.admit(HERE, at(0), at(0)) for _ in range(2)] == [None, None]
    old.leave()
    process.sweep()
    row = town.start(1, stores=False).seat.meet("ann")
    assert row is not None
    assert row.connections() == 2
    assert row.payload() == carrier.counts.payload == 10


def test_a_full_board_leaves_each_process_alone() -> None:
    town = Town(2, rows=1)
    limits = {"bob": Limits(connections=1), "ann": Limits(connections=1)}
    here, there = (account_of(town.start(slot, limits, stores=False)) for slot in range(2))
    assert here._elsewhere is there._elsewhere is None
    assert here.admit(HERE, at(0), at(0)) is there.admit(HERE, at(0), at(0)) is None
    assert here.admit(HERE, at(0), at(0)) == "connections"
    town.close()


def test_without_other_processes_there_is_nothing_of_this() -> None:
    account = Accounts().open("ann", Limits(quota=Quota(5)), 0, 0)
    begin(account).move(1, 1)
    account.sweep(1, 1)
    assert account._elsewhere is None
    assert Account("bob").left == UNLIMITED
    assert account.counts == Counts(1, 1, 51, 51)

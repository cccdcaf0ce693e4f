"""What passed for each user, as lines that Prometheus reads; and how many users there are, and how the store is.

The name of a user is the one label here that somebody else chose: text, escaped. Addresses and targets are in none.
Lines are made here, without the library, which takes 30 us for each: with a thousand users the loop would stand still
for a quarter of a second. And they are made in slices, between which the loop goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ...proxy.users.account import Account
from ..shared import wall

if TYPE_CHECKING:
    from ..users.accounting import Accounting

SLICE: Final = 200
"""Users whose lines of one family are made in one turn of the loop: half a millisecond."""

_Samples = Sequence[tuple[str, int]]
"""More labels, and a value."""


class _Family(NamedTuple):
    name: str
    kind: str
    text: str
    samples: Callable[[Account, int], _Samples]


def _payload(account: Account, _at: int) -> _Samples:
    return (',dir="up"', account.counts.up), (',dir="down"', account.counts.down)


def _wire(account: Account, _at: int) -> _Samples:
    return (',dir="up"', account.counts.wire_up), (',dir="down"', account.counts.wire_down)


def _connections(account: Account, _at: int) -> _Samples:
    return (("", account.connections),)


def _associations(account: Account, _at: int) -> _Samples:
    return (("", account.live_sessions),)


def _sources(account: Account, _at: int) -> _Samples:
    return (("", account.live_sources),)


def _refusals(account: Account, _at: int) -> _Samples:
    return [(f',reason="{word}"', count) for word, count in (account.refusals or {}).items()]


def _quota(account: Account, _at: int) -> _Samples:
    quota = account.limits.quota
    return () if quota is None else (("", quota.size),)


def _used(account: Account, at: int) -> _Samples:
    return () if account.limits.quota is None else (("", account.used(at)),)


def _remaining(account: Account, at: int) -> _Samples:
    quota = account.limits.quota
    return () if quota is None else (("", max(0, quota.size - account.used(at))),)


_FAMILIES: Final = (
    _Family("ss_user_bytes_total", "counter", "Payload bytes of a user: up is away from him.", _payload),
    _Family("ss_user_wire_bytes_total", "counter", "Bytes on the wire between a user and us.", _wire),
    _Family("ss_user_connections", "gauge", "TCP connections of a user that are open.", _connections),
    _Family("ss_user_udp_associations", "gauge", "UDP sessions of a user that are open.", _associations),
    _Family("ss_user_sources", "gauge", "Addresses from which something of a user is open.", _sources),
    _Family("ss_user_refused_total", "counter", "Connections and datagrams of a user that were refused.", _refusals),
    _Family("ss_quota_bytes", "gauge", "Payload bytes that the quota of a user allows in its window.", _quota),
    _Family("ss_quota_used_bytes", "gauge", "Payload bytes that count against it now.", _used),
    _Family("ss_quota_remaining_bytes", "gauge", "Payload bytes that it leaves.", _remaining),
)
_ABSENT: Final = Account("")
"""Of whoever was not here since the start. That it is nothing is said, so that his first bytes are a difference."""
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def families(accounting: Accounting) -> Iterator[Metric]:
    """Yield what is told of all users together, and of their store."""
    refused = accounting.refused()
    users = GaugeMetricFamily("ss_users", "Users, by whether they are served, or why not.", labels=("state",))
    users.add_metric(("served",), len(accounting.users) - refused.total())
    for word, count in refused.items():
        users.add_metric((word,), count)
    yield users
    kept = accounting.kept
    if kept is not None:
        text = "Payload bytes that were counted and are not written to the store yet."
        yield GaugeMetricFamily("ss_store_unwritten_bytes", text, kept.unwritten.payload)
        yield GaugeMetricFamily("ss_store_trouble", "Whether the store cannot be written now.", int(bool(kept.trouble)))
        text = "How often the store's file was another one all at once: damaged, renamed, deleted or replaced."
        yield CounterMetricFamily("ss_store_replaced", text, kept.remarks)


def slices(accounting: Accounting, most: int) -> Iterator[bytes]:
    """Yield the lines of each user, a slice at a time; nothing where there are more users than `most`."""
    if len(accounting.users) > most:
        return
    names, at = list(accounting.users), wall()
    accounts: list[tuple[str, Account]] = []
    for first in range(0, len(names), SLICE):
        part = names[first : first + SLICE]
        accounts += [(_label(name), accounting.accounts.find(name) or _ABSENT) for name in part]
        yield b""
    for family in _FAMILIES:
        name, samples = family.name, family.samples
        yield f"# HELP {name} {family.text}\n# TYPE {name} {family.kind}\n".encode()
        for first in range(0, len(accounts), SLICE):
            lines = (
                f"{name}{{{label}{more}}} {value}\n"
                for label, account in accounts[first : first + SLICE]
                for more, value in samples(account, at)
            )
            yield "".join(lines).encode()


def _label(name: str) -> str:
    """Return a user's label; JSON has names that are no Unicode."""
    return f'user="{name.translate(_ESCAPES)}"'.encode(errors="backslashreplace").decode()

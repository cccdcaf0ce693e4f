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

_Samples = Sequence[tuple[str, float]]
"""More labels, and a value."""


class _Told(NamedTuple):
    """One user, and when: what a family is told of."""

    label: str
    account: Account
    lived: float
    at: int


class _Family(NamedTuple):
    name: str
    kind: str
    text: str
    samples: Callable[[_Told], _Samples]


def _payload(told: _Told) -> _Samples:
    return (',dir="up"', told.account.counts.up), (',dir="down"', told.account.counts.down)


def _wire(told: _Told) -> _Samples:
    return (',dir="up"', told.account.counts.wire_up), (',dir="down"', told.account.counts.wire_down)


def _connections(told: _Told) -> _Samples:
    return (("", told.account.connections),)


def _associations(told: _Told) -> _Samples:
    return (("", told.account.live_sessions),)


def _sources(told: _Told) -> _Samples:
    return (("", told.account.live_sources),)


def _refusals(told: _Told) -> _Samples:
    return [(f',reason="{word}"', count) for word, count in (told.account.refusals or {}).items()]


def _lived(told: _Told) -> _Samples:
    return (("", round(told.lived, 3)),)


def _quota(told: _Told) -> _Samples:
    quota = told.account.limits.quota
    return () if quota is None else (("", quota.size),)


def _used(told: _Told) -> _Samples:
    return () if told.account.limits.quota is None else (("", told.account.used(told.at)),)


def _remaining(told: _Told) -> _Samples:
    quota = told.account.limits.quota
    return () if quota is None else (("", max(0, quota.size - told.account.used(told.at))),)


_FAMILIES: Final = (
    _Family("ss_user_bytes_total", "counter", "Payload bytes of a user: up is away from him.", _payload),
    _Family("ss_user_wire_bytes_total", "counter", "Bytes on the wire between a user and us.", _wire),
    _Family("ss_user_connections", "gauge", "TCP connections of a user that are open.", _connections),
    _Family("ss_user_udp_associations", "gauge", "UDP sessions of a user that are open.", _associations),
    _Family("ss_user_sources", "gauge", "Addresses from which something of a user is open.", _sources),
    _Family("ss_user_refused_total", "counter", "Connections and datagrams of a user that were refused.", _refusals),
    _Family("ss_tunnel_time_seconds_total", "counter", "Seconds that connections and sessions have lived.", _lived),
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
    accounts: list[_Told] = []
    for first in range(0, len(names), SLICE):
        part = names[first : first + SLICE]
        accounts += [
            _Told(_label(name), accounting.accounts.find(name) or _ABSENT, accounting.lived(name), at) for name in part
        ]
        yield b""
    for family in _FAMILIES:
        name, samples = family.name, family.samples
        yield f"# HELP {name} {family.text}\n# TYPE {name} {family.kind}\n".encode()
        for first in range(0, len(accounts), SLICE):
            lines = (
                f"{name}{{{told.label}{more}}} {value}\n"
                for told in accounts[first : first + SLICE]
                for more, value in samples(told)
            )
            yield "".join(lines).encode()


def _label(name: str) -> str:
    """Return a user's label; JSON has names that are no Unicode."""
    return f'user="{name.translate(_ESCAPES)}"'.encode(errors="backslashreplace").decode()

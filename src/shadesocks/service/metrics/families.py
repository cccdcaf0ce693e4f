"""The counters of a service as families of Prometheus metrics, read when they are asked for.

Labels are words of ours and numbers of our own ports: no address, target, name or key is in any of them. What has
the names of users is in `users.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from math import inf
from typing import TYPE_CHECKING, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from ...core.reasons import REASONS
from ..pulses import resident
from ..sessions import stages_of

if TYPE_CHECKING:
    from ..histogram import Histogram
    from ..service import Service


def families(service: Service, lags: Histogram) -> Iterator[Metric]:
    """Yield every family."""
    journal, packets = service.journal, service.packets
    live, up, down = journal.totals()
    yield _gauge("ss_build_info", "What runs; always 1.", ("version", "role"), [((_version(), service.role), 1)])
    yield GaugeMetricFamily("ss_start_time_seconds", "Unix time of the start.", journal.began_at)
    yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory size in bytes.", resident())
    yield _counter(
        "ss_bytes",
        "Payload bytes that were relayed: up is away from whoever asked.",
        ("proto", "dir"),
        [
            (("tcp", "up"), up),
            (("tcp", "down"), down),
            (("udp", "up"), packets.up_bytes),
            (("udp", "down"), packets.down_bytes),
        ],
    )
    if service.role == "server":
        passed = [((str(port),), size) for port, size in service.passed().items()]
        yield _counter("ss_port_bytes", "Payload bytes, both ways, TCP and UDP, by our port.", ("port",), passed)
    packed = [(("up",), packets.up_packets), (("down",), packets.down_packets)]
    yield _counter("ss_packets", "Datagrams that were relayed.", ("dir",), packed)
    dropped = [((word,), count) for word, count in packets.dropped.items()]
    yield _counter("ss_packets_dropped", "Datagrams that were not sent on.", ("reason",), dropped)
    stages = [((stage,), count) for stage, count in stages_of(service.ports.every).items()]
    yield _gauge("ss_open_connections", "TCP connections that are open, by how far they are.", ("stage",), stages)
    yield GaugeMetricFamily("ss_udp_associations", "UDP sessions that are open.", packets.sessions)
    opened = journal.accepted + live + packets.sessions
    yield CounterMetricFamily("ss_connections_opened", "Connections and UDP sessions that began.", opened)
    ended = [((word,), count) for word, count in journal.reasons.items()]
    yield _counter("ss_connections_closed", "Connections and UDP sessions that ended, by why.", ("status",), ended)
    failed = _silent(journal.reasons)
    yield _counted("ss_handshake_failures", "Strangers: handshakes that came to nothing.", "reason", failed)
    yield CounterMetricFamily("ss_replays", "Handshakes whose salt was seen before.", journal.reasons["replay"])
    text = "Bytes that those sent whose handshake came to nothing, by why."
    yield _histograms("ss_probe_bytes", text, "reason", _silent(journal.probes.words))
    text = "How long it took to find whose key somebody has, where several users share a port."
    yield _histograms("ss_key_search_seconds", text, "found", journal.searches.words)
    text = "How long it took to connect to targets, or to servers: done, or why not."
    yield _histograms("ss_dial_seconds", text, "result", journal.dials.words)
    yield from _names(service)
    if service.role == "local":
        text = "Questions through servers, to learn how they are."
        yield _counted("ss_server_checks", text, "result", service.probes)
    yield _histogram("ss_connection_duration_seconds", "How long TCP connections lived.", journal.durations)
    yield _histogram("ss_event_loop_lag_seconds", "How late the loop was, once a second.", lags)
    if service.reloaded is not None:
        done = int(service.reloaded.applied and not service.reloaded.problems)
        yield GaugeMetricFamily("ss_last_reload_successful", "Whether the last reload did all it was to do.", done)
    if service.accounting is not None:
        from . import users

        yield from users.families(service.accounting)


def _names(service: Service) -> Iterator[Metric]:
    names = service.names
    text = "Names that were looked up, by what came of it."
    yield _counted("ss_dns_lookups", text, "result", names.results)
    yield CounterMetricFamily("ss_dns_cache_hits", "Names that were known already.", names.hits)
    answered = names.results.total() - names.results["left"]
    yield SummaryMetricFamily("ss_dns_seconds", "How long look-ups took.", answered, names.seconds)


_Value = TypeVar("_Value")
_Samples = Iterable[tuple[tuple[str, ...], float]]


def _counter(name: str, text: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counted(name: str, text: str, label: str, counts: Mapping[str, float]) -> Metric:
    return _counter(name, text, (label,), [((word,), count) for word, count in counts.items()])


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, text, buckets=_buckets(histogram), sum_value=histogram.sum)


def _histograms(name: str, text: str, label: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=(label,))
    for word, histogram in histograms.items():
        family.add_metric((word,), _buckets(histogram), histogram.sum)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    return [("+Inf" if bound == inf else repr(bound), float(count)) for bound, count in histogram.buckets()]


def _silent(words: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return what is counted by words for strangers."""
    return {word: value for word, value in words.items() if word in REASONS and REASONS[word].silent}


def _version() -> str:
    try:
        return version("shadesocks")
    except PackageNotFoundError:
        return ""

"""What Prometheus is told: its own parser reads it, the numbers are the traffic's, and no label names anybody."""

from __future__ import annotations

import re
from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from shadesocks.config.model import Config, Mode
from shadesocks.core.secret import Secret
from shadesocks.service.histogram import LAGS, Histogram
from shadesocks.service.metrics.families import families
from shadesocks.service.service import Service

from ..rig import HOST, echo, pair, run, server_config, target
from ..test_ports import connected, talk
from ..test_service_udp import ask, relay_of, trip
from ..test_service_udp import echo as udp_echo
from ..test_sessions import both, kick


class Collector:
    """What a registry asks."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def collect(self) -> list[Metric]:
        return [*families(self.service, Histogram(LAGS))]


def page(service: Service) -> str:
    registry = CollectorRegistry()
    registry.register(Collector(service))
    return generate_latest(registry).decode()


def samples(service: Service) -> dict[tuple[str, ...], float]:
    found = {}
    for family in text_string_to_metric_families(page(service)):
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def test_the_numbers_are_those_of_the_traffic() -> None:
    async def story() -> None:
        async with both() as (far, near), target(echo) as there, udp_echo() as udp:
            stream = await connected(near, there)
            await talk(stream, 1000)
            control, reply = await ask(near)
            assert await trip(relay_of(reply), udp, b"x" * 9) == b"x" * 9
            for service in (far, near):
                found = samples(service)
                assert found["ss_bytes_total", "up", "tcp"] == found["ss_bytes_total", "down", "tcp"] == 1000
                assert found["ss_bytes_total", "up", "udp"] == found["ss_bytes_total", "down", "udp"] == 9
                assert found["ss_packets_total", "up"] == 1
                assert found["ss_open_connections", "relaying"] == 1
                assert found[("ss_udp_associations",)] == 1
                assert found[("ss_connections_opened_total",)] == 2
                assert found["ss_dials_total", "done"] == 1
                assert found[("ss_dns_cache_hits_total",)] == found[("ss_dns_seconds_count",)] == 0
                assert found[("ss_replays_total",)] == 0
                assert found[("process_resident_memory_bytes",)] > 1 << 20
            port = far.addresses[0].port
            assert samples(far)["ss_port_bytes_total", str(port)] == 2018
            assert not any(name[0] == "ss_port_bytes_total" for name in samples(near))
            assert kick(far, port=port) == 2
            found = samples(far)
            assert found["ss_connections_closed_total", "kicked"] == 2
            assert found[("ss_connection_duration_seconds_count",)] == 1
            assert found["ss_connection_duration_seconds_bucket", "+Inf"] == 1
            assert found["ss_bytes_total", "up", "tcp"] == 1000, "what is over is not forgotten"
            control.close()
            stream[1].close()

    run(story())


def test_failures_are_told_by_their_words() -> None:
    async def story() -> None:
        async with pair(Config(), server_config()) as (far, near), target(echo) as there:
            far.journal.failed(("192.0.2.7", 1), None, "handshake", "auth")
            far.journal.failed(("192.0.2.7", 1), there, "dial", "refused")
            found = samples(far)
            assert found["ss_handshake_failures_total", "auth"] == 1
            assert ("ss_handshake_failures_total", "refused") not in found
            assert found["ss_connections_closed_total", "refused"] == 1
            assert found["ss_dials_total", "refused"] == 1
            assert ("ss_dials_total", "auth") not in found
            assert ("ss_last_reload_successful",) not in found
            await far.reload(replace(far.config, idle_timeout=9.0))
            assert samples(far)[("ss_last_reload_successful",)] == 1
            assert samples(near)["ss_build_info", *_build(near)] == 1

    run(story())


def _build(service: Service) -> tuple[str, str]:
    [sample] = next(one for one in families(service, Histogram(LAGS)) if one.name == "ss_build_info").samples
    return sample.labels["role"], sample.labels["version"]


def test_no_label_holds_an_address_a_name_a_target_or_a_key() -> None:
    async def story() -> None:
        server = replace(server_config(), remarks="canary-name", password=Secret("canary-key"), mode=Mode.TCP_AND_UDP)
        async with pair(Config(log_targets=True, control_targets=True), server) as (far, near), target(echo) as there:
            stream = await connected(near, there)
            await talk(stream, 10)
            for service in (far, near):
                text = page(service)
                assert "canary" not in text
                assert HOST not in text
                assert str(there.port) not in re.findall(r'="(\d+)"', text)
            stream[1].close()

    run(story())

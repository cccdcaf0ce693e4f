"""What Prometheus is told: its own parser reads it, the numbers are the traffic's, and no label names anybody."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from shadesocks.config.model import Config, Mode
from shadesocks.core.secret import Secret
from shadesocks.service import metrics
from shadesocks.service.histogram import LAGS, Histogram
from shadesocks.service.metrics.families import families
from shadesocks.service.service import Service
from tests.peers import ROOT

from ..rig import HOST, echo, pair, run, server_config, started, target, until
from ..test_ports import connected, talk
from ..test_service_udp import ask, relay_of, trip
from ..test_service_udp import echo as udp_echo
from ..test_sessions import both, kick, stages
from ..users.test_tables import client, service
from ..users.test_tried import password
from ..users.test_tried import shared as tried


class Collector:
    """What a registry asks."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def collect(self) -> list[Metric]:
        return [*families(self.service, Histogram(LAGS))]


def page(each: Service) -> str:
    registry = CollectorRegistry()
    registry.register(Collector(each))
    return generate_latest(registry).decode()


def samples(each: Service) -> dict[tuple[str, ...], float]:
    found = {}
    for family in text_string_to_metric_families(page(each)):
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
                assert found["ss_dial_seconds_count", "done"] == 1
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
            far.journal.dialled("refused", 0.03)
            found = samples(far)
            assert found["ss_handshake_failures_total", "auth"] == 1
            assert ("ss_handshake_failures_total", "refused") not in found
            assert found["ss_connections_closed_total", "refused"] == 1
            assert found["ss_dial_seconds_count", "refused"] == 1
            assert found["ss_dial_seconds_sum", "refused"] == 0.03
            assert found["ss_dial_seconds_bucket", "0.02", "refused"] == 0
            assert found["ss_dial_seconds_bucket", "0.05", "refused"] == 1
            assert ("ss_dial_seconds_count", "auth") not in found
            assert ("ss_last_reload_successful",) not in found
            await far.reload(replace(far.config, idle_timeout=9.0))
            assert samples(far)[("ss_last_reload_successful",)] == 1
            assert samples(near)["ss_build_info", *_build(near)] == 1

    run(story())


@pytest.mark.parametrize("policy", ["silent", "fin"])
def test_what_strangers_sent_is_told_with_what_came_behind_their_failure(policy: str) -> None:
    async def story() -> None:
        server = server_config()
        async with started(Service.server(Config(servers=(server,), bad_handshake=policy))) as far:
            at = far.addresses[0]
            for pieces in ([bytes(50), bytes(100)], [bytes(50)], [bytes(49)], [bytes(9), bytes(8)], []):
                _, writer = await asyncio.open_connection(at.host, at.port)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.close()
            await until(lambda: far.journal.accepted == 5)
            found = samples(far)
            assert found["ss_probe_bytes_count", "auth"] == found["ss_handshake_failures_total", "auth"] == 2
            assert found["ss_probe_bytes_sum", "auth"] == 200
            assert found["ss_probe_bytes_bucket", "50.0", "auth"] == 1
            assert found["ss_probe_bytes_bucket", "220.0", "auth"] == 2
            assert found["ss_probe_bytes_sum", "left_early"] == 49 + 17
            assert found["ss_probe_bytes_bucket", "17.0", "left_early"] == 1
            assert found["ss_probe_bytes_bucket", "0.0", "unused"] == 1

    run(story())


def test_what_a_stop_ends_is_no_probe() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as far:
            at = far.addresses[0]
            _, writer = await asyncio.open_connection(at.host, at.port)
            writer.write(bytes(20))
            await until(lambda: stages(far) == {"handshake": 1})
            await far.stop()
            assert far.journal.reasons == {"stopped": 1}
            assert not any(name.startswith("ss_probe_bytes_") for name, *_ in samples(far))
            writer.close()

    run(story())


def test_searches_for_keys_are_told_by_whether_they_were_found() -> None:
    async def story() -> None:
        names = [f"number{number}" for number in range(60)]
        async with service(replace(tried(*names), handshake_timeout=0.3)) as far, target(echo) as there:
            for name in ("number59", "nobody"):
                async with client(password(name), at=far.addresses[0], method="aes-256-gcm") as near:
                    stream = await connected(near, there)
                    if name != "nobody":
                        await talk(stream, 10)
                    else:
                        stream[1].write(b"hello")
                        assert await stream[0].read() == b""
                    stream[1].close()
            await until(lambda: sum(far.journal.reasons.values()) == 2)
            found = samples(far)
            assert found["ss_key_search_seconds_count", "true"] == 1
            assert found["ss_key_search_seconds_count", "false"] == 1
            assert 0 < found["ss_key_search_seconds_sum", "true"] < 0.3
            assert found["ss_probe_bytes_count", "auth"] == 1

    run(story())


def test_questions_through_servers_are_told_of_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "probes", Counter(works=2))

    async def story() -> None:
        async with both() as (far, near):
            assert samples(near)["ss_server_checks_total", "works"] == 2
            assert not any(name == "ss_server_checks_total" for name, *_ in samples(far))

    run(story())


def test_all_that_is_told_is_documented() -> None:
    folder = Path(metrics.__file__).parent
    told = set(re.findall(r'"((?:ss|process)_[a-z_]+)"', "".join(each.read_text() for each in folder.glob("*.py"))))
    documented = re.findall(r"`((?:ss|process)_[a-z_]+)`", (ROOT / "docs/operations.md").read_text())
    assert {name.removesuffix("_total") for name in documented} == {name.removesuffix("_total") for name in told}


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

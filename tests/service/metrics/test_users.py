"""What is told of users: their own numbers under their names, whatever these are, unless they are too many."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from shadesocks.config.model import Mode
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.secret import Secret
from shadesocks.service.metrics import users
from shadesocks.service.metrics.page import MetricsPage
from shadesocks.service.service import Service
from shadesocks.service.store.store import StoreError
from tests.peers import free_port

from .. import rig, test_service_udp
from ..rig import run, server_config, started, until
from ..users.test_accounting import connected, limited, users_of, with_store
from ..users.test_tables import datagrams, service, streams
from .test_page import asked

Found = dict[tuple[str, ...], float]


def numbers(text: str) -> Found:
    """Return the value of each sample, by its name and the values of its labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, *dict(sorted(sample.labels.items())).values()] = sample.value
    return found


def own(far: Service, most: int = 1000) -> Found:
    """Return what is told of each."""
    users_of(far).sweep()
    return numbers(b"".join(users.slices(users_of(far), most)).decode())


class Together:
    """What is told of all of them, for a registry."""

    def __init__(self, far: Service) -> None:
        self._far = far

    def collect(self) -> list[Metric]:
        return [*users.families(users_of(self._far))]


def together(far: Service) -> Found:
    registry = CollectorRegistry()
    registry.register(Together(far))
    return numbers(generate_latest(registry).decode())


def test_what_passed_is_told_by_name_and_what_is_left() -> None:
    async def story() -> None:
        server = limited(limits=Limits(quota=Quota(20_000)))
        async with service(server) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            async with connected(far, "a") as near:
                assert len(await streams(near, target, bytes(5000))) == 5000
                assert len(await datagrams(near, other, bytes(700))) == 700
                await until(lambda: not far.totals[0])
                found = own(far)
            assert found["ss_user_bytes_total", "up", "a"] == found["ss_user_bytes_total", "down", "a"] == 5700
            assert found["ss_user_wire_bytes_total", "up", "a"] > 5700
            assert found["ss_user_udp_associations", "a"] == 1
            assert found["ss_user_sources", "a"] == 1
            assert found["ss_user_connections", "a"] == 0
            assert found["ss_quota_bytes", "a"] == 20_000
            assert found["ss_quota_used_bytes", "a"] == 11_400
            assert found["ss_quota_remaining_bytes", "a"] == 8_600
            assert found["ss_user_bytes_total", "up", "b"] == 0
            assert ("ss_quota_bytes", "b") not in found
            assert not any(name == "ss_user_refused_total" for name, *_ in found)

    run(story())


def test_how_long_something_of_a_user_lived_is_told_while_it_lives() -> None:
    async def story() -> None:
        time = asyncio.get_running_loop().time
        name = "ss_tunnel_time_seconds_total", "a"
        async with service(limited()) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            async with connected(far, "a") as near:
                assert own(far)[name] == 0
                begins_at = time()
                open_ = [await rig.socks(near, target) for _ in range(2)]
                for reader, writer, _ in open_:
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                began_at = time()
                await asyncio.sleep(0.05)
                least = 2 * (time() - began_at)
                lived = own(far)[name]
                assert least - 0.001 <= lived <= 2 * (time() - begins_at) + 0.001
                for _, writer, _ in open_:
                    writer.close()
                await until(lambda: not far.totals[0])
                over = own(far)[name]
                assert lived <= over <= 2 * (time() - begins_at) + 0.001
                await asyncio.sleep(0.02)
                assert own(far)[name] == over, "what is over has lived"
                assert len(await datagrams(near, other, b"x")) == 1
                await asyncio.sleep(0.02)
                assert own(far)[name] > over + 0.019, "a session lives as well"
            assert own(far)["ss_tunnel_time_seconds_total", "b"] == 0

    run(story())


def test_who_is_refused_is_counted_by_the_word() -> None:
    async def story() -> None:
        server = replace(limited(limits=Limits(enabled=False)), handshake_timeout=0.3)
        async with service(server) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            async with connected(far, "a") as near:
                assert await streams(near, target, b"hello") == b""
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await datagrams(near, other, b"hello")
            assert own(far)["ss_user_refused_total", "disabled", "a"] == 2
            assert together(far) == {("ss_users", "served"): 1, ("ss_users", "disabled"): 1}

    run(story())


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "two\nlines", "ß漢", "half \ud800", "a,b={}", " "])
def test_any_name_is_a_label(name: str) -> None:
    async def story() -> None:
        anna = UserConfig(name, (Credential(Secret("x")),), note="canary")
        server = replace(server_config("aes-256-gcm"), mode=Mode.TCP_ONLY, users=(replace(anna, credentials=()),))
        async with service(server) as far:
            assert b"canary" not in b"".join(users.slices(users_of(far), 1)), "who that is stays in the note"
            found = own(far)
            label = name.encode(errors="backslashreplace").decode()
            assert found["ss_user_connections", label] == 0
            assert found["ss_user_bytes_total", "up", label] == 0

    run(story())


def test_of_too_many_there_are_only_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "SLICE", 3)

    async def story() -> None:
        async with service(limited("abcdefgh")) as far:
            found = own(far, 8)
            assert sum(name == "ss_user_connections" for name, *_ in found) == 8
            assert not own(far, 7)
            assert together(far) == {("ss_users", "served"): 8}

    run(story())


def test_the_page_has_them_and_the_config_says_up_to_how_many() -> None:
    async def story(most: int) -> None:
        async with service(limited(), metrics_users=most) as far:
            page = MetricsPage(Address(rig.HOST, free_port()), far)
            await page.open()
            head, body = await asked(page, b"GET /metrics HTTP/1.1\r\n\r\n")
            await page.close()
            assert f"Content-Length: {len(body)}" in head
            found = numbers(body.decode())
            assert found["ss_users", "served"] == 2
            assert (("ss_user_bytes_total", "up", "a") in found) is (most >= 2)

    for most in (0, 1, 2):
        run(story(most))


def test_where_nobody_has_a_name_nothing_is_told() -> None:
    async def story() -> None:
        async with service(server_config()) as far:
            page = MetricsPage(Address(rig.HOST, free_port()), far)
            await page.open()
            _, body = await asked(page, b"GET /metrics HTTP/1.1\r\n\r\n")
            await page.close()
            assert not [name for name, *_ in numbers(body.decode()) if "user" in name or "store" in name]

    run(story())


def test_a_store_in_trouble_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        far = Service.server(with_store(tmp_path / "users.db", limited()))
        async with started(far), rig.target(rig.echo) as target:
            assert together(far)[("ss_store_trouble",)] == 0
            assert together(far)[("ss_store_replaced_total",)] == 0
            kept = users_of(far).kept
            assert kept is not None
            store = kept._books.clerk._store

            def full(_batch: object) -> bool:
                raise StoreError("the disk is full")

            with monkeypatch.context() as patch:
                patch.setattr(store, "write", full)
                async with connected(far, "a") as near:
                    assert len(await streams(near, target, bytes(500))) == 500
                    await until(lambda: not far.totals[0])
                users_of(far).sweep()
                await until(lambda: bool(kept.trouble))
                found = together(far)
                assert found[("ss_store_trouble",)] == 1
                assert found[("ss_store_unwritten_bytes",)] == 1000
            users_of(far).sweep()
            await until(lambda: not kept.trouble)
            assert together(far)[("ss_store_unwritten_bytes",)] == 0

    run(story())

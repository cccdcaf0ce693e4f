"""What Prometheus is told of a server in its own process, or of two workers: their pages' sums are the traffic's."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.interop.streams import HOST, pack_address
from tests.peers import PEERS, start
from tests.probes.craft import Crafter

from .crowd import eventually
from .herd import METHOD, lasting_port
from .test_full_disk import free_pages

CONNECTIONS = 30
"""Of each kind: with two workers, one of them would be alone with all of these once in 2**29 times."""
USERS = {name: f"a long password of {name}" for name in ("ann", "bob")}


def told(page: int, workers: int) -> Counter[tuple[str, ...]]:
    """Return the sums over all pages, by name and label values."""
    found = Counter[tuple[str, ...]]()
    for number in range(workers):
        with urllib.request.urlopen(f"http://{HOST}:{page + number}/metrics", timeout=10) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    found[sample.name, *dict(sorted(sample.labels.items())).values()] += sample.value  # type: ignore[assignment]
    return found


def trip(port: int, data: bytes, *, answer: int) -> None:
    """Connect, send, read so many bytes of an answer, and end."""
    with socket.create_connection((HOST, port), timeout=10) as sock:
        sock.sendall(data)
        while answer > 0:
            piece = sock.recv(answer)
            assert piece
            answer -= len(piece)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_sums_of_all_pages_are_those_of_the_traffic(workers: int, tmp_path: Path) -> None:
    if workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system serves no port by several processes")
    port, page, closed = lasting_port(), free_pages(), lasting_port()
    users = [{"name": name, "password": password} for name, password in USERS.items()]
    server = {"server": HOST, "server_port": port, "method": METHOD, "users": users}
    config = tmp_path / "c.json"
    more = {"workers": workers, "metrics": f"{HOST}:{page}", "allow_private": True, "handshake_timeout": 5}
    config.write_text(json.dumps({"servers": [server], **more}))
    ann, stranger = Crafter(METHOD, USERS["ann"]), Crafter(METHOD, "not a password of anybody")
    with (
        start((*PEERS["ours"].server, "-c", str(config)), port, tmp_path) as program,
        socket.create_server((HOST, 0), backlog=2 * CONNECTIONS) as target,
    ):
        eventually(lambda: program.log().count("metrics: http://") == workers, "its pages are there")
        before = told(page, workers)
        there, nowhere = (pack_address(HOST, at) for at in (target.getsockname()[1], closed))
        held = []
        for _ in range(CONNECTIONS):
            sock = socket.create_connection((HOST, port), timeout=10)
            sock.sendall(ann.good(there, b"hello"))
            held.append((sock, target.accept()[0]))
            trip(port, ann.good(nowhere, b"hello"), answer=0)
            trip(port, stranger.good(there, b"x" * 200)[:250], answer=0)
            trip(port, b"x" * 7, answer=0)
        ended = ("ss_connections_closed_total", "refused"), ("ss_probe_bytes_count", "left_early")
        eventually(lambda: all(told(page, workers)[name] == CONNECTIONS for name in ended), "all that ended is counted")
        eventually(lambda: told(page, workers)["ss_user_bytes_total", "up", "ann"] == 5 * CONNECTIONS, "it is swept")
        found = told(page, workers)
        assert found["ss_dial_seconds_count", "done"] == CONNECTIONS
        assert found["ss_dial_seconds_count", "refused"] == CONNECTIONS
        assert 0 < found["ss_dial_seconds_sum", "done"] < 5
        assert found["ss_probe_bytes_sum", "left_early"] == 7 * CONNECTIONS
        assert found["ss_probe_bytes_bucket", "9.0", "left_early"] == CONNECTIONS
        assert found["ss_probe_bytes_sum", "auth"] == 250 * CONNECTIONS
        assert found["ss_key_search_seconds_count", "true"] == 2 * CONNECTIONS
        assert found["ss_key_search_seconds_count", "false"] == CONNECTIONS
        assert found["ss_user_connections", "ann"] == CONNECTIONS
        lived = found["ss_tunnel_time_seconds_total", "ann"]
        assert lived > found["ss_dial_seconds_sum", "done"]
        eventually(
            lambda: told(page, workers)["ss_tunnel_time_seconds_total", "ann"] > lived + CONNECTIONS, "it goes on"
        )
        assert before["ss_tunnel_time_seconds_total", "bob"] == 0 == found["ss_tunnel_time_seconds_total", "bob"]
        if workers > 1:
            alone = told(page, 1)["ss_dial_seconds_count", "done"]
            assert 0 < alone < CONNECTIONS, "each tells of its own"
        for pair in held:
            for sock in pair:
                sock.close()
        assert "Traceback" not in program.log()

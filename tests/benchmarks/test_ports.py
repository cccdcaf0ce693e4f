"""Which ports are free, which listen, and what is written for two thousand of them."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from benchmarks.ports import Form, forms, free_range, listening_ports, shared_out
from benchmarks.process import memory_of
from benchmarks.systems import OURS, REFERENCE, SYSTEMS, Found

PASSWORDS = {7000: "first", 7001: "second"}
ALL = forms([Found(system, Path("program"), "1") for system in SYSTEMS])


def test_a_port_listens_from_listen_to_close() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert port in listening_ports()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        assert port not in listening_ports()


def test_a_free_range_can_be_bound_wholly() -> None:
    first = free_range(5)
    bound = [socket.create_server(("127.0.0.1", port)) for port in range(first, first + 5)]
    for listener in bound:
        listener.close()
    assert len(bound) == 5


def test_each_process_counts_the_shared_by_its_share() -> None:
    pid = os.getpid()
    assert 0 < shared_out(pid) <= memory_of(pid)[0] * 1.1


@pytest.mark.parametrize("form", ALL, ids=lambda form: f"{form.system}-{form.method}")
def test_each_form_names_every_port_and_password(form: Form, tmp_path: Path) -> None:
    launch = form.launch(tmp_path, PASSWORDS, form.method)
    (file,) = (Path(word) for word in launch.argv if word.endswith(".json"))
    written = json.loads(file.read_text())
    servers = {server["server_port"]: server["password"] for server in written.get("servers", ())}
    keys = {int(port): password for port, password in written.get("port_password", {}).items()}
    assert servers | keys == PASSWORDS


def test_ours_is_asked_in_the_old_form_and_in_its_own() -> None:
    asked = [(form.system, form.method) for form in ALL]
    assert asked[:2] == [(OURS, "aes-256-cfb"), (OURS, "aes-256-gcm")]
    assert (REFERENCE, "aes-256-gcm") in asked
    assert ("procurator", "aes-256-cfb") not in asked

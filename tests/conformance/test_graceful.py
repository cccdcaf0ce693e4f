"""The Python original's script of a graceful restart: SIGQUIT, a new process on the port, the last connection, the end.

In its order: a connection through the old process; SIGQUIT to it; the new process on the same ports; the old one lives;
the connection ends; the old one is gone in 11 s. Each end has its turn, with a file that asks for workers, too: then a
server is several processes, and a client one as before.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from tests.interop.streams import dial, read_exactly
from tests.peers import HOST

from .rows import file_of
from .stage import Ports, Web, first_port, ours, processes_of, retried, see_name, see_page, until

GONE: Final = 11.0
"""Seconds, the script's."""


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("ends", ["server", "local"])
def test_graceful_restart_sh(ends: str, workers: int, tmp_path: Path) -> None:
    def story() -> None:
        from tests.e2e.crowd import echo

        ports = Ports()
        keys = ports.in_file({**file_of("graceful"), "workers": workers})
        far_port, near_port = first_port(keys, ports), keys["local_port"]
        open_ = ("--forbidden-ip", "")
        with (
            echo() as target,
            ours("ssserver", tmp_path, far_port, *open_, keys=keys) as far,
            ours("sslocal", tmp_path, near_port, keys=keys) as near,
            dial((HOST, near_port), HOST, target.port) as stream,
            dial((HOST, near_port), HOST, target.port) as last,
        ):
            for one in (stream, last):
                one.sendall(b"before")
                assert read_exactly(one, 6) == b"before"
            if Path("/proc/self/task").exists():
                until(lambda: len(processes_of(far)) == (1 if workers == 1 else 1 + workers), "as many as asked for")
                assert len(processes_of(near)) == 1
            old = far if ends == "server" else near
            old.signal(signal.SIGQUIT)
            until(lambda: f"closed UDP port {old.port}" in old.log(), "both ports are closed")
            assert "WARNING  received SIGQUIT, doing graceful shutting down.." in old.log()
            assert f"INFO     closed TCP port {old.port}" in old.log()
            name, words = ("ssserver", open_) if ends == "server" else ("sslocal", ())
            (tmp_path / "new").mkdir(exist_ok=True)
            with ours(name, tmp_path / "new", old.port, *words, keys=keys) as new, Web() as web:
                see_page(near if ends == "server" else new, web)
                see_name((HOST, near_port), new if ends == "server" else far)
                for one in (stream, last):
                    one.sendall(b"after")
                    assert read_exactly(one, 5) == b"after"
                    assert old.alive, "it has a connection"
                    one.close()
                assert old.wait(GONE) == 0
                see_page(near if ends == "server" else new, web)

    retried(story)

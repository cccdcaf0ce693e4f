"""A store that cannot be written: the service goes on, says so, and writes all of it once it can.

The disk is full: a small file system of the server's own (a mount namespace), filled to its last byte. Or another
program does not let go of the file. `tests/service/store` has other errors, and a fault at each single write.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.interop.streams import HOST
from tests.peers import Program

from .crowd import eventually
from .herd import lasting_port
from .people import Load, Site, Stand
from .traffic import Targets

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at another process by /proc")

ROOM: Final = "256k"
"""Of the small disk: the store's files take 100 KiB."""
SWEEPS: Final = 2.5
"""Seconds in which each process has tried to write."""


class Disk:
    """Where the store of a site is, which can be made to fail."""

    program: Program

    def __init__(self, site: Site) -> None:
        self.site = site
        self.command = site.command

    def fails(self) -> contextlib.AbstractContextManager[None]:
        """Let nothing more be written in the block."""
        raise NotImplementedError

    def written(self) -> Stand:
        """Return what the store has."""
        return self.site.stored()


class SmallDisk(Disk):
    """A file system in memory, which only the server and this class see."""

    place: Final = "disk"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._folder = site.folder / self.place
        self._folder.mkdir()
        mount = f"mount -t tmpfs -o size={ROOM},mode=700 none {shlex.quote(str(self._folder))}"
        copy = f"cp {shlex.quote(str(site.path))} {shlex.quote(str(self._folder))}"
        script = f"{mount} && {copy} && exec {shlex.join(site.command)}"
        self.command = ("unshare", "--mount", "--map-root-user", "sh", "-c", script)

    @contextlib.contextmanager
    def fails(self) -> Iterator[None]:
        filler = Path(f"/proc/{self.program.pid}/root{self._folder}/filler")
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield
        filler.unlink()


class HeldStore(Disk):
    """The disk as it is, and a program that does not let go of the file."""

    @contextlib.contextmanager
    def fails(self) -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(self.site.path, isolation_level=None, timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def written(self) -> Stand:
        """From the file: the server's own look waits behind its try to write."""
        with contextlib.closing(sqlite3.connect(self.site.path, timeout=10)) as other:
            rows = other.execute("SELECT name, up, down FROM users JOIN counters ON counters.user = users.id")
            return {name: (up, down) for name, up, down in rows}


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    words = ("unshare", "--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs none /mnt")
    return subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0


def free_pages() -> int:
    """Return the first of two free ports: each worker has a page."""
    while True:
        port = lasting_port()
        with socket.socket() as second, contextlib.suppress(OSError):
            second.bind((HOST, port + 1))
            return port


def alarms(port: int, workers: int) -> tuple[set[float], float]:
    """Return what Prometheus is told: whether there is trouble, and the bytes that wait."""
    troubles, waiting = set[float](), 0.0
    for number in range(workers):
        with urllib.request.urlopen(f"http://{HOST}:{port + number}/metrics", timeout=10) as page:
            for family in text_string_to_metric_families(page.read().decode()):
                for sample in family.samples:
                    if sample.name == "ss_store_trouble":
                        troubles.add(sample.value)
                    waiting += sample.value if sample.name == "ss_store_unwritten_bytes" else 0
    return troubles, waiting


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "workers"), [(SmallDisk, 1), (SmallDisk, 2), (HeldStore, 1)])
def test_the_service_goes_on_and_writes_all_of_it_later(kind: type[Disk], workers: int, tmp_path: Path) -> None:
    if kind is SmallDisk and not can_unshare():
        pytest.skip("this system gives nobody else a file system of his own")
    if workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system serves no port by several processes")
    with Targets() as targets:
        place = tmp_path / SmallDisk.place / "users.db" if kind is SmallDisk else None
        page = free_pages()
        site = Site(tmp_path, targets, workers, place, metrics=f"{HOST}:{page}")
        disk = kind(site)
        with site.serve(disk.command) as disk.program:
            with Load(site, workers) as load:
                time.sleep(SWEEPS)  # it is written, first
                with disk.fails():
                    eventually(lambda: all(said["users"]["trouble"] for said in site.ask("status")), "it is told")
                    before, trips = disk.written(), load.trips
                    time.sleep(SWEEPS)
                    assert disk.written() == before, "nothing was written"
                    assert load.trips > trips + len(site.members), "all goes on"
                    troubles, waiting = alarms(page, workers)
                    assert troubles == {1}
                    assert waiting > 0
                eventually(lambda: not any(said["users"]["trouble"] for said in site.ask("status")), "it is over")
                assert alarms(page, workers)[0] == {0}
            assert load.failures == []
            targets.settle()
            time.sleep(SWEEPS)
            assert site.told() == site.counted(), "the difference is nothing"
            disk.program.signal(signal.SIGTERM)
            assert disk.program.wait() == 0
            log = disk.program.log()
            assert "Traceback" not in log
            assert "cannot be written, and is kept in memory until it can" in log
            assert "is written again; what passed meanwhile is not lost" in log

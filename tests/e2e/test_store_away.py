"""Workers whose store is away: who follows one that died serves all the same, and writes it all once it is back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .crowd import eventually
from .test_user_commands import SOON, Site, pass_bytes, serving


def total(site: Site, name: str) -> int:
    return int(site.told(name)["up"])


def test_followers_serve_without_the_store_and_write_later(tmp_path: Path) -> None:
    store, aside = tmp_path / "users.db", tmp_path / "aside"
    with serving(tmp_path, workers=2) as site:
        site.user("add", "anna", "--quota", "1G", "--no-qr")
        with site.client(site.link("anna")) as proxy:
            with site.open(proxy) as sock:
                pass_bytes(sock, 100_000)
            eventually(lambda: total(site, "anna") == 100_005, "what passed is written", SOON)
            aside.mkdir()
            for file in tmp_path.glob("users.db*"):
                file.rename(aside / file.name)
            store.mkdir()
            first = site.processes
            for pid in first:
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: site.is_left_by(first), "others serve", SOON)
            with site.open(proxy) as sock:
                pass_bytes(sock, 50_000)
            store.rmdir()
            for file in aside.iterdir():
                file.rename(tmp_path / file.name)
            eventually(lambda: total(site, "anna") == 150_010, "what passed meanwhile is written, once", SOON)
            told = site.told("anna")
            assert told["used"] == 2 * 150_010
            site.user("set", "anna", "--disable")
            assert site.is_refused(proxy)

"""Whose the files of a store are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shadesocks.cli.exits import OK
from shadesocks.cli.users.owner import hand_over
from shadesocks.process.user import UserError

from .conftest import Site

NOBODY = 65_534
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


def owners(path: Path) -> list[int]:
    return [Path(f"{path}{part}").lstat().st_uid for part in ("", ".lock")]


@as_root
def test_a_store_in_the_folder_of_a_user_is_his(site: Site) -> None:
    assert site.call("add", "anna") == OK
    assert owners(site.path) == [0, 0]
    os.chown(site.folder, NOBODY, NOBODY)
    assert site.call("set", "anna", "--disable") == OK
    assert owners(site.path) == [NOBODY, NOBODY]


@as_root
def test_the_user_of_the_config_goes_before(site: Site) -> None:
    site.write(user=str(NOBODY))
    assert site.call("add", "anna") == OK
    assert owners(site.path) == [NOBODY, NOBODY]
    with pytest.raises(UserError):
        hand_over(str(site.config), "nobody-of-that-name")


@as_root
def test_nothing_of_somebody_elses_is_given_away(tmp_path: Path) -> None:
    folder, secret = tmp_path / "folder", tmp_path / "secret"
    folder.mkdir()
    secret.write_text("root's")
    os.chown(folder, NOBODY, NOBODY)
    store = folder / "users.db"
    store.symlink_to(secret)
    hand_over(str(store), None)
    store.unlink()
    os.link(secret, store)
    hand_over(str(store), None)
    store.unlink()
    os.mkfifo(store)
    hand_over(str(store), None)
    assert store.lstat().st_uid == secret.stat().st_uid == 0
    hand_over(str(folder / "nothing"), None)


def test_nobody_else_gives_files_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.fchown", lambda *_: pytest.fail("given away"))
    (tmp_path / "users.db").touch()
    hand_over(str(tmp_path / "users.db"), "nobody-of-that-name")

"""Where state lies, and the stores in it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from shadesocks.crypto.methods import Edition
from shadesocks.service.siblings import Siblings
from shadesocks.service.state import SaltMemory, state_directory


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


def test_the_order_of_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configured, then systemd's, then XDG's, then the home."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert state_directory(None) == "/home/somebody/.local/state/shadesocks"
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_directory(None) == "/xdg/shadesocks"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert state_directory(None) == "/var/lib/one"
    assert state_directory("/mine") == "/mine"


def test_without_a_home_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does then
    assert state_directory(None) is None


def test_stores_are_shared_by_servers_of_an_edition_and_survive(tmp_path: Path) -> None:
    for turn in (True, False):
        memory = SaltMemory(str(tmp_path), lambda: 0.0)
        store = memory.of(Edition.AEAD)
        assert memory.of(Edition.AEAD) is store
        assert store.insert(b"s" * 32, 0) is turn
        memory.close()


def test_the_ivs_of_stream_ciphers_are_no_salts_and_have_no_file(tmp_path: Path) -> None:
    memory = SaltMemory(str(tmp_path), lambda: 0.0)
    ivs = memory.of(Edition.STREAM)
    for size in (0, 6, 8, 12, 16, 24):
        drawn = ivs.fresh(size, lambda count: b"i" * count)
        assert drawn == b"i" * size, "as random as what draws it"
        assert not ivs.known(drawn), "nothing is kept where no client's is recorded"
    assert ivs.insert(b"i" * 16, 0)
    assert ivs.known(b"i" * 16)
    assert not list(tmp_path.iterdir())
    memory.close()


def test_a_server_without_a_cipher_takes_no_store_from_one_with(tmp_path: Path) -> None:
    memory = SaltMemory(str(tmp_path), lambda: 0.0)
    assert memory.of(Edition.PLAIN) is memory.of(Edition.STREAM)
    assert memory.of(Edition.AEAD).notes == []
    memory.close()


def test_an_unusable_directory_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    memory = SaltMemory(str(blocked), lambda: 0.0)
    with caplog.at_level(logging.WARNING):
        memory.of(Edition.AEAD2022)
        memory.tell()
    assert len(caplog.records) == 1
    assert "in memory only" in caplog.text
    memory.close()


def test_of_several_processes_one_tells_what_is_wrong_for_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    for speaks in (True, False):
        siblings = Siblings(speaks=speaks)
        memory = SaltMemory(str(tmp_path / "file"), lambda: 0.0, siblings)
        memory.of(Edition.AEAD)
        assert bool(caplog.records) is speaks
        caplog.clear()
        memory.close()
        siblings.close()


@pytest.mark.parametrize("edition", [Edition.AEAD, Edition.AEAD2022, Edition.STREAM])
def test_who_leaves_its_files_goes_on_and_the_next_one_knows_what_it_knew(tmp_path: Path, edition: Edition) -> None:
    old = SaltMemory(str(tmp_path), lambda: 0.0)
    assert old.of(edition).insert(b"s" * 32, 0)
    old.leave()
    new = SaltMemory(str(tmp_path), lambda: 0.0)
    assert new.of(edition).notes == []
    assert new.of(edition).insert(b"s" * 32, 0) is (edition is Edition.STREAM), "which is kept in no file"
    assert not old.of(edition).insert(b"s" * 32, 0)
    assert old.of(edition).insert(b"t" * 32, 0)
    assert new.of(edition).insert(b"t" * 32, 0), "each its own from then on"
    assert old.of(edition).notes == []
    old.close()
    new.close()


def test_who_shares_the_files_knows_what_the_other_knows(tmp_path: Path) -> None:
    old, new = (SaltMemory(str(tmp_path), lambda: 0.0, shared=True) for _ in range(2))
    assert old.of(Edition.AEAD).insert(b"s" * 32, 0)
    assert not new.of(Edition.AEAD).insert(b"s" * 32, 0)
    old.leave()
    assert new.of(Edition.AEAD).insert(b"t" * 32, 0)
    assert not old.of(Edition.AEAD).insert(b"t" * 32, 0)
    assert old.of(Edition.AEAD).notes == new.of(Edition.AEAD).notes == []
    old.close()
    new.close()

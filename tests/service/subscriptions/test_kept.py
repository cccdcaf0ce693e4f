"""Copies of documents on disk."""

from __future__ import annotations

import json
import logging
import stat
from pathlib import Path

import pytest

from shadesocks.service.subscriptions.download import Fetched
from shadesocks.service.subscriptions.kept import KeptCopy

URL = "https://h.example/secret"
FETCHED = Fetched('{"ö": "\n"}', '"a"', "then")


def test_it_comes_back(tmp_path: Path) -> None:
    copy = KeptCopy(str(tmp_path / "state"), URL)
    assert copy.read() is None
    copy.write(FETCHED)
    assert KeptCopy(str(tmp_path / "state"), URL).read() == FETCHED
    assert KeptCopy(str(tmp_path / "state"), f"{URL}2").read() is None


def test_it_is_for_its_owner_and_does_not_name_the_address(tmp_path: Path) -> None:
    copy = KeptCopy(str(tmp_path / "state"), URL)
    copy.write(FETCHED)
    assert copy.path is not None
    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in copy.path.parent.iterdir()] == [copy.path.name]
    assert "secret" not in str(copy.path)
    assert "secret" not in copy.path.read_text()


def test_without_a_directory_there_is_none() -> None:
    copy = KeptCopy(None, URL)
    copy.write(FETCHED)
    assert copy.read() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', "[" * 100_000, "\xff"])
def test_a_broken_one_is_passed_over_with_a_word(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = KeptCopy(str(tmp_path), URL)
    copy.write(FETCHED)
    assert copy.path is not None
    copy.path.write_bytes(text.encode("latin-1"))
    assert copy.read() is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_what_could_not_be_sent_is_not_taken_from_it(tmp_path: Path) -> None:
    copy = KeptCopy(str(tmp_path), URL)
    copy.write(FETCHED)
    assert copy.path is not None
    content = json.loads(copy.path.read_text())
    copy.path.write_text(json.dumps(content | {"etag": "a\r\nHost: b", "last_modified": 7}))
    assert copy.read() == Fetched(FETCHED.text)
    copy.path.write_text(json.dumps(content | {"document": 7}))
    assert copy.read() is None


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    KeptCopy(str(tmp_path / "file"), URL).write(FETCHED)
    assert "a subscription is not kept for the next start" in caplog.text


def test_what_somebody_else_put_there_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = KeptCopy(str(tmp_path / "state"), URL)
    copy.write(FETCHED)
    assert copy.path is not None
    theirs = copy.path.rename(tmp_path / "theirs")
    copy.path.symlink_to(theirs)
    assert copy.read() is None
    copy.path.unlink()
    theirs.rename(copy.path)
    assert copy.read() == FETCHED
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: 12345)
        if copy.path.stat().st_uid:  # root's are taken
            assert copy.read() is None
    assert caplog.text.count("is somebody else's, and is passed over") >= 1
    assert "secret" not in caplog.text

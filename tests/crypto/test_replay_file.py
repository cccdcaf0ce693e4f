"""The file under a salt store: damaged, foreign, forbidden, or on a disk that fails."""

from __future__ import annotations

import errno
import math
import os
import stat
from typing import TYPE_CHECKING

import pytest

from shadesocks.crypto.methods import Edition
from shadesocks.crypto.replay_aead import AEAD_LAYOUT
from shadesocks.crypto.replay_file import PAGE
from tests.crypto.salts import EDITIONS, FILES, Open, insert_all, some
from tests.crypto.salts import clock as clock
from tests.crypto.salts import salts as salts

if TYPE_CHECKING:
    from pathlib import Path


class TestFile:
    @pytest.mark.parametrize("edition", EDITIONS)
    def test_is_for_its_owner_only_and_not_inherited(self, salts: Open, edition: Edition, tmp_path: Path) -> None:
        before = set(os.listdir("/dev/fd"))
        store = salts(edition, str(tmp_path / "state"), shared=True)
        opened = [int(fd) for fd in set(os.listdir("/dev/fd")) - before if os.path.exists(f"/dev/fd/{fd}")]
        assert opened
        assert not any(os.get_inheritable(fd) for fd in opened)
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        for path in (tmp_path / "state").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert not store.notes

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_that_others_could_read_is_closed_to_them(self, salts: Open, edition: Edition, tmp_path: Path) -> None:
        salts(edition).close()
        path = tmp_path / FILES[edition]
        path.chmod(0o644)
        assert not salts(edition).notes
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize("shared", [False, True])
    @pytest.mark.parametrize("at", [0, 40, 63, 64, 95, 96, 111])
    def test_with_a_damaged_header_is_set_aside(
        self, salts: Open, edition: Edition, shared: bool, at: int, tmp_path: Path
    ) -> None:
        store = salts(edition)
        insert_all(store, some(5))
        store.close()
        path = tmp_path / FILES[edition]
        with path.open("r+b") as file:
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ 1]))
        damaged = path.read_bytes()
        store = salts(edition, shared=shared)
        (note,) = store.notes
        assert str(path) in note
        assert f"{path}.corrupt-1" in note
        assert (tmp_path / f"{path.name}.corrupt-1").read_bytes() == damaged
        assert insert_all(store, some(5)) == 5
        store.close()
        assert not salts(edition).notes, "the new file is a good one"

    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize("content", [b"x", b"not ours\n" * 1000, bytes(PAGE), bytes(AEAD_LAYOUT.size)])
    def test_of_another_program_is_set_aside(
        self, salts: Open, edition: Edition, content: bytes, tmp_path: Path
    ) -> None:
        path = tmp_path / FILES[edition]
        for number in (1, 2, 3):
            path.write_bytes(content)
            store = salts(edition)
            assert len(store.notes) == 1
            assert (tmp_path / f"{path.name}.corrupt-{number}").read_bytes() == content
            store.close()

    @pytest.mark.parametrize("size", [1, PAGE - 1, PAGE, AEAD_LAYOUT.size - 1])
    def test_cut_short_is_set_aside(self, salts: Open, size: int, tmp_path: Path) -> None:
        salts(Edition.AEAD).close()
        os.truncate(tmp_path / "aead.salts", size)
        store = salts(Edition.AEAD)
        assert len(store.notes) == 1
        assert insert_all(store, some(5)) == 5

    @pytest.mark.parametrize("lost", [1, 63, 64, 65, 64 * 100, 64 * 299])
    def test_of_records_cut_short_keeps_the_others(self, salts: Open, lost: int, tmp_path: Path) -> None:
        known = some(64)  # one page of records
        store = salts(Edition.AEAD2022)
        assert insert_all(store, known) == 64
        store.close()
        path = tmp_path / "aead2022.salts"
        os.truncate(path, max(PAGE, path.stat().st_size - lost))
        store = salts(Edition.AEAD2022)
        kept = max(0, 64 - math.ceil(lost / 64))
        assert [store.known(salt) for salt in known] == [True] * kept + [False] * (64 - kept)
        assert insert_all(store, known) == 64 - kept
        store.close()
        assert all(map(salts(Edition.AEAD2022).known, known))

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_that_is_empty_is_filled(self, salts: Open, edition: Edition, tmp_path: Path) -> None:
        (tmp_path / FILES[edition]).touch()
        assert not salts(edition).notes

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_that_is_no_file_is_set_aside(self, salts: Open, edition: Edition, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / FILES[edition])
        store = salts(edition)
        assert len(store.notes) == 1
        assert insert_all(store, some(5)) == 5
        assert (tmp_path / FILES[edition]).is_file()

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_behind_a_link_is_not_touched(self, salts: Open, edition: Edition, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_bytes(b"precious")
        (tmp_path / FILES[edition]).symlink_to(other)
        store = salts(edition)
        assert len(store.notes) == 1
        assert insert_all(store, some(5)) == 5
        assert other.read_bytes() == b"precious"

    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize("shared", [False, True])
    def test_in_a_directory_that_cannot_be_made(
        self, salts: Open, edition: Edition, shared: bool, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        store = salts(edition, str(tmp_path / "file" / "state"), shared=shared)
        (note,) = store.notes
        assert str(tmp_path / "file" / "state" / FILES[edition]) in note
        assert "memory only" in note
        assert insert_all(store, some(5)) == 5
        assert insert_all(store, some(5)) == 0

    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
    def test_that_may_not_be_written(
        self, salts: Open, edition: Edition, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The tests may run as root, whom no mode of a directory stops.
        real = os.open

        def refuse(path: str, flags: int, mode: int = 0o777) -> int:
            if str(path).startswith(str(tmp_path)):
                raise OSError(code, os.strerror(code))
            return real(path, flags, mode)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            store = salts(edition)
        (note,) = store.notes
        assert os.strerror(code) in note
        assert insert_all(store, some(5)) == 5
        assert insert_all(store, some(5)) == 0

    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize("shared", [False, True])
    @pytest.mark.parametrize("call", ["pread", "pwrite"])
    def test_on_a_disk_that_fails_later(
        self, salts: Open, edition: Edition, shared: bool, call: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = salts(edition, shared=shared)
        known = some(100)
        assert insert_all(store, known) == 100
        real = getattr(os, call)
        failures = iter([OSError(errno.EIO, os.strerror(errno.EIO))])

        def fail_once(*args: object) -> object:
            for failure in failures:
                raise failure
            return real(*args)

        monkeypatch.setattr(os, call, fail_once)
        assert insert_all(store, some(100, seed=8)) == 100
        reads_nothing = edition is Edition.AEAD2022 and call == "pread" and not shared
        assert len(store.notes) == (0 if reads_nothing else 1)
        assert insert_all(store, known) == 0
        assert insert_all(store, some(100, seed=8)) == 0

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_on_a_disk_that_fails_at_a_look_up(
        self, salts: Open, edition: Edition, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = salts(edition)
        known = some(100)
        insert_all(store, known)
        real = os.pread
        failures = iter([OSError(errno.EIO, os.strerror(errno.EIO))])

        def fail_once(fd: int, size: int, at: int) -> bytes:
            for failure in failures:
                raise failure
            return real(fd, size, at)

        monkeypatch.setattr(os, "pread", fail_once)
        assert all(map(store.known, known))

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_on_a_system_without_nameless_memory(
        self, salts: Open, edition: Edition, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
        for store in (salts(edition, None), salts(edition)):
            assert insert_all(store, some(5)) == 5
            assert insert_all(store, some(5)) == 0
            assert not store.notes

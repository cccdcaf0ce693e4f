"""Files: where they are looked for, how they are read, how one is written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shadesocks.config import default_path, files, find_config, search_list, write_private
from shadesocks.config.files import is_planted
from shadesocks.core.errors import ConfigError

from .samples import text_of


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_default_path_is_the_user_s() -> None:
    assert default_path({"HOME": "/home/u"}) == Path("/home/u/.config/shadesocks/config.json")
    assert default_path({"HOME": "/home/u", "XDG_CONFIG_HOME": "/x"}) == Path("/x/shadesocks/config.json")
    assert default_path({"HOME": "/home/u", "XDG_CONFIG_HOME": "relative"}) == default_path({"HOME": "/home/u"})


def test_where_a_config_is_looked_for() -> None:
    environ = {"HOME": "/h", "XDG_CONFIG_DIRS": "/etc/xdg:relative:/opt"}
    assert [str(path) for path in search_list("server", environ, Path("/cwd"))] == [
        "/cwd/server.json",
        "/cwd/config.json",
        "/h/.config/shadesocks/server.json",
        "/h/.config/shadesocks/config.json",
        "/h/.config/shadowsocks-rust/server.json",
        "/h/.config/shadowsocks-rust/config.json",
        "/etc/xdg/shadesocks/server.json",
        "/etc/xdg/shadesocks/config.json",
        "/etc/xdg/shadowsocks-rust/server.json",
        "/etc/xdg/shadowsocks-rust/config.json",
        "/opt/shadesocks/server.json",
        "/opt/shadesocks/config.json",
        "/opt/shadowsocks-rust/server.json",
        "/opt/shadowsocks-rust/config.json",
        "/etc/shadesocks/server.json",
        "/etc/shadesocks/config.json",
        "/etc/shadowsocks-rust/server.json",
        "/etc/shadowsocks-rust/config.json",
    ]
    assert search_list("local", environ, Path("/cwd"))[0] == Path("/cwd/local.json")


def test_the_first_file_found_is_taken(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    user = tmp_path / ".config" / "shadesocks" / "config.json"
    write_private(user, text_of())
    assert find_config("server", environ, cwd) == user
    (cwd / "config.json").mkdir()  # a directory is no file
    assert find_config("local", environ, cwd) == user
    (cwd / "local.json").write_text("{}")
    assert find_config("local", environ, cwd) == cwd / "local.json"
    assert find_config("server", environ, cwd) == user


def test_the_places_of_the_old_programs_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [str(path) for path in files.OLD_PLACES] == [
        "/etc/shadowsocks-libev/config.json",
        "/etc/shadowsocks/config.json",
        "/etc/shadowsocks.json",
        "/etc/shadowsocks-lite/config.json",
    ]
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    places = [tmp_path / "shadowsocks.json", tmp_path / "shadowsocks-lite.json"]
    monkeypatch.setattr(files, "OLD_PLACES", places)
    assert find_config("server", environ, tmp_path) is None
    places[1].write_text("{}")
    assert find_config("server", environ, tmp_path) == places[1]
    places[0].write_text("{}")
    assert find_config("local", environ, tmp_path) == places[0]
    (tmp_path / "config.json").write_text("{}")
    assert find_config("local", environ, tmp_path) == tmp_path / "config.json"


def test_writing_is_private_and_makes_the_directory(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config.json"
    before = os.umask(0)
    try:
        write_private(path, "{}\n")
    finally:
        os.umask(before)
    assert path.read_text() == "{}\n"
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700


def test_writing_replaces_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_private(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert mode_of(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


def test_a_symbolic_link_is_not_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "config.json"
    target.write_text("kept")
    link.symlink_to(target)
    with pytest.raises(ConfigError, match="this is a symbolic link; name the file that it points to"):
        write_private(link, "new")
    assert target.read_text() == "kept"
    assert link.is_symlink()


def test_writing_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="this file cannot be written: "):
        write_private(tmp_path / "file" / "config.json", "{}")
    (tmp_path / "directory").mkdir()
    with pytest.raises(ConfigError, match="this file cannot be written: "):
        write_private(tmp_path / "directory", "{}")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["directory", "file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_what_another_user_put_where_everybody_may_make_files_is_planted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert not is_planted(path)
    path.touch()
    tmp_path.chmod(0o1777)
    assert not is_planted(path)
    os.chown(path, 65534, 65534)
    assert is_planted(path)
    tmp_path.chmod(0o755)
    assert not is_planted(path)
    tmp_path.chmod(0o1777)
    path.unlink()
    path.symlink_to("/etc/hostname")
    os.lchown(path, 65534, 65534)
    assert is_planted(path)

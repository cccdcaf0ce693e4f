"""Where a command gets its texts from."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import click
import pytest

from shadesocks.cli.source import (
    LINK_VARIABLE,
    Source,
    check_link,
    directory_of,
    parse,
    read_link,
    read_links,
    read_source,
    source_of,
)
from shadesocks.config import load
from shadesocks.core.errors import ConfigError

from .programs import LINK

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text("{}")
    assert read_source(str(file)) == ("{}", str(file))


def test_a_source_is_read_when_it_is_looked_at_and_again_when_it_was_taken(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    source = Source(str(file))
    file.write_text('{"a": 1}')
    reading = source.look()
    file.write_text('{"b": 1')
    assert source.look() is reading
    assert source.take() is reading
    assert [fault.mark.where for fault in source.take().faults] == [str(file)]


def test_a_source_that_cannot_be_read_is_an_error_each_time(tmp_path: Path) -> None:
    source = Source(str(tmp_path / "c.json"))
    for read in (source.look, source.take):
        with pytest.raises(ConfigError, match="cannot be read"):
            read()
    (tmp_path / "c.json").write_text("{}")
    assert source.take().root is not None


def test_what_is_said_of_a_source_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{\n"server": 1}')
    source = Source(str(tmp_path / "c.json"))
    assert source.base == str(tmp_path)
    with pytest.raises(ConfigError) as error:
        load(source.take(), where="elsewhere")
    assert {problem.where for problem in error.value.problems} == {source.file}
    assert 2 in {problem.line for problem in error.value.problems}


def test_stdin_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    source = Source("-")
    assert source.look() is source.take()
    assert source.base == ""


def test_a_known_source_stands_for_its_own_file_only() -> None:
    known = Source("c.json")
    assert source_of("c.json", known) is known
    other = source_of("d.json", known)
    assert other is not None
    assert other.file == "d.json"
    assert source_of(None, known) is None


def test_relative_paths_start_where_the_file_is() -> None:
    assert [directory_of(file) for file in ("-", "c.json", "etc/c.json", "/etc/c.json")] == ["", "", "etc", "/etc"]


def test_stdin_that_is_not_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with io.TextIOWrapper(io.BytesIO(b"\xff\xfe\xff"), encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        with pytest.raises(ConfigError, match="stdin: stdin cannot be read"):
            read_source("-")


@pytest.mark.parametrize("text", [LINK, f" {LINK} ", f"'{LINK}'", f'"{LINK}"', f"\u2018{LINK}\u2019"])
def test_a_paste_is_freed_of_what_it_brought_along(text: str) -> None:
    assert read_link(text) == LINK


def test_the_environment_comes_after_the_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADESOCKS_LINK", "ss://environment")
    assert read_link("ss://argument") == "ss://argument"
    assert read_link(None) == "ss://environment"


def test_only_the_first_line_of_stdin_is_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LINK}\nmore\n"))
    assert read_link("-") == LINK


def test_no_link_is_an_error_of_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHADESOCKS_LINK", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(click.UsageError, match="SHADESOCKS_LINK"):
        read_link(None)


def test_a_bad_link_is_an_error_that_does_not_repeat_it() -> None:
    with pytest.raises(click.UsageError) as error:
        parse("ss://s3cret-key@proxy.example:1")
    assert "s3cret" not in error.value.format_message()
    assert error.value.__suppress_context__


def test_several_links(monkeypatch: pytest.MonkeyPatch) -> None:
    other = LINK.replace("8388", "8389") + "#my other one"
    assert read_links((LINK, f"'{other}'")) == [LINK, other]
    monkeypatch.setenv(LINK_VARIABLE, f"{LINK}\n{other}\n")
    assert read_links(()) == [LINK, other]
    monkeypatch.delenv(LINK_VARIABLE)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LINK}\n{other}\n"))
    assert read_links(("-", "-")) == [LINK, other]
    with pytest.raises(click.UsageError, match="no link was given"):
        read_links(())


def test_a_link_may_lead_to_a_document() -> None:
    check_link(LINK)
    check_link("ssconf://h.example/secret#Home")
    for text in ("ssconf://user:secret@h.example/", "https://h.example/secret", "ss://secret"):
        with pytest.raises(click.UsageError) as caught:
            check_link(text)
        assert caught.value.message.startswith("link: ")
        assert "secret@" not in caught.value.message


def test_what_is_no_link_is_told_what_to_be(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text(LINK)
    for text, words in (
        ("https://h.example/secret", "write ssconf:// for it"),
        ("vmess://secret", "a link begins with ss://, or with ssconf://"),
        ("secret", "a link begins with ss://, or with ssconf://"),
        (str(file), "this is a file; `shadesocks local -c FILE`"),
    ):
        with pytest.raises(click.UsageError) as caught:
            check_link(text)
        assert words in caught.value.message
        assert "secret" not in caught.value.message

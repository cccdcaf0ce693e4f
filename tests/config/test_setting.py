"""One row of the table describes itself."""

from __future__ import annotations

import pytest

from shadesocks.config.setting import SERVER_END, Kind, Setting, Value


@pytest.mark.parametrize(
    ("default", "unit", "words"),
    [
        (None, "", ""),
        (True, "", "true"),
        (False, "", "false"),
        (59.0, "s", "59 s"),
        (0.1, "s", "0.1 s"),
        (1080, "", "1080"),
        ("tcp_only", "", "tcp_only"),
        ((), "", ""),
    ],
)
def test_a_default_is_written_as_people_read_it(default: Value, unit: str, words: str) -> None:
    assert Setting("name", Kind.TEXT, "Help.", default=default, unit=unit).default_words == words


def test_a_default_that_is_a_rule_is_told_in_words() -> None:
    assert (
        Setting("name", Kind.COUNT, "Help.", default=7, default_text="as many as fit").default_words == "as many as fit"
    )


def test_the_key_is_the_name_unless_it_stands_deeper() -> None:
    assert Setting("level", Kind.TEXT, "Help.").path == "level"
    assert Setting("level", Kind.TEXT, "Help.", key="log.level").path == "log.level"


def test_a_flag_may_be_of_one_end_only() -> None:
    setting = Setting("name", Kind.TEXT, "Help.", flags=("--name",), server_flags=("-b",))
    assert (setting.flags_of("server"), setting.flags_of("local")) == (("--name", "-b"), ("--name",))
    assert Setting("name", Kind.TEXT, "Help.", roles=SERVER_END, flags=("-x",)).flags_of("local") == ()

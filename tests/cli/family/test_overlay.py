"""Flags that were met become members of the file, settings, and lines."""

from __future__ import annotations

import pytest

from shadesocks.cli.family.overlay import overlay_of
from shadesocks.cli.family.program import Act, Flag, Met
from shadesocks.cli.family.syntax import WrongFlagError
from shadesocks.config.reader import Mark, Node, plain

PORT = Flag(("-p",), "", "PORT", key="server_port")
HOST = Flag(("-s",), "", "HOST", key="server", several=True)
FAST = Flag(("--fast-open",), "", key="fast_open")
LOUD = Flag(("-v",), "", key="verbose", constant=1, act=Act.COUNT)
QUIET = Flag(("-q",), "", key="verbose", constant=-1, act=Act.COUNT)


def test_a_value_is_a_text_that_names_its_flag() -> None:
    member = overlay_of([Met(PORT, "-p", "8388")]).members["server_port"]
    assert (member.mark, member.node) == (Mark("-p"), Node("8388", Mark("-p")))


def test_the_last_of_one_flag_holds_and_a_switch_is_true() -> None:
    members = overlay_of([Met(PORT, "-p", "1"), Met(FAST, "--fast-open"), Met(PORT, "-p", "2")]).members
    assert {key: plain(member.node) for key, member in members.items()} == {"server_port": "2", "fast_open": True}


@pytest.mark.parametrize(
    ("hosts", "value"), [(["a"], "a"), (["a", "b"], ["a", "b"]), (["a", "b", "c"], ["a", "b", "c"])]
)
def test_one_that_may_be_given_again_makes_a_list(hosts: list[str], value: object) -> None:
    members = overlay_of(Met(HOST, "-s", host) for host in hosts).members
    assert plain(members["server"].node) == value


@pytest.mark.parametrize(("flags", "count"), [([LOUD], 1), ([LOUD, LOUD], 2), ([QUIET], -1), ([QUIET, LOUD, LOUD], 1)])
def test_those_that_count_are_added_up(flags: list[Flag], count: int) -> None:
    assert plain(overlay_of(Met(flag, flag.names[0]) for flag in flags).members["verbose"].node) == count


def test_a_setting_of_ours_is_a_text_of_its_own() -> None:
    flags = (Flag(("-6",), "", setting="ipv6_first"), Flag(("-v",), "", setting="log_level", constant="debug"))
    overlay = overlay_of(Met(flag, flag.names[0]) for flag in flags)
    assert overlay.settings == {"ipv6_first": "true", "log_level": "debug"}
    assert overlay.members == {}
    assert overlay.keys() == {"ipv6_first", "log_level"}


def test_words_stand_for_others_and_no_other_is_taken() -> None:
    flag = Flag(("--level",), "", "LEVEL", setting="log_level", words={"LOUD": "debug"})
    assert overlay_of([Met(flag, "--level", "LOUD")]).settings == {"log_level": "debug"}
    with pytest.raises(WrongFlagError, match="--level: expected LOUD"):
        overlay_of([Met(flag, "--level", "QUIET")])


@pytest.mark.parametrize(("text", "good"), [("5", True), ("-5", True), ("x", False), ("", False), ("5s", False)])
def test_a_number_has_to_be_one(text: str, good: bool) -> None:
    flag = Flag(("-t",), "", "SECONDS", key="timeout", number=True)
    if good:
        assert overlay_of([Met(flag, "-t", text)]).members
    else:
        with pytest.raises(WrongFlagError, match="-t: expected a whole number"):
            overlay_of([Met(flag, "-t", text)])


def test_a_flag_that_does_nothing_says_so_once() -> None:
    flag = Flag(("-a",), "", "NAME", act=Act.NOTHING, note="has no effect")
    overlay = overlay_of([Met(flag, "-a", "x"), Met(flag, "-a", "y")])
    assert (overlay.notes, overlay.refusals, overlay.keys()) == (["-a: has no effect"], [], set())


def test_what_it_cannot_start_with_is_a_refusal() -> None:
    gone = Flag(("-A",), "", act=Act.REFUSE, note="is gone")
    checked = Flag(("-d",), "", "WORD", key="daemon", check=lambda word: "" if word == "start" else "not that")
    overlay = overlay_of([Met(gone, "-A"), Met(checked, "-d", "stop"), Met(checked, "-d", "start")])
    assert overlay.refusals == ["-A: is gone", "-d: not that"]


def test_the_file_and_what_is_to_be_shown_are_no_keys() -> None:
    config, shown = Flag(("-c",), "", "FILE", act=Act.CONFIG), Flag(("-h",), "", act=Act.HELP)
    overlay = overlay_of([Met(config, "-c", "a"), Met(config, "-c", "b"), Met(shown, "-h")])
    assert (overlay.config, overlay.wish, overlay.keys()) == ("b", Act.HELP, set())

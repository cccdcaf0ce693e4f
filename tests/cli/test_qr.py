"""A QR code on a terminal."""

from __future__ import annotations

import re

import segno

from shadesocks.cli.qr import render_qr, width_of

from .programs import LINK

_CELLS = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}


def modules(text: str) -> list[list[int]]:
    """What a camera sees: rows of dark and light modules."""
    rows: list[list[int]] = []
    for line in text.splitlines():
        cells = [_CELLS[char] for char in re.sub(r"\x1b\[[0-9;]*m", "", line)]
        rows += [[upper for upper, _ in cells], [lower for _, lower in cells]]
    return rows


def test_the_modules_are_those_of_the_code() -> None:
    wanted = [list(row) for row in segno.make_qr(LINK, error="l").matrix_iter(border=2)]
    seen = modules(render_qr(LINK))
    assert seen[: len(wanted)] == wanted
    assert not any(map(any, seen[len(wanted) :]))


def test_it_is_dark_on_light_and_leaves_the_colours_as_they_were() -> None:
    for line in render_qr(LINK).splitlines():
        assert line.startswith("\x1b[38;5;16;48;5;231m")
        assert line.endswith("\x1b[0m")


def test_it_fits_a_terminal_of_80_by_24() -> None:
    lines = render_qr(LINK).splitlines()
    assert len(lines) <= 24
    assert width_of(render_qr(LINK)) == len(modules(lines[0])[0]) <= 80


def test_what_no_code_holds_has_none() -> None:
    assert render_qr("x" * 2953) != ""
    assert render_qr("x" * 2954) == ""

"""A QR code on a terminal: two modules to a character, dark on light whatever the terminal's colours.

Cameras want dark modules on a light ground. Half blocks with colours of their
own give that on every terminal; a picture in the terminal's own colours would be
inverted on half of them. `segno` is imported when a code is drawn, not before.
"""

from __future__ import annotations

from typing import Final

_BORDER: Final = 2
"""Modules of quiet zone. The standard wants 4; cameras do with 2, and the code of a 2022 link then fits 24 rows."""
_PAPER: Final = "\x1b[38;5;16;48;5;231m"
"""Black on white of the fixed 256-colour cube; the 16 named colours belong to the person's theme."""
_RESET: Final = "\x1b[0m"
_BLOCKS: Final = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def render_qr(text: str) -> str:
    """Return the lines of a QR code for `text`, each coloured and reset; nothing where it is too long for one."""
    import segno

    try:
        code = segno.make_qr(text, error="l")
    except segno.DataOverflowError:
        return ""
    rows = [tuple(row) for row in code.matrix_iter(border=_BORDER)]
    if len(rows) % 2:
        rows.append((0,) * len(rows[0]))
    return "\n".join(
        _PAPER + "".join(_BLOCKS[bool(top), bool(bottom)] for top, bottom in zip(upper, lower, strict=True)) + _RESET
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )


def width_of(code: str) -> int:
    """Columns that a rendered code takes."""
    return len(code.partition("\n")[0]) - len(_PAPER) - len(_RESET)

"""A regular expression of an ACL file, as Python's `re` wants it.

ACL files speak PCRE (shadowsocks-libev) or Rust's `regex`; both are nearly what Python speaks. What differs and has
an equal is translated; what has none is refused with a sentence, since a rule that means something else is worse than
no rule. What only Python speaks is not looked for.

Most rules of real files have one of a few shapes (`(^|\\.)a\\.b$`) that stand for a name and what is below it; those
are found in a dictionary and never get here as patterns (`shape_of`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

Dialect = Literal["rust", "libev"]
"""Whose rules a file follows: those of shadowsocks-rust or shadowsocks-libev."""


class Shape(Enum):
    """Which names a rule that ends in a name stands for."""

    EXACT = "the name"
    BELOW = "all names below it"
    SUFFIX = "the name, and all below it"


_HEADS: Final = {
    r"(^|\.)": Shape.SUFFIX,
    r"(?:^|\.)": Shape.SUFFIX,
    r"(\.|^)": Shape.SUFFIX,
    r"(?:\.|^)": Shape.SUFFIX,
    r"^(.*\.)?": Shape.SUFFIX,
    r"^(?:.*\.)?": Shape.SUFFIX,
    r"^(.+\.)?": Shape.SUFFIX,
    r"^(?:.+\.)?": Shape.SUFFIX,
    r"^": Shape.EXACT,
    r"\.": Shape.BELOW,
    r".*\.": Shape.BELOW,
    r".+\.": Shape.BELOW,
    r"^.*\.": Shape.BELOW,
    r"^.+\.": Shape.BELOW,
}
"""What stands before the name. No name has an empty label, so that `.*\\.` and `.+\\.` are the same."""
_SHAPED: Final = re.compile(
    f"({'|'.join(re.escape(head) for head in sorted(_HEADS, key=len, reverse=True))})"
    r"((?:[a-z0-9_]|\\?-)+(?:\\\.(?:[a-z0-9_]|\\?-)+)*)\$"
)


def shape_of(rule: str) -> tuple[Shape, str] | None:
    """Return what a rule of a common shape stands for, None for all others. Exact: never more, never less."""
    found = _SHAPED.fullmatch(rule)
    return (_HEADS[found[1]], found[2].replace("\\", "")) if found else None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression in Python's syntax."""

    text: str
    alone: bool
    """It refers to its own groups, so that it cannot stand in one expression with others."""
    anchored: bool
    """It matches at the beginning of a name or nowhere."""


_DEPTH_MAX: Final = 50
"""Groups in groups. `re` calls itself for each."""

_TOKEN: Final = re.compile(
    r"""
      (?P<escape>   \\x\{[0-9A-Fa-f]{1,2}\} | \\. )
    | (?P<class>    \[ \^? \]? (?: \[:\^?\w*:\] | \\. | [^]\\] )* \] )
    | (?P<comment>  \(\?\# [^)]* \) )
    | (?P<named>    \(\? (?: P?< (?P<plain>\w+) > | ' (?P<quoted>\w+) ' ) )
    | (?P<recall>   \(\?P=\w+\) )
    | (?P<group>    \(\? (?: : | <?[=!] | > ) )
    | (?P<flags>    \(\? (?P<given>[a-zA-Z]*) (?: - (?P<taken>[a-zA-Z]*) )? (?P<scope>[:)]) )
    | (?P<open>     \( (?![?*]) )
    | (?P<close>    \) )
    | (?P<or>       \| )
    | (?P<vague>    \{,\d*\} )
    | (?P<repeat>   (?: [*+?] | \{\d+(?:,\d*)?\} ) (?P<greed>[+?]?) )
    | (?P<literal>  [^\\\[(] )
    """,
    re.VERBOSE | re.DOTALL,
)

_ESCAPES: Final = {
    "z": r"\Z",
    "h": r"[ \t]",
    "H": r"[^ \t]",
    "R": r"[\n-\r]",
    "v": r"[\n-\r]",
    "V": r"[^\n-\r]",
    "N": ".",
    "e": r"\x1b",
}
_CLASS_ESCAPES: Final = {"h": r" \t", "v": r"\n-\r", "e": r"\x1b"}
_FOREIGN_ESCAPES: Final = frozenset("pPQEGKXCgkcouULl")
"""Classes of Unicode, quoting and other things of PCRE or Rust that Python does not have."""
_POSIX: Final = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "xdigit": "0-9a-fA-F",
    "word": r"\w",
    "space": r"\s",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "graph": "!-~",
    "print": " -~",
    "ascii": r"\x00-\x7f",
    "punct": r"!-/:-@\[-`{-~",
}
_CLASS_TOKEN: Final = re.compile(
    r"\[:(?P<posix>\^?\w*):\]|\\x\{(?P<hex>[0-9A-Fa-f]{1,2})\}|\\(?P<escape>.)|(?P<operator>--|&&|~~)|[\[|&~]|.",
    re.DOTALL,
)
_IDLE_FLAGS: Final = frozenset("uURs")
"""Unicode, greed, line ends of Windows, whether `.` takes line ends: nothing to an ASCII name of one line."""


def lower_rule(rule: str) -> str:
    """Return a rule in lower case, as names are; what means something else in upper case stays (`\\S`, `(?P<`)."""
    if rule == rule.lower():
        return rule
    return re.sub(r"\\.|\(\?P|[A-Z]+", lambda found: found[0] if found[0][0] in "\\(" else found[0].lower(), rule)


def translate(rule: str, dialect: Dialect) -> Pattern:
    """Return a rule in Python's syntax. Whether Python takes it shows when it is compiled.

    Raises:
        ValueError: it cannot be translated; the message says why.
    """
    return _Translation(dialect).run(rule)


class _Translation:
    """One rule on its way, piece by piece."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect: Final = dialect
        self._parts: Final[list[str]] = []
        self._depth = 0
        self._numbered: Final[list[int]] = []
        """Where in the parts a group begins that has only a number."""
        self._branch = 0
        """Where in the parts the last alternative outside of all groups begins."""
        self._flags = ""
        """Those that hold for all of it."""
        self._alone = False

    def run(self, rule: str) -> Pattern:
        at = 0
        while at < len(rule):
            token = _TOKEN.match(rule, at)
            if token is None:
                raise ValueError(_UNREADABLE[rule[at]].format(rule[at : at + 3]))
            self._take(token)
            at = token.end()
        if self._depth:
            raise ValueError("a ( is not closed")
        anchored = not self._branch and self._parts[:1] in (["^"], [r"\A"])
        self._end_branch()
        if not self._alone:  # nobody asks for what they hold, and many expressions share one count of them
            for at in self._numbered:
                self._parts[at] = "(?:"
        text = "".join(self._parts)
        if self._flags:
            text, anchored = f"(?{self._flags}:{text})", False
        return Pattern(text, self._alone, anchored)

    def _take(self, token: re.Match[str]) -> None:
        text = token[0]
        match token.lastgroup:
            case "escape":
                self._parts.append(self._escape(text))
            case "class":
                self._parts.append(_class(text, self._dialect))
            case "named":
                self._alone = True
                self._open(f"(?P<{token['plain'] or token['quoted']}>")
            case "recall":
                self._parts.append(text)
            case "group":
                self._open(text)
            case "flags":
                self._set_flags(token)
            case "open":
                self._numbered.append(len(self._parts))
                self._open(text)
            case "close":
                if not self._depth:
                    raise ValueError("a ) closes nothing")
                self._depth -= 1
                self._parts.append(text)
            case "or":
                if not self._depth:
                    self._end_branch()
                self._parts.append(text)
                if not self._depth:
                    self._branch = len(self._parts)
            case "vague":
                raise ValueError("{,n} has another meaning in each program; write {0,n}")
            case "repeat":
                if token["greed"] == "+" and self._dialect == "rust":
                    raise ValueError("a + after a repetition means something in PCRE only; leave it out")
                self._parts.append(text)
            case "literal":
                self._parts.append(text)

    def _open(self, text: str) -> None:
        self._parts.append(text)
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise ValueError(f"more than {_DEPTH_MAX} groups in groups")

    def _end_branch(self) -> None:
        if self._branch == len(self._parts):
            raise ValueError("an empty alternative matches every name; write .* where that is meant")

    def _escape(self, text: str) -> str:
        letter = text[1]
        if text.startswith(r"\x{"):
            return rf"\x{text[3:-1]:0>2}"
        if letter in _FOREIGN_ESCAPES:
            raise ValueError(f"{text} is not understood here; write it in another way")
        if letter in "123456789":
            self._alone = True
        return _ESCAPES.get(letter, text)

    def _set_flags(self, token: re.Match[str]) -> None:
        given, taken = ("".join(sorted(set(token[name] or "") - _IDLE_FLAGS)) for name in ("given", "taken"))
        if set(given + taken) - {"i", "m"} or set(given) & set(taken):
            raise ValueError(f"of flags, only i is understood here, not {token[0]}")
        if token["scope"] == ":":
            self._open(f"(?{given}-{taken}:" if taken else f"(?{given}:")
        elif self._parts or self._flags:
            raise ValueError(f"{token[0]} goes at the very beginning")
        else:
            self._flags = given


_UNREADABLE: Final = {
    "\\": "a \\ stands at the end",
    "[": "a [ is not closed",
    "(": "{} is not understood here; write it in another way",
}
"""Where no token begins."""


def _class(text: str, dialect: Dialect) -> str:
    """Translate a character class. Python warns of some characters in it that may one day be operators, as in Rust."""
    head = 2 if text.startswith("[^") else 1
    if len(text) == head + 1:
        raise ValueError("a [ is not closed: the ] that comes first is a character")
    # A ] that comes first is itself, as in the other two.
    return text[:head] + _CLASS_TOKEN.sub(lambda token: _class_part(token, dialect), text[head:-1]) + "]"


def _class_part(token: re.Match[str], dialect: Dialect) -> str:
    text = token[0]
    if token["posix"] is not None:
        if token["posix"] not in _POSIX:
            raise ValueError(f"{text} is no class that is known here")
        return _POSIX[token["posix"]]
    if token["hex"]:
        return rf"\x{token['hex']:0>2}"
    if token["escape"]:
        if token["escape"] in _FOREIGN_ESCAPES | {"H", "V", "R", "N"}:
            raise ValueError(f"{text} is not understood here; write it in another way")
        return _CLASS_ESCAPES.get(token["escape"], text)
    if token["operator"] and (dialect == "rust" or text == "--"):
        raise ValueError(f"{text} within [ ] has another meaning in each program; write \\ before each")
    if text == "[" and dialect == "rust":
        raise ValueError("a [ within [ ] begins a class within a class; write \\[ for the character")
    return "".join(f"\\{letter}" if letter in "[|&~" else letter for letter in text)

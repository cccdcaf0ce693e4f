"""Reads JSON as people write it, and remembers where everything stood.

JSON with what shadowsocks-rust's JSON5 files use beside it: comments (`//`,
`/* */`, and `#` of shell habit), trailing commas, single quotes, names without
quotes, hexadecimal and signed numbers. The reader goes on after a fault where it
can, so that one run tells all of them, and it never raises: what it could not
read is `BROKEN` in the tree, and a `Fault` in the list.

Called by `load.py`. It knows no setting, and no message of it repeats the text
it read: any piece of a configuration may be a password.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final, NoReturn

SIZE_MAX: Final = 1 << 20
"""Characters. shadowsocks-libev stops at 128 KiB; a subscription of thousands of servers is larger."""
DEPTH_MAX: Final = 32
"""Objects in objects. The deepest known key (`log.writers[].file`) needs five; recursion stays far from its limit."""
FAULTS_MAX: Final = 20
"""After so many the text is no configuration, and more lines help nobody."""
DIGITS_MAX: Final = 40
"""Of a number; Python refuses to read integers of more than 4300, and no setting needs more than ten."""


class Broken(Enum):
    """The value of a node that could not be read; its fault has been told."""

    BROKEN = "broken"


BROKEN: Final = Broken.BROKEN


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text."""

    where: str
    """The file's name, or the flag."""
    line: int | None = None
    """Counted from 1; None for a flag."""
    column: int | None = None
    default: bool = False
    """Whether nothing was said, and a dialect filled in what its program does then; `where` names that program."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it begins."""

    value: str | int | float | bool | Broken | tuple[Node, ...] | Mapping[str, Member] | None
    mark: Mark


@dataclass(frozen=True, slots=True)
class Member:
    """A value under its key, and where the key stands."""

    mark: Mark
    node: Node
    said: str = ""
    """The key that people wrote, where a dialect gave it another; empty for the same."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A place that is not JSON, and the sentence that says why."""

    mark: Mark
    key: str
    """Path of the value in which it was found; empty at the top."""
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What came out of a text: a tree, None where there is nothing of use, and the faults."""

    root: Node | None
    faults: tuple[Fault, ...]
    text: str = ""
    """What was read, where it has faults: it may be no JSON, but a list of links."""
    where: str = "config"
    """What messages call it."""


def read(text: str, where: str = "config") -> Reading:
    """Read a text; never raises."""
    reading = _Reader(text, where).read()
    return Reading(reading.root, reading.faults, text if reading.faults else "", where)


def plain(node: Node) -> object:
    """Return the value of a tree without its places, as `json.loads` would; BROKEN is None."""
    value = node.value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(member.node) for key, member in value.items()}
    return None if value is BROKEN else value


_SPACE = re.compile(r"[\s\ufeff]+|//[^\n]*|\#[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"[^\s,:\[\]{}\"'#/，：、｛｝［］“”„‟＂‘’＇]+")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_PLAIN = {'"': r'[^"\\\n]*', "'": r"[^'\\\n]*"}
# What few files have is compiled when it is met: a pattern costs a millisecond of every start.
_NAME = r"[^\W\d][\w$]*|\$[\w$]*"
_HEX4 = r"[0-9a-fA-F]{4}"
_HEX2 = r"[0-9a-fA-F]{2}"
_HEXADECIMAL = r"[+-]?0[xX][0-9a-fA-F]+"
_FRACTION = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_STOPS = r"[,\]}\n]"
_SOLID: Final = frozenset("{}[]:,\"'")
"""What most often stands where there may be white space, and is none."""
_BEGINS = {"{": r"""["'$\w]""", "[": r"""["'{\[+.\w-]"""}
"""What the next member or item may begin with."""

_ESCAPES: Final = {
    '"': '"',
    "'": "'",
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "0": "\0",
    "\n": "",  # a line that goes on
}
_LOOKALIKES: Final = {
    **dict.fromkeys("，、", "a comma is written ,"),
    "：": "a colon is written :",
    **dict.fromkeys("“”„‟＂‘’＇", 'a quote is written "'),
    **dict.fromkeys("｛｝［］", "brackets are written {} and []"),
}
"""Characters of other keyboards and of word processors, and what stands in their place in JSON."""
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_CLOSERS: Final = {"{": "}", "[": "]"}
_NOUNS: Final = {"{": "object", "[": "list"}


_compiled = cache(re.compile)


class _StopError(Exception):
    """Nothing more can be made of the text."""


class _Reader:
    """One pass over one text."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text.replace("\r\n", "\n").replace("\r", "\n")
        self._where = where
        self._at = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", self._text[: SIZE_MAX + 1]))]
        self._path: list[str] = []
        self._faults: list[Fault] = []
        self._sure = True
        """False from a fault to the next comma or line: what is read there may be the fault's debris."""
        self._ended = False

    def read(self) -> Reading:
        root: Node | None = None
        try:
            if len(self._text) > SIZE_MAX:
                self._stop(f"the text is longer than {SIZE_MAX} characters, more than any configuration needs")
            self._skip()
            if self._at == len(self._text):
                self._stop('the file is empty; a configuration begins with "{"')
            root = self._value(0)
            self._skip()
            if self._at < len(self._text) and not self._ended:
                self._fault("there is something after the end of the configuration; look for a bracket too many")
        except _StopError:
            pass
        return Reading(root, tuple(self._faults))

    # Places and faults

    def _mark(self, at: int) -> Mark:
        line = bisect_right(self._lines, at)
        return Mark(self._where, line, at - self._lines[line - 1] + 1)

    def _fault(self, text: str, at: int | None = None) -> None:
        if meant := _LOOKALIKES.get(self._peek()):
            at, text = None, f"{self._peek()} only looks like a character of JSON: {meant}"
        mark = self._mark(self._at if at is None else at)
        if not self._sure and self._faults[-1].mark.line == mark.line:
            return
        self._sure = False
        self._faults.append(Fault(mark, "".join(self._path).lstrip("."), text))
        if len(self._faults) >= FAULTS_MAX:
            raise _StopError

    def _stop(self, text: str) -> NoReturn:
        self._fault(text)
        raise _StopError

    # Between values

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        """Pass over white space and comments."""
        while self._peek() not in _SOLID and (found := _SPACE.match(self._text, self._at)):
            self._at = found.end()
        if self._text.startswith("/*", self._at):
            self._fault("this comment is not closed; end it with */")
            self._at = len(self._text)
            self._ended = True

    def _skip_rest(self) -> None:
        """After a fault: go to where the next value may begin."""
        found = _compiled(_STOPS).search(self._text, self._at)
        self._at = found.start() if found else len(self._text)

    # Values

    def _value(self, depth: int) -> Node:
        at, head = self._at, self._peek()
        if head in _CLOSERS:
            if depth == DEPTH_MAX:
                self._stop(f"values are nested deeper than {DEPTH_MAX}, deeper than any setting is")
            self._at += 1
            inside = self._object(at, depth + 1) if head == "{" else self._list(at, depth + 1)
            return Node(inside, self._mark(at))
        if head in _PLAIN:
            return Node(self._string(head), self._mark(at))
        return Node(self._bare(), self._mark(at))

    def _bare(self) -> int | float | bool | Broken | None:
        """Read a number or one of the three words."""
        found = _WORD.match(self._text, self._at)
        word = found.group() if found else ""
        if word in _WORDS:
            self._at += len(word)
            return _WORDS[word]
        if len(word) <= DIGITS_MAX and word.isascii():
            if _INTEGER.fullmatch(word) or _compiled(_HEXADECIMAL).fullmatch(word):
                self._at += len(word)
                return int(word, 16 if "x" in word.lower() else 10)
            if _compiled(_FRACTION).fullmatch(word):
                self._at += len(word)
                return float(word)
        if not word:
            self._fault("a value is missing here")
        elif word[0] in "+-.0123456789":
            self._fault("this is not a number of JSON; text goes in quotes")
        else:
            self._fault("text goes in quotes; the only words without them are true, false and null")
        self._skip_rest()
        return BROKEN

    def _string(self, quote: str) -> str | Broken:
        start, pieces, good, plain = self._at, list[str](), True, _compiled(_PLAIN[quote])
        self._at += 1
        while True:
            found = plain.match(self._text, self._at)
            assert found is not None  # the pattern matches nothing, too
            pieces.append(found.group())
            self._at = found.end()
            head = self._peek()
            if head == quote:
                self._at += 1
                break
            if head != "\\":
                self._fault("this text has no closing quote on its line", start)
                return BROKEN
            piece = self._escape()
            good = good and piece is not None
            pieces.append(piece or "")
        if not good:
            return BROKEN
        text = _join_pairs("".join(pieces))
        if text is None:
            self._fault("this text holds half of a \\u pair; write both halves or the character itself", start)
            return BROKEN
        return text

    def _escape(self) -> str | None:
        """Read what follows a backslash; None after a fault."""
        at = self._at
        letter = self._text[at + 1 : at + 2]
        for sign, digits in (("u", _HEX4), ("x", _HEX2)):
            if letter == sign and (found := _compiled(digits).match(self._text, at + 2)):
                self._at = found.end()
                return chr(int(found.group(), 16))
        self._at = at + 2 if letter else at + 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        self._fault("this backslash begins no known escape; a backslash itself is written \\\\", at)
        return None

    def _list(self, opened: int, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._closed("[", opened):
            self._path.append(f"[{len(items)}]")
            items.append(self._value(depth))
            self._path.pop()
            self._separate("[")
        return tuple(items)

    def _object(self, opened: int, depth: int) -> Mapping[str, Member]:
        members: dict[str, Member] = {}
        while not self._closed("{", opened):
            at = self._at
            key = self._key()
            if key is not None:
                self._path.append("" if key is BROKEN else "." + printable(key))
                self._skip()
                member = Member(self._mark(at), self._value(depth))
                if key is not BROKEN:
                    if key in members:
                        first = members[key].mark.line
                        self._fault(f"this key stands twice, first in line {first}; remove one", at)
                    members[key] = member
                self._path.pop()
            self._separate("{")
        return members

    def _key(self) -> str | Broken | None:
        """Read a key and its colon; None where there is no such thing."""
        at, head = self._at, self._peek()
        key: str | Broken
        if head in _PLAIN:
            key = self._string(head)
        elif found := _compiled(_NAME).match(self._text, at):
            key, self._at = found.group(), found.end()
        else:
            self._fault("a key is expected here: a name in quotes, then a colon and a value")
            self._skip_rest()
            return None
        after = self._at
        self._skip()
        if self._peek() == ":":
            self._at += 1
            return key
        # The key is not named: it may be a value that lost its own key.
        self._fault("a colon and a value are expected after this key", after)
        self._skip_rest()
        return None

    def _closed(self, opener: str, opened: int) -> bool:
        """True at the end of an object or a list, right or wrong; steps over its bracket."""
        self._skip()
        head = self._peek()
        if not head:
            if not self._ended:
                line = self._mark(opened).line
                closer = _CLOSERS[opener]
                self._fault(f"the {_NOUNS[opener]} that begins in line {line} is not closed; add {closer}", opened)
            self._ended = True
            return True
        if head not in "]}":
            return False
        if head != _CLOSERS[opener]:
            line = self._mark(opened).line
            noun, closer = _NOUNS[opener], _CLOSERS[opener]
            self._fault(f"{head} does not close the {noun} that begins in line {line}; that takes {closer}")
        self._at += 1
        return True

    def _separate(self, opener: str) -> None:
        """After a value: step over the comma, or find out what stands in its place."""
        after = self._at
        self._skip()
        head = self._peek()
        if head == ",":
            self._at += 1
            self._sure = True
        elif head and head not in "]}":
            self._fault("a comma is missing after this value", after)
            if not _compiled(_BEGINS[opener]).match(self._text, self._at):
                self._skip_rest()
                if self._peek() == ",":
                    self._at += 1
                    self._sure = True


def _join_pairs(text: str) -> str | None:
    """Make one character of each surrogate pair (RFC 8259 §7); None where a half stands alone."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return None


KEY_SHOWN_MAX: Final = 64
"""Characters of an unknown key that a message repeats."""


def printable(text: str) -> str:
    """Return a key so that it cannot forge a line of a log or a terminal: no controls, no great length."""
    if len(text) <= KEY_SHOWN_MAX and text.isprintable():
        return text
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[:KEY_SHOWN_MAX])
    return shown + "…" if len(text) > KEY_SHOWN_MAX else shown

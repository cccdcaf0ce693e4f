"""The reader: a parser sees the same bytes, whatever pieces they come in."""

from __future__ import annotations

import pytest

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire.reader import Reader
from shadesocks.wire.shadow import Parser

from .splits import all_splits


def words() -> Parser[list[bytes]]:
    """Reads words of one digit's size until a size of 0."""
    found = []
    while size := int(bytes((yield 1))):
        found.append(bytes((yield size)))
    return found


def test_any_split_gives_the_same_words_and_the_same_rest() -> None:
    for pieces in all_splits(b"3one2to5three0rest of it"):
        reader = Reader(words())
        result, left = None, b""
        for piece in pieces:
            if result is not None:
                left += piece
            else:
                result = reader.feed(piece)
        assert result == [b"one", b"to", b"three"]
        assert reader.rest + left == b"rest of it"


def test_what_was_not_asked_for_is_kept() -> None:
    reader = Reader(words())
    assert reader.feed(b"5thr") is None
    assert reader.rest == b"thr"
    assert reader.feed(memoryview(b"ee0")) == [b"three"]
    assert reader.rest == b""


def test_an_error_of_the_parser_comes_through() -> None:
    def picky() -> Parser[None]:
        yield 1
        raise RemoteProtocolError("bad_type")

    with pytest.raises(RemoteProtocolError, match="bad type"):
        Reader(picky()).feed(b"x")

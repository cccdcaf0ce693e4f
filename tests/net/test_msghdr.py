"""The layout that is written into is the one the C library has."""

from __future__ import annotations

import ctypes
import sys

import pytest

from shadesocks.net.msghdr import (
    CONTROL_SIZE,
    CONTROL_STEP,
    HEADER_SIZE,
    NAME_SIZE,
    NAME_STEP,
    PIECE_COUNT,
    SIZE,
    WORDS,
    Header,
    Headers,
    Message,
    is_known,
    make_room,
)

pytestmark = pytest.mark.skipif(not is_known(), reason="another layout than that of 64-bit Linux")


def test_words_stand_where_the_fields_are() -> None:
    assert Message.header.offset == 0
    assert Message.size.offset == 4 * SIZE
    assert Header.name_size.offset == 4 * NAME_SIZE
    assert Header.piece_count.offset == 4 * PIECE_COUNT
    assert Header.control_size.offset == 4 * CONTROL_SIZE
    assert Header.pieces.offset == 16  # the word that a run's first piece is written into
    assert ctypes.sizeof(Message) == HEADER_SIZE == 4 * WORDS


def test_each_header_has_its_own_name_and_control_message() -> None:
    headers = Headers(3, 28)
    for index in range(3):
        message = Message.from_address(headers.address + index * HEADER_SIZE)
        assert message.header.name_size == headers.words[index * WORDS + NAME_SIZE] == 28
        headers.names[index * NAME_STEP : index * NAME_STEP + 1] = bytes([index + 1])
        assert ctypes.string_at(message.header.name, 1) == bytes([index + 1])
        headers.controls[index * CONTROL_STEP : index * CONTROL_STEP + 1] = bytes([index + 7])
        assert ctypes.string_at(message.header.control, 1) == bytes([index + 7])
    assert headers.first.value == headers.address


def test_a_header_begins_where_it_is_told() -> None:
    headers = Headers(2, 0)
    headers.point(1, 4096)
    assert Message.from_address(headers.address + HEADER_SIZE).header.pieces == 4096


def test_room_stays_where_it_is() -> None:
    memory, address = make_room(100)
    memory[10:13] = b"abc"
    assert ctypes.string_at(address + 10, 3) == b"abc"
    assert memory[0:3] == bytes(3)


def test_another_byte_order_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    assert not is_known()

"""The memory that recvmmsg and sendmmsg read and write: arrays of `struct mmsghdr` and `struct iovec` of 64-bit Linux.

Made once with ctypes, and then read and written as plain words through memoryviews: a store costs 0.03 us.
"""

from __future__ import annotations

import ctypes
import sys
from mmap import mmap
from typing import Final

# struct mmsghdr of 64-bit Linux, in words of 4 bytes.
WORDS: Final = 16
HEADER_SIZE: Final = 64
NAME_SIZE, PIECE_COUNT, CONTROL_SIZE, SIZE = 2, 6, 10, 14
NAME_STEP: Final = 28
"""Bytes kept for a sockaddr: sockaddr_in6 has 28, sockaddr_in 16."""
CONTROL_STEP: Final = 24
"""Bytes kept for a control message: a header of 16, and 2 or 4 bytes, aligned."""
PIECE_SIZE: Final = 16
"""Of a struct iovec: address and size, 8 bytes each."""


class Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", Header), ("size", ctypes.c_uint))


def is_known() -> bool:
    """True where the system has the layout that is written here: 64 bits, the low ones first."""
    return ctypes.sizeof(Message) == HEADER_SIZE and sys.byteorder == "little"


def make_room(size: int) -> tuple[mmap, int]:
    """Return zeroed memory that stays where it is, and its address. A slice of it is bytes at once."""
    memory = mmap(-1, size)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Headers:
    """An array of message headers, each with room for a name and a control message."""

    __slots__ = ("address", "controls", "first", "names", "words")

    def __init__(self, count: int, name_size: int) -> None:
        memory, self.address = make_room(count * HEADER_SIZE)
        self.words = memoryview(memory).cast("I")
        self.first = ctypes.c_void_p(self.address)
        self.names, names = make_room(count * NAME_STEP)
        self.controls, controls = make_room(count * CONTROL_STEP)
        for index in range(count):
            message = Message.from_address(self.address + index * HEADER_SIZE)
            message.header.name = names + index * NAME_STEP
            message.header.name_size = name_size
            message.header.piece_count = 1
            message.header.control = controls + index * CONTROL_STEP
            message.header.control_size = CONTROL_STEP

    def point(self, index: int, pieces: int) -> None:
        """Let a header begin with the piece at that address."""
        Message.from_address(self.address + index * HEADER_SIZE).header.pieces = pieces

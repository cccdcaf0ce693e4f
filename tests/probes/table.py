"""The probe table: everything somebody without the key, or with a recording, may send to a server.

Called by the probe tests and by `python -m tests.probes`. A probe is bytes and a manner (one write or byte by byte,
ending first or waiting); what must come of it is the tests' matter. Probes that need a recording of a good
connection are made from one by `replays` and `reflections`.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from .craft import Crafter, IdentityCrafter, bad_addresses, is_2022, salt_size
from .prober import Probe

FIRST: Final = 300
"""Payload of the handshake that is cut and flipped: its first chunk has 256 bytes or more."""
LENGTHS: Final = (*range(1025), 4096, 65536)
LENGTHS_SAMPLE: Final = (
    *(0, 1, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 34, 35, 41, 42, 43, 44, 49, 50, 51, 52, 58, 59, 60, 66, 67, 68),
    *(74, 75, 76, 83, 84, 99, 220, 221, 222, 255, 256, 1023, 1024, 4096, 65536),
)
"""Around salts, first reads, the thresholds at which known servers gave themselves away, and the GFW's 221 bytes."""
FLIPS: Final = range(256)
STRIDE: Final = 13
"""Every 13th of a long row in a sample; 13 is prime to every size in the protocol."""
CHANGES: Final = ((0,), (*range(8), 62, 63), (16,), (5, 16))
"""Bytes changed in replays by the GFW (types R2 to R5 of the IMC 2020 study)."""


def random_bytes(whole: bool) -> Iterator[Probe]:
    for size in LENGTHS if whole else LENGTHS_SAMPLE:
        yield Probe("random", f"{size} bytes", partial(os.urandom, size), size)


def _first() -> bytes:
    return os.urandom(FIRST)


def truncations(crafter: Crafter, address: bytes, whole: bool) -> Iterator[Probe]:
    def make(cut: int) -> bytes:
        return crafter.good(address, _first())[:cut]

    size = len(crafter.good(address, bytes(FIRST)))
    edges = {0, 1, salt_size(crafter.method), size - 17, size - 16, size - 1}
    for cut in range(size) if whole else sorted({*range(0, size, STRIDE), *edges}):
        yield Probe("truncated", f"after {cut} of {size} bytes", partial(make, cut), cut)


def flip(data: bytes, places: Iterable[int]) -> bytes:
    """Change one bit in each of these bytes."""
    changed = bytearray(data)
    for at in places:
        changed[at] ^= 1 << at % 8
    return bytes(changed)


def flips(crafter: Crafter, address: bytes, whole: bool) -> Iterator[Probe]:
    def make(at: int) -> bytes:
        return flip(crafter.good(address, _first()), [at])

    size = len(crafter.good(address, bytes(FIRST)))
    for at in FLIPS if whole else FLIPS[::STRIDE]:
        yield Probe("flipped", f"in byte {at}", partial(make, at), size)


def malformed(crafter: Crafter, address: bytes, port: int) -> Iterator[Probe]:
    """What authenticates, and breaks the rules nevertheless: only a hostile user or a bug sends it."""
    rows = _malformed_2022 if is_2022(crafter.method) else _malformed_aead
    for name, make in rows(crafter, address, port):
        yield Probe.fresh("malformed", name, make)


_Rows = Iterator[tuple[str, Callable[[], bytes]]]


def _malformed_aead(crafter: Crafter, address: bytes, port: int) -> _Rows:
    request = address + _first()
    for name, bad in bad_addresses(port).items():
        yield name, partial(crafter.chunks, [bad + _first()])
        yield f"{name}, in two chunks", partial(crafter.chunks, [bad[:1], bad[1:] + _first()])
    yield "address cut short", partial(crafter.chunks, [address[:-1]])
    yield "length with a reserved bit", partial(crafter.chunks, [request], size=0x4000 | len(request))
    yield "length of 0xFFFF", partial(crafter.chunks, [request], size=0xFFFF)
    yield "an empty chunk and nothing else", partial(crafter.chunks, [b""])


def _malformed_2022(crafter: Crafter, address: bytes, port: int) -> _Rows:
    for name, bad in bad_addresses(port).items():
        yield name, partial(crafter.good, bad, _first())
    yield "address cut short", partial(crafter.variable, address[:-1])
    yield "no padding length", partial(crafter.variable, address)
    yield "neither payload nor padding", partial(crafter.variable, address + bytes(2))
    yield "padding past the end", partial(crafter.variable, address + struct.pack("!H", FIRST + 1) + _first())
    yield "empty variable header", partial(crafter.variable, b"")
    for kind in (1, 2, 255):
        yield f"header type {kind}", partial(crafter.good, address, _first(), kind=kind)


def stale(crafter: Crafter, address: bytes) -> Iterator[Probe]:
    """2022: time stamps out of range. The exact border of 30 s is a vector's matter: here the clock runs."""
    if not is_2022(crafter.method):
        return
    for shift in (-3600, -45, 90, 3600):
        yield Probe.fresh("stale", f"by {shift} s", partial(crafter.good, address, _first(), shift=shift))
    body = address + struct.pack("!H", 1) + bytes(1) + _first()
    for stamp in (0, 1 << 31, 1 << 63, (1 << 64) - 1):
        yield Probe.fresh("stale", f"at {stamp:#x}", partial(crafter.variable, body, stamp=stamp))


def identities(method: str, server: str, users: Sequence[str], address: bytes) -> Iterator[Probe]:
    """Who is no user of a server with users: of its key and theirs, each prober knows too little, or a wrong one."""
    anna, ben = users
    other = base64.b64encode(os.urandom(salt_size(method))).decode()
    rows = {
        "nobody's": IdentityCrafter(method, server, other),
        "of another server": IdentityCrafter(method, other, anna),
        "of a user, with another's key": IdentityCrafter(method, server, ben, named=anna),
        "of a user, with nobody's key": IdentityCrafter(method, server, other, named=anna),
        "of a user, with the server's key": IdentityCrafter(method, server, server, named=anna),
        "of the server itself": IdentityCrafter(method, server, server),
        "none, with the server's key": Crafter(method, server),
        "none, with a user's key": Crafter(method, anna),
    }
    for name, crafter in rows.items():
        yield Probe.fresh("identity", name, partial(crafter.good, address, _first()))


def replays(recorded: bytes, kind: str = "replayed") -> Iterator[Probe]:
    """A recorded, accepted handshake again: exact, and changed as the GFW does."""
    yield Probe.fixed(kind, "exact", recorded)
    for places in CHANGES:
        yield Probe.fixed(kind, f"changed in {len(places)} bytes from {places[0]}", flip(recorded, places))
    yield Probe.fixed(kind, "cut by one byte", recorded[:-1])
    yield Probe.fixed(kind, "with more behind", recorded + os.urandom(100))


def reflections(answer: bytes) -> Iterator[Probe]:
    """The server's own bytes sent back to it."""
    yield Probe.fixed("reflected", "exact", answer)
    yield Probe.fixed("reflected", "with more behind", answer + os.urandom(100))


def made(crafter: Crafter, address: bytes, port: int, whole: bool) -> Iterator[Probe]:
    """Every probe that needs no recording; one write, waiting."""
    yield from random_bytes(whole)
    yield from truncations(crafter, address, whole)
    yield from flips(crafter, address, whole)
    yield from malformed(crafter, address, port)
    yield from stale(crafter, address)


def manners(probe: Probe) -> Iterator[Probe]:
    """The same bytes in the other manner of sending too."""
    yield probe
    if probe.size:
        yield dataclasses.replace(probe, bytewise=True)


def ending(probe: Probe) -> Probe:
    """The same, by a prober who ends first."""
    return dataclasses.replace(probe, ends=True)

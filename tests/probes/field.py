"""Servers under probe, the target nobody may reach, and what each probe must come to.

Called by the probe tests and by `python -m tests.probes`. The rule is one (design §6): nothing before the deadline,
then end of file; who ends first gets end of file at once. Lateness of a busy machine is never a verdict: where a
connection was too slow to tell, it is tried again in a smaller company.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.interop.streams import pack_address
from tests.peers import HOST, PASSWORDS, Program, run

from .craft import Crafter, IdentityCrafter, salt_size
from .prober import Probe, Shot, connect, fire_all

SLACK: Final = 0.05
"""Seconds an event may precede the deadline: timers of a selector loop are rounded, clocks are read apart."""
PATIENCE: Final = 30.0
"""Seconds after the deadline within which a close must have come at all."""
AT_ONCE: Final = 0.8
"""Whoever ends first must be answered before this part of the deadline, else the deadline may have done it."""
TRIES, FEW = 4, 16
"""How often to try what was too slow to tell, and how many at once then."""

DEADLINE_KEYS: Final = {"ours": "handshake_timeout", "libev": "timeout", "rust": "timeout"}
"""The key of each program's configuration that limits a handshake."""


class Trap:
    """A target that counts who reached it, and takes nobody in."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind((HOST, 0))
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.address = pack_address(HOST, self.port)
        self.contacts = 0

    def count(self) -> int:
        """How many connections came so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                self.contacts += 1
        return self.contacts

    def pop(self, limit: float) -> bool:
        """Wait for one contact that is meant to come, and do not count it."""
        if not select.select([self._listener], [], [], limit)[0]:
            return False
        self._listener.accept()[0].close()
        return True

    def close(self) -> None:
        self._listener.close()


@dataclass(frozen=True, slots=True)
class Post:
    """One server under probe."""

    method: str
    program: Program
    crafter: Crafter


@contextlib.contextmanager
def post(name: str, method: str, folder: Path, deadline: float, port: int = 0) -> Iterator[Post]:
    """Run a server whose handshakes end at the deadline. The same folder keeps its state over restarts."""
    settings = {DEADLINE_KEYS[name]: int(deadline) if deadline == int(deadline) else deadline}
    with run(name, "server", method, folder, port=port, settings=settings) as program:
        yield Post(method, program, Crafter(method, PASSWORDS[method]))


USERS: Final = {
    method: tuple(base64.b64encode(bytes([letter]) * salt_size(method)).decode() for letter in b"ab")
    for method in ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm")
}
"""The keys of two users, for each method that can have some."""


@contextlib.contextmanager
def shared_post(method: str, folder: Path, deadline: float, port: int = 0) -> Iterator[Post]:
    """Run our server with two users; who probes is the first of them."""
    users = [{"name": f"user {number}", "password": key} for number, key in enumerate(USERS[method])]
    settings = {DEADLINE_KEYS["ours"]: deadline, "users": users}
    with run("ours", "server", method, folder, port=port, settings=settings) as program:
        yield Post(method, program, IdentityCrafter(method, PASSWORDS[method], USERS[method][0]))


@dataclass(frozen=True, slots=True)
class Recording:
    """What passed on the wire of one good connection."""

    sent: bytes
    answer: bytes


def record(place: Post, trap: Trap, limit: float = 20.0) -> Recording:
    """Make a good connection, whose target answers with the address of the trap: if the server took that answer
    for a request, it would lead to the trap. The trap itself is not contacted.
    """
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(1)
        listener.settimeout(limit)
        sent = place.crafter.good(pack_address(*listener.getsockname()), os.urandom(300))
        with connect(place.program.address) as sock:
            sock.settimeout(limit)
            sock.sendall(sent)
            far, _ = listener.accept()
            with far:
                far.settimeout(limit)
                assert far.recv(65536), "the target got no payload"
                far.sendall(trap.address + os.urandom(300))
                answer = sock.recv(65536)
                assert answer, "the server answered a good handshake with end of file"
    return Recording(sent, answer)


def slow(shot: Shot, deadline: float) -> bool:
    """True when this shot tells nothing: it may have met the deadline only because we, or the server, were late."""
    if shot.probe.ends:
        # A reset by then: the deadline came while we were still sending.
        return shot.outcome in ("fin", "reset") and shot.after >= deadline * AT_ONCE
    if shot.after < deadline - SLACK:
        return False
    return shot.sending >= deadline - SLACK


def complaint(shot: Shot, deadline: float) -> str | None:
    """Return what a shot shows against the rule, or None."""
    if shot.outcome == "data":
        return f"{shot.probe}: answered with {len(shot.answer)} bytes after {shot.after:.3f} s"
    if shot.outcome == "reset":
        return f"{shot.probe}: reset after {shot.after:.3f} s"
    if shot.outcome == "open":
        return f"{shot.probe}: still open {PATIENCE:.0f} s after the deadline of {deadline} s"
    if shot.probe.ends:
        if shot.after >= deadline * AT_ONCE:
            return f"{shot.probe}: not answered at once, only after {shot.after:.3f} s"
    elif shot.after < deadline - SLACK:
        return f"{shot.probe}: closed after {shot.after:.3f} s, before the deadline of {deadline} s"
    return None


def settle(probes: Iterable[tuple[Probe, tuple[str, int]]], deadline: float) -> list[Shot]:
    """Fire probes, and again those where the machine was too slow to tell."""
    todo = list(probes)
    done: list[Shot] = []
    for attempt in range(TRIES):
        shots = fire_all(todo, deadline + PATIENCE, FEW if attempt else 0)
        last = attempt + 1 == TRIES
        done += [shot for shot in shots if last or not slow(shot, deadline)]
        todo = [(shot.probe, shot.address) for shot in shots if slow(shot, deadline)]
        if not todo:
            break
    return done


def complaints(shots: Sequence[Shot], deadline: float) -> list[str]:
    return [text for shot in shots if (text := complaint(shot, deadline))]


def check(place: str, shots: Sequence[Shot], deadline: float) -> None:
    """Fail with the first few complaints and their number."""
    found = complaints(shots, deadline)
    assert not found, f"{place}: {len(found)} of {len(shots)} probes learnt something:\n  " + "\n  ".join(found[:20])

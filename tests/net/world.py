"""A reactor on the simulated kernel with a virtual clock, and the programs at the far ends of its sockets.

`World` is what most tests of `tests/net` begin with. It checks of itself that no turn spins, and at its end
(`assert_clean`) that nothing is left: handlers, interests, stories, tails, descriptors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from shadesocks.net import relay as relay_file
from shadesocks.net.end import End
from shadesocks.net.pipe import Scratch
from shadesocks.net.reactor import Reactor
from shadesocks.net.relay import Relay

from .clock import Clock
from .kernel import ERR, HUP, IN, LINGER_RESET, OUT, ROOMY, FakeSocket, Kernel

if TYPE_CHECKING:
    import pytest

    from shadesocks.wire.shadow import Opens, Seals

    Serve = Callable[[list[tuple[int, int]]], list[tuple[int, int]]]

MODELS: Final = ("epoll", "portable")
"""The back-ends that the simulated kernel can feed: one poll with bits, or a call for each reader and writer."""
TURNS_MAX: Final = 100_000
STILL_MAX: Final = 4
"""Turns that do something by which nothing changes: so many in a row are a loop that spins."""

_scratch: Final = Scratch()
"""Shared by all worlds, as by all connections; `assert_clean` finds it without tails."""


class KernelPoller:
    """The simulated kernel's epoll as a back-end of the reactor."""

    name = "simulated"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def register(self, fd: int, events: int) -> None:
        self._kernel.watch("add", fd, events)

    def modify(self, fd: int, events: int) -> None:
        self._kernel.watch("change", fd, events)

    def unregister(self, fd: int) -> None:
        self._kernel.watch("delete", fd, 0)

    def forget(self, fd: int) -> None:
        """A close forgets, as in Linux."""

    def close(self) -> None:
        self._kernel.interest.clear()


class World:
    """One kernel, one clock, one reactor."""

    def __init__(self, seed: int | None = None, model: str = "epoll") -> None:
        self.kernel = Kernel(seed)
        self.clock = Clock()
        self.reactor = Reactor("portable", self.clock.loop)
        self.scratch = _scratch
        self.scratch.tails = 0
        self.model = model
        self.outcomes: list[tuple[Relay, str]] = []
        """What relays reported, in the order of their ends."""
        self.bad: list[FakeSocket] = []
        """Sockets that went to `on_bad`."""
        self.programs: list[Program] = []
        if model == "epoll":
            self.reactor.poller = KernelPoller(self.kernel)

    # -- turns -----------------------------------------------------------------------------------

    def turn(self) -> bool:
        """One turn of loop and reactor; True when there was anything to do."""
        kernel, clock = self.kernel, self.clock
        if self.model == "epoll":
            events = kernel.poll()
            if events:
                foreign = [event for event in self.reactor.serve(events) if event[0] in kernel.interest]
                assert not foreign, f"events of descriptors that nobody knows: {foreign}"
        else:
            events = self._wake_readers()
        return clock.run_ready() or bool(events)

    def _wake_readers(self) -> list[tuple[int, int]]:
        """What asyncio's selector loop does with its readers and writers."""
        clock = self.clock
        events = []
        for fd in list(clock.readers.keys() | clock.writers.keys()):
            bits = self.kernel.table[fd].readiness()
            if bits & (IN | ERR | HUP) and fd in clock.readers:
                events.append((fd, IN))
                clock.due(clock.readers[fd])
            if bits & (OUT | ERR | HUP) and fd in clock.writers:
                events.append((fd, OUT))
                clock.due(clock.writers[fd])
        return events

    def run(self) -> None:
        """Turn until nothing is left to do at this moment. A loop that spins fails."""
        kernel = self.kernel
        still = 0
        for _ in range(TURNS_MAX):
            before = kernel.changes, self.clock.changes
            moved = self.turn()
            moved |= kernel.deliver() if kernel.random is None else kernel.drain()
            for program in self.programs:
                moved |= program.go_on()
            if not moved:
                return
            still = still + 1 if before == (kernel.changes, self.clock.changes) else 0
            assert still < STILL_MAX, f"the loop spins on {kernel.poll()}"
        raise AssertionError("the loop does not come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass; what is to be done at each moment is done."""
        until = self.clock.now + seconds
        self.run()
        while self.clock.next_timer(until):
            self.run()
        self.run()

    # -- what tests are made of ------------------------------------------------------------------

    def link(
        self, opener: Opens | None = None, sealer: Seals | None = None, *, room: int = ROOMY, inward: int = ROOMY
    ) -> tuple[End, Program]:
        """An end whose socket has so much room, and the program that it is connected to."""
        sock, far = self.kernel.pair(room, inward)
        program = Program(far, sock)
        self.programs.append(program)
        return End(sock.sock, opener, sealer), program

    def pair(self, room: int = ROOMY) -> tuple[Relay, Program, Program]:
        """A plain relay that has begun, between two programs; so much room towards the target."""
        left, client = self.link()
        right, target = self.link(room=room)
        relay = self.relay(left, right)
        relay.begin()
        self.run()
        return relay, client, target

    def relay(self, left: End, right: End, *, keep_bad: bool = False, **options: Any) -> Relay:
        """Join two ends; outcomes are noted. `keep_bad`: an end whose bytes are bad is given to the test."""

        def on_bad(sock: Any) -> None:
            self.bad.append(sock)
            self.reactor.watch(sock.fileno(), 0, lambda _events: None)

        return Relay(
            self.reactor, self.scratch, left, right, self.note, on_bad if keep_bad else None, started_at=self.clock.now
        )

    def note(self, relay: Relay, word: str) -> None:
        """What relays call at their end."""
        self.outcomes.append((relay, word))

    @property
    def words(self) -> list[str]:
        """The reason words of the relays that ended."""
        return [word for _, word in self.outcomes]

    def finish(self, *programs: Program) -> None:
        """Let the programs end, and see that the one connection is over and everything given back."""
        for program in programs:
            program.hears = True
            program.end()
        self.run()
        assert self.words == ["done"]
        self.advance(10.0)
        self.assert_clean()

    def discard(self, *socks: FakeSocket) -> None:
        """Close these links at both ends, and see that nothing is left."""
        for sock in socks:
            self.reactor.close(sock.sock)
            assert sock.other is not None
            sock.other.close()
        self.reactor.settle()
        self.assert_clean()

    def assert_clean(self, errors: int = 0) -> None:
        """Nothing is left of all that was."""
        assert self.reactor.errors == errors
        assert self.scratch.tails == 0, "the budget of tails is out of balance"
        for sock in self.bad:
            self.reactor.close(sock.sock)
        self.reactor.settle()
        for program in self.programs:
            program.sock.close()
        assert not self.reactor.stories
        assert not self.reactor.queue
        assert not {fd: handler for fd, handler in self.reactor.handlers.items() if handler}
        assert not self.kernel.interest
        assert not self.clock.readers
        assert not self.clock.writers
        assert not self.kernel.table, "descriptors were left open"


class Tale:
    """Notes what a story said, and how it ended."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.ends: list[tuple[Any, BaseException | None]] = []

    def done(self, result: Any, error: BaseException | None) -> None:
        self.ends.append((result, error))


class Program:
    """A program at the far end of a socket: it says what it is told to say, and hears when it is told to."""

    def __init__(self, sock: FakeSocket, relays: FakeSocket) -> None:
        self.sock = sock
        self.relays = relays
        """The relay's side of the link."""
        self.hears = True
        """False: it does not read, and its kernel's buffer fills."""
        self.got = bytearray()
        self.saw_end = False
        self.saw_reset = False
        self._to_say = bytearray()
        self._ends = False
        self._buffer = memoryview(bytearray(65536))

    def say(self, data: bytes) -> None:
        """Send, as fast as its kernel takes it."""
        self._to_say += data
        self.go_on()

    def end(self) -> None:
        """Send the end of file, after what there is to say."""
        self._ends = True
        self.go_on()

    def stuff(self, room: int) -> None:
        """Stop reading, with so much room in its kernel's buffer."""
        self.hears = False
        self.sock.arrival_room = room

    def reset(self) -> None:
        """Reset the connection."""
        self._to_say.clear()
        self.sock.linger = LINGER_RESET
        self.sock.close()

    def leave(self) -> None:
        """Close, reading nothing more: a reset if something had arrived."""
        self.sock.close()

    def hear(self, most: int) -> bytes:
        """Receive up to so many bytes; b"" where there are none now."""
        if self.sock.fd < 0 or self.saw_end or self.saw_reset:
            return b""
        try:
            size = self.sock.recv_into(self._buffer, min(most, len(self._buffer)))
        except BlockingIOError:
            return b""
        except OSError:
            self.saw_reset = True
            return b""
        self.saw_end = not size
        heard = bytes(self._buffer[:size])
        self.got += heard
        return heard

    def go_on(self) -> bool:
        """Say and hear what can be said and heard now; True when it was something."""
        if self.sock.fd < 0:
            return False
        did = self._speak()
        while self.hears and self.hear(ROOMY):
            did = True
        return did

    def _speak(self) -> bool:
        did = False
        try:
            while self._to_say:
                del self._to_say[: self.sock.send(bytes(self._to_say[:65536]))]
                did = True
            if self._ends and not self.sock.shut:
                self.sock.shutdown(1)
                did = True
        except BlockingIOError:
            pass
        except OSError:
            self._to_say.clear()
            self._ends = False
        return did


def count_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the relay ask the simulated sockets what is unsent; without, none of them tells, as on Windows."""

    def unsent(sock: Any) -> int:
        assert isinstance(sock, FakeSocket)
        return len(sock.outward) + (sock.shut and not sock.told)

    monkeypatch.setattr(relay_file, "unsent", unsent)

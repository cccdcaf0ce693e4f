"""What a server keeps of datagrams: sessions that idle, sessions that speak seldom, and strangers."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from .bench import Bench
from .figures import Row
from .process import BenchError, UdpTargetProcess, settled_memory, udp_queue
from .udp_load import Batch, Client, check, make_strangers
from .udp_start import Starter
from .udp_wire import make_sessions
from .wire import Account

if TYPE_CHECKING:
    from .systems import Found

STATE_WORKS: Final = ("udp-idle", "udp-minute", "udp-random")

SIZE: Final = 100
WINDOW: Final = 16
WARM_SESSIONS: Final = 20
WARM_STRANGERS: Final = 2000
SLICES: Final = 100
"""Into how many a second is cut: ten sessions speak at once, and the servers have a rest between."""


class UdpStates:
    """These works of one run."""

    def __init__(self, bench: Bench, starter: Starter) -> None:
        self._bench = bench
        self._starter = starter

    def measure(self, turn: int, account: Account) -> None:
        """The two long ones once: what they count is not a matter of luck."""
        bench = self._bench
        for found in self._starter.systems(turn, account):
            if "udp-idle" in bench.works and turn < bench.plan.memory_rounds:
                self._idle(turn, found, account)
            if "udp-random" in bench.works and not turn:
                self._random(turn, found, account)
        if "udp-minute" in bench.works and not turn:
            self._minute(turn, account)

    def _idle(self, turn: int, found: Found, account: Account) -> None:
        """Memory of sessions with one round trip each, in a fresh server."""
        bench, count = self._bench, self._bench.plan.sessions
        with UdpTargetProcess() as target, contextlib.ExitStack() as stack:
            server = self._starter.start(found, account, target)
            if server is None:
                return
            stack.enter_context(server)
            client = stack.enter_context(Client(server.address))
            with bench.attempt(server, "udp-idle"):
                warm = make_sessions(account, WARM_SESSIONS, net=2)
                client.rehearse(Batch(account, warm, target.echo, SIZE, WARM_SESSIONS), WARM_SESSIONS, WINDOW)
                before, before_own = settled_memory(server)
                held = server.descriptors()
                batch = Batch(account, make_sessions(account, count), target.echo, SIZE, count)
                lost = count - client.rehearse(batch, count, WINDOW)
                after, after_own = settled_memory(server)
                held = min(count, server.descriptors() - held)
                if lost:
                    raise BenchError(f"{lost} of {count} sessions had no answer")
                if held <= 0:
                    raise BenchError("it holds no socket for a session")
                if held < count:
                    bench.results.fail(
                        f"{server.name}, {account.method.name}, udp-idle",
                        f"it holds {held} of {count} sessions; the memory shown is that of each of those",
                    )
                for metric, value in (
                    ("session", (after - before) / held),
                    ("own", (after_own - before_own) / held),
                ):
                    row = Row("udp-idle", f"{count} sessions", metric, account.method.name)
                    bench.results.add(row, server.name, turn, value)

    def _random(self, turn: int, found: Found, account: Account) -> None:
        """Strangers' datagrams: is it alive, has it grown, what did each cost, was any answered."""
        bench, count = self._bench, self._bench.plan.strangers
        with UdpTargetProcess() as target, contextlib.ExitStack() as stack:
            server = self._starter.start(found, account, target)
            if server is None:
                return
            stack.enter_context(server)
            client = stack.enter_context(Client(server.address))
            outbox, port = make_strangers(), server.port
            with bench.attempt(server, "udp-random"):
                answers = float(client.strangers(outbox, WARM_STRANGERS, port))
                before, _ = settled_memory(server)
                held, drops = server.descriptors(), udp_queue(port)[1]
                used, more = bench.charged(server, lambda: float(client.strangers(outbox, count, port)), 0.02)
                time.sleep(0.1)
                answers += more + client.clear()
                drops = udp_queue(port)[1] - drops
                after, _ = settled_memory(server)
                if server.process.poll() is not None:
                    raise BenchError(f"it ended: {server.last_words()}")
                if server.descriptors() > held:
                    raise BenchError(f"it holds {server.descriptors() - held} descriptors more than before")
                check(account, server.address, target.echo)
                for metric, value in (
                    ("cpu", used / (count - drops)),
                    ("growth", after - before),
                    ("answers", answers),
                    ("loss", drops / count),
                ):
                    row = Row("udp-random", f"{count:,} datagrams", metric, account.method.name)
                    bench.results.add(row, server.name, turn, value)

    def _minute(self, turn: int, account: Account) -> None:
        """Every session sends one datagram a second; all systems at the same time, since this is no load."""
        bench, plan = self._bench, self._bench.plan
        sessions = make_sessions(account, plan.sessions)
        with UdpTargetProcess() as target, contextlib.ExitStack() as stack:
            servers = self._starter.start_all(stack, turn, account, target)
            clients = [stack.enter_context(Client(server.address)) for server in servers]
            came = [0] * len(servers)
            cpu = [server.cpu() for server in servers]
            due = time.monotonic()
            for _ in range(plan.minute):
                # Made in the second in which they leave: a 2022 stamp is good for thirty.
                batch = Batch(account, sessions, target.echo, SIZE, plan.sessions)
                for part in range(SLICES):
                    first, end = (plan.sessions * at // SLICES for at in (part, part + 1))
                    for number, client in enumerate(clients):
                        client.send(batch, first, end - first)
                        came[number] += client.drain(batch.wanted)
                    due += 1 / SLICES
                    time.sleep(max(0.0, due - time.monotonic()))
            time.sleep(0.5)
            sent = plan.sessions * plan.minute
            for server, client, got, before in zip(servers, clients, came, cpu, strict=True):
                with bench.attempt(server, "udp-minute"):
                    got += client.drain(batch.wanted)
                    for metric, value in (
                        ("loss", max(0, sent - got) / sent),
                        ("cpu", (server.cpu() - before) / max(1, got)),
                    ):
                        row = Row(
                            "udp-minute", f"{plan.sessions} sessions, {plan.minute} s", metric, account.method.name
                        )
                        bench.results.add(row, server.name, turn, value)

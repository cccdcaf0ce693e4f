"""Services that are asked: stubs that answer what a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shadesocks.cli.running import Found
from shadesocks.wire.control import UNKNOWN, ControlError

Answer = dict[str, Any] | Exception | Callable[..., dict[str, Any]]


class Sock:
    """What a limit is set on."""

    limit = 0.0

    def settimeout(self, limit: float) -> None:
        self.limit = limit


class Stub:
    """A service that is asked."""

    def __init__(
        self, pid: int, role: str = "server", master: int | None = None, store: str = "", **answers: Answer
    ) -> None:
        self.role, self.pid, self.master = role, pid, master
        self.config, self.path = f"/etc/{role}.json", f"/run/{role}-{pid}.sock"
        self.store = store
        self.words = frozenset(answers)
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.sock = Sock()
        self.closed = False

    def ask(self, do: str, **args: Any) -> Any:
        self.asked.append((do, args))
        answer = self.answers.get(do, ControlError(UNKNOWN, "no such word"))
        if isinstance(answer, Exception):
            raise answer
        return answer(**args) if callable(answer) else answer

    def close(self) -> None:
        self.closed = True


def found(*stubs: Stub, closed: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> Callable[[str | None], Found]:
    """Return what stands for `running.find`."""
    return lambda _path: Found(list(stubs), list(closed), list(silent))  # type: ignore[arg-type]

"""What it costs to count what passes for a user, to limit it, to keep it in a store; and the memory of ten thousand.

The limits are such that nothing is ever refused or slowed down: what is measured is looking at them.
"""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .beside import Variants
from .figures import Row
from .process import BenchError, Server, settled_memory
from .systems import OURS, launch_ours
from .wire import METHODS, make_account

if TYPE_CHECKING:
    from .bench import Bench
    from .systems import Found

WORK: Final = "accounts"
_LIMITS: Final = {"quota": "1000T", "up_speed": "1T", "down_speed": "1T", "connections": 10_000, "sessions": 10_000}
_STORE: Final = {"store": "users.db"}
VARIANTS: Final = Variants(
    WORK,
    {
        "nobody has a name": {},
        "a user": {"users": [{"name": "anna"}]},
        "in a store": {"users": [{"name": "anna"}], **_STORE},
        "with limits": {"users": [{"name": "anna", **_LIMITS}], **_STORE},
    },
    ("aes-256-gcm", "2022-blake3-aes-256-gcm"),
    (16,),
    "cpu_counted",
)
MANY: Final = 10_000
MEMORY_METHODS: Final = ("aes-256-gcm", "2022-blake3-aes-256-gcm")


def measure(bench: Bench, turn: int) -> None:
    """The memory of very many users on one port, in the first rounds."""
    ours = next((found for found in bench.systems if found.name == OURS), None)
    if ours is None or turn >= bench.plan.memory_rounds:
        return
    for method in MEMORY_METHODS:
        for case, config in (("as it comes", {}), (f"{MANY:,} users", _many(method)), ("and a store", _many(method))):
            try:
                value = _memory(bench, ours, method, config | (_STORE if case == "and a store" else {}))
            except (BenchError, OSError) as error:
                bench.results.fail(f"{OURS}, {method}, {WORK} {case}", str(error))
                continue
            bench.results.add(Row(WORK, case, "resident", method), OURS, turn, value)


def _many(method: str) -> dict[str, Any]:
    size = 32 if "256" in method else 16
    keys = (base64.b64encode(os.urandom(size)).decode() for _ in range(MANY))
    return {"users": [{"name": f"user {number}", "password": key} for number, key in enumerate(keys)]}


def _memory(bench: Bench, ours: Found, method: str, config: dict[str, Any]) -> int:
    account = make_account(METHODS[method])
    if config.get("users") and not account.method.is_2022:
        account = replace(account, password="")  # each user has one of his own
    directory = bench.directory / f"{WORK}-{os.urandom(4).hex()}"
    launch = partial(launch_ours, ours.program, directory, account=account, config=config)
    with Server(ours, account, directory, bench.cores, lambda port: launch(port=port)) as server:
        return settled_memory(server)[0]

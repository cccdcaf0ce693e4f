"""The users of a server, for whoever asks over the control socket. Keys are in no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...wire.control import ARGUMENTS, NOT_FOUND, ControlError

if TYPE_CHECKING:
    from .commands import Asked


async def users(asked: Asked, args: Mapping[str, Any]) -> dict[str, Any]:
    """List the users, or the one with a name: what each may, what lives, what passed.

    `trouble` is why that is no more than what passed since the start, where there is a store that does not say it now.
    """
    name = args.get("name")
    if name is not None and not isinstance(name, str):
        raise ControlError(ARGUMENTS, '"name" is a text')
    accounting = asked.service.accounting
    rows = [] if accounting is None else await accounting.rows(name)
    if name is not None and not rows:
        raise ControlError(NOT_FOUND, f"no user is called {name!r}")
    trouble = "" if accounting is None or accounting.kept is None else accounting.kept.silence
    return {"role": asked.service.role, "users": rows, "trouble": trouble}


def count(asked: Asked) -> dict[str, Any] | None:
    """Return how many there are, and how many are refused now, by word; None where nobody has a name.

    `trouble` is why what passes for them cannot be written; empty while it can. `remark` is what became of the store
    since the last reload, where it is another one than it was. Ten thousand users take 5 ms.
    """
    accounting = asked.service.accounting
    if accounting is None:
        return None
    kept = accounting.kept
    return {
        "count": len(accounting.users),
        "refused": dict(accounting.refused()),
        "trouble": "" if kept is None else kept.trouble,
        "remark": "" if kept is None else kept.remark,
    }

"""What all ports of a running service have in common, as a changed configuration wants it: judged first, then changed.

Access lists and the resolver change where they are, for connections that are open, too. What the parts of a server's
port are made with is there for the next ones that are made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .follow import OF_NAMES, OF_PORTS, differ
from .names import make_resolver
from .rules import origin_policy, read_shelf
from .sockets import check_sockets

if TYPE_CHECKING:
    from ..config.model import Config
    from .shared import Shared


async def renew(shared: Shared, before: Config, after: Config, own_ports: set[int]) -> tuple[Shared, tuple[str, ...]]:
    """Return what the ports have in common from now on, and the files of access lists that say something else now.

    Raises:
        ConfigError: a list cannot be used, or an option or a library is missing. Nothing changed.
    """
    fresh = await read_shelf(after)
    if differ(before, after, OF_PORTS):
        check_sockets(after)
    resolver = make_resolver(after) if differ(before, after, OF_NAMES) else None
    # From here on nothing fails.
    changed = shared.acls.take(fresh)
    if resolver is not None:
        await shared.names.follow(resolver)
    shared.journal.show_targets = after.log_targets
    if differ(before, after, ("forbidden_ip", "allow_private")):
        shared = replace(shared, origin=origin_policy(after, own_ports))
    return replace(shared, config=after), changed

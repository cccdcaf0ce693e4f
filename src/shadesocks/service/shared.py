"""What all listeners of a service have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .plugins.plugins import Plugins

if TYPE_CHECKING:
    from ..config.model import Config
    from ..crypto.replay_packets import PacketSalts
    from ..net.crowd import Crowd
    from ..net.datagrams import Datagrams
    from ..net.origin import OriginPolicy
    from ..net.pipe import Scratch
    from ..net.reactor import Reactor
    from ..net.resolve import Resolver
    from .journal import Journal
    from .roster import Roster
    from .rules import AclShelf
    from .siblings import Siblings
    from .state import SaltMemory
    from .users.accounting import Accounting


def wall() -> int:
    """Unix time in whole seconds: what time stamps are made of and compared to."""
    return int(time.time())


@dataclass(frozen=True, slots=True)
class Shared:
    """What all listeners of a service have in common."""

    config: Config
    reactor: Reactor
    scratch: Scratch
    journal: Journal
    names: Resolver
    origin: OriginPolicy
    """Of the targets a server dials, where no access list speaks."""
    bypass: OriginPolicy
    """Of what a client dials itself: it may reach the LAN, but not this process."""
    acls: AclShelf
    salts: SaltMemory
    silent_limit: int
    datagrams: Datagrams
    crowd: Crowd
    packet_salts: PacketSalts
    siblings: Siblings | None = None
    """What the processes share that serve the same ports; None: there is one."""
    accounting: Accounting | None = None
    """Who is served by name; None: nobody has one."""
    rosters: list[Roster] = field(default_factory=list)
    """The servers of a client, once a listener has needed them: one at most."""
    plugins: Plugins = field(default_factory=Plugins)

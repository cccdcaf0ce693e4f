"""What listeners share, without a service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shadesocks.config.model import Config
from shadesocks.crypto.replay_packets import PacketSalts
from shadesocks.net.crowd import Crowd
from shadesocks.net.datagrams import PlainDatagrams
from shadesocks.net.origin import OriginPolicy
from shadesocks.net.pipe import Scratch
from shadesocks.net.reactor import Reactor
from shadesocks.service.journal import Journal
from shadesocks.service.names import make_resolver
from shadesocks.service.rules import AclShelf
from shadesocks.service.shared import Shared
from shadesocks.service.state import SaltMemory


def shared_of(config: Config) -> Shared:
    """What listeners share, with nothing kept on a disk."""
    reactor = Reactor()
    salts = SaltMemory(None, reactor.loop.time)
    return Shared(
        config,
        reactor,
        Scratch(),
        Journal(show_targets=False),
        make_resolver(config),
        OriginPolicy(),
        OriginPolicy(allow_private=True),
        AclShelf(config),
        salts,
        10,
        PlainDatagrams(),
        Crowd(1, 1, 1),
        PacketSalts(),
    )


@asynccontextmanager
async def furnished(config: Config) -> AsyncIterator[Shared]:
    """Lend what listeners share."""
    shared = shared_of(config)
    try:
        yield shared
    finally:
        for roster in shared.rosters:
            roster.close()
        shared.salts.close()
        await shared.names.close()
        shared.reactor.stop()

"""What lives in a service, for whoever asks over the control socket: `status`, `sessions`, `kick`, `reload`.

The same at both ends. Lists of thousands are made in pieces, between which the loop turns.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ...core.networks import parse_network
from ...wire.control import ARGUMENTS, FAILED, NOT_FOUND, ControlError
from ..pulses import resident
from ..sessions import HANDSHAKE, Session, sessions_of, stages_of
from . import users

if TYPE_CHECKING:
    from .commands import Asked

Args = Mapping[str, Any]

PIECE: Final = 500
"""Rows between two turns of the loop: 5 ms."""


def status(asked: Asked, _args: Args) -> dict[str, Any]:
    """Say how the service is, and what passed since its start."""
    service, journal, packets = asked.service, asked.service.journal, asked.service.packets
    _, up, down = journal.totals()
    now = time.time()
    lanes = {id(house.lane): len(house) for port in asked.ports.every if (house := port.face.strangers) is not None}
    return {
        "role": service.role,
        "pid": os.getpid(),
        "master": os.getppid() if asked.shared.siblings is not None else None,
        "config": service.config.where,
        "started_at": round(journal.began_at, 3),
        "uptime": round(max(0.0, now - journal.began_at), 3),
        "memory": resident(),
        "addresses": [str(address) for address in service.addresses],
        "servers": len(service.servers),
        "stages": stages_of(asked.ports.every),
        "strangers": sum(lanes.values()),
        "accepted": journal.accepted,
        "tcp": {"up": up, "down": down},
        "udp": {
            "sessions": packets.sessions,
            "up": packets.up_bytes,
            "down": packets.down_bytes,
            "up_packets": packets.up_packets,
            "down_packets": packets.down_packets,
            "dropped": dict(packets.dropped),
        },
        "reasons": dict(journal.reasons),
        "users": users.count(asked),
        "reloaded": None if service.reloaded is None else service.reloaded.told(),
    }


async def sessions(asked: Asked, _args: Args) -> dict[str, Any]:
    """List the connections and UDP sessions."""
    found = _all(asked)
    numbers = asked.numbers.give(each.key for each in found)
    now, targets = asked.shared.reactor.loop.time(), asked.service.config.control_targets
    rows = []
    for at in range(0, len(found), PIECE):
        rows += [
            each.row(number, now, targets=targets)
            for each, number in zip(found[at : at + PIECE], numbers[at : at + PIECE], strict=True)
        ]
        await asyncio.sleep(0)
    return {"role": asked.service.role, "targets": targets, "sessions": rows}


def kick(asked: Asked, args: Args) -> dict[str, Any]:
    """End one session, or all of a source, user, server or port: those for which all of it holds that was named."""
    words = ("session", "source", "user", "server", "port")
    number, source, user, server, port = (args.get(word) for word in words)
    if all(each is None for each in (number, source, user, server, port)):
        text = (
            '"with" has "session" or "port", a number, "source", an address or network, or "user" or "server", a name'
        )
        raise ControlError(ARGUMENTS, text)
    for word, value in (("session", number), ("port", port)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ControlError(ARGUMENTS, f'"{word}" is a number')
    for word, value in (("source", source), ("user", user), ("server", server)):
        if value is not None and not isinstance(value, str):
            raise ControlError(ARGUMENTS, f'"{word}" is a text')
    network = None
    if source is not None:
        try:
            network = parse_network(source)
        except ValueError as error:
            raise ControlError(ARGUMENTS, f"source: {error}") from None
    found = _all(asked)
    chosen = [
        each
        for each, its in zip(found, asked.numbers.give(each.key for each in found), strict=True)
        if (number is None or its == number)
        and (network is None or each.is_from(network))
        and (user is None or each.user == user)
        and (server is None or server in _names(asked, each))
        and (port is None or each.port == port)
    ]
    if number is not None and not chosen:
        raise ControlError(NOT_FOUND, f"there is no session {number}, or it has ended")
    if number is not None and chosen[0].stage == HANDSHAKE:
        raise ControlError(FAILED, f"nobody is known in session {number} yet: it ends at its deadline by itself")
    ended = 0
    for each in chosen:
        if each.end is not None:
            each.end()
            ended += 1
    asked.shared.reactor.settle()
    return {"ended": ended}


async def reload(asked: Asked, _args: Args) -> dict[str, Any]:
    """Read the configuration again, and say what came of it."""
    assert asked.service.reread is not None, "the command is there where it can be done"
    return await asked.service.reread()


def _all(asked: Asked) -> list[Session]:
    return list(sessions_of(asked.ports.every, asked.shared, asked.service.journal))


def _names(asked: Asked, session: Session) -> tuple[str, ...]:
    """Return what the server of a session is called: its name, its id, its address."""
    for server in asked.service.servers:
        if session.server in (server.remarks, str(server.address)):
            return session.server, server.id, str(server.address)
    return (session.server,)

"""What a plugin is started for: where it listens, and when it is taken for ready, at either end."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from shadesocks.config.model import Mode, PluginConfig
from shadesocks.core.address import Address
from shadesocks.service.plugins.errand import SILENT_SETTLE, ClientErrand, ServerErrand
from shadesocks.service.plugins.owner import Owner

from ..rig import HOST, echo, run, target

REMOTE = Address("203.0.113.5", 443)
BEHIND = Address(HOST, 9)
TCP, UDP = PluginConfig("p"), PluginConfig("p", mode=Mode.UDP_ONLY)


def test_a_clients_listens_at_a_port_that_is_free() -> None:
    errand = ClientErrand(TCP, REMOTE, HOST)
    place = errand.choose(None)
    assert place.host == HOST
    assert errand.listens_at(place) == place
    assert errand.choose(place) == place
    with socket.socket() as taken:
        taken.bind((HOST, place.port))
        assert errand.choose(place) != place
    assert errand.tries > 1


def test_a_servers_listens_where_clients_come() -> None:
    errand = ServerErrand(TCP, REMOTE, BEHIND)
    assert errand.choose(None) == errand.choose(REMOTE) == BEHIND
    assert errand.listens_at(BEHIND) == REMOTE
    assert errand.tries == 1


def test_a_client_connects_and_a_server_looks() -> None:
    async def story() -> None:
        async with target(echo) as place:
            nobody = ClientErrand(TCP, REMOTE, HOST).choose(None)
            for errand in (ClientErrand(TCP, REMOTE, HOST), ServerErrand(TCP, place, BEHIND)):
                assert await errand.is_ready(place, Owner.UNKNOWN, 0)
                assert not await errand.is_ready(nobody, Owner.UNKNOWN, 100)
            assert not await ClientErrand(TCP, REMOTE, HOST).is_ready(nobody, Owner.OURS, 0)
            assert await ServerErrand(TCP, nobody, BEHIND).is_ready(nobody, Owner.OURS, 0)

    run(story())


@pytest.mark.parametrize("errand", [ClientErrand(UDP, REMOTE, HOST), ServerErrand(UDP, REMOTE, BEHIND)])
def test_datagrams_settle_where_nobody_can_look(errand: Any) -> None:
    async def story() -> None:
        assert await errand.is_ready(REMOTE, Owner.OURS, 0)
        assert not await errand.is_ready(REMOTE, Owner.UNKNOWN, 0)
        assert await errand.is_ready(REMOTE, Owner.UNKNOWN, SILENT_SETTLE)

    run(story())

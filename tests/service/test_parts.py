"""Parts that both ends are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import Config
from shadesocks.service.parts import connector, packets_of, quirks_of, shadow_of, to_operators_hosts
from shadesocks.wire.aead2022 import Aead2022Shadow
from shadesocks.wire.packet_aead2022 import Aead2022Packets
from shadesocks.wire.shadow import Quirks

from .furniture import furnished
from .rig import run, server_config


@pytest.mark.parametrize(
    ("options", "config", "quirks"),
    [
        ({}, {}, Quirks()),
        ({"one_time_auth": True}, {}, Quirks(one_time_auth=True)),
        ({"compat": "procurator"}, {}, Quirks(names_only=True)),
        ({}, {"stream_replay": "refuse"}, Quirks(refuse_repeats=True)),
    ],
)
def test_the_habits_of_old_programs_reach_the_wire(
    options: dict[str, Any], config: dict[str, Any], quirks: Quirks
) -> None:
    assert quirks_of(Config(**config), replace(server_config(), **options)) == quirks


def test_a_method_becomes_what_speaks_it_and_a_time_out_a_lane() -> None:
    async def story() -> None:
        server = replace(server_config("2022-blake3-aes-128-gcm", port=1), dial_timeout=3.0)
        async with furnished(Config(servers=(server,))) as shared:
            assert isinstance(shadow_of(shared, server), Aead2022Shadow)
            assert isinstance(packets_of(shared, server), Aead2022Packets)
            for made in (to_operators_hosts(shared, server), connector(shared, shared.origin, 3.0, server.outbound)):
                assert made._deadline is shared.reactor.lane(3.0)

    run(story())

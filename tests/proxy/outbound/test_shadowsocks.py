"""Through a server: what leaves first."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.net.end import End
from shadesocks.net.pipe import Scratch
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.proxy.seams import First
from tests.proxy.rig import NOW, Target
from tests.service.rig import run
from tests.wire.codecs import SEALED, shadow_of
from tests.wire.hearing import ServerHearing

TARGET = Address("target.example", 443)


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.parametrize("first", [b"", b"first"])
def test_header_and_first_payload_leave_together(name: str, first: bytes) -> None:
    async def story() -> None:
        server = Target()
        sent = []

        async def connect(opening: First) -> End:
            sent.append(bytes(opening))
            return End(server.near)

        dialer = ShadowsocksDialer(connect, shadow_of(name), Scratch(), lambda: NOW, lambda size: b"s" * size)
        end = await dialer.dial(TARGET, first)
        assert end.sealer is not None
        assert end.sealer.owes is not bool(first)
        hearing = ServerHearing(shadow_of(name), NOW)
        if first:
            hearing.hears(sent)
            assert (hearing.word, bytes(hearing.payload)) == ("", first)
            assert hearing.request is not None
            assert hearing.request.target == TARGET
        else:
            assert sent == [b""]
        server.close()

    run(story())

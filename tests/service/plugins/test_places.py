"""Ports of this machine: one that is free, and whether somebody answers."""

from __future__ import annotations

import socket

import pytest

from shadesocks.core.address import Address
from shadesocks.service.plugins.places import answers, free_place, is_free

from ..rig import HOST, echo, run, target


@pytest.mark.parametrize(("tcp", "udp"), [(True, False), (False, True), (True, True)])
def test_a_free_port_is_free_for_what_is_wanted(tcp: bool, udp: bool) -> None:
    place = free_place(HOST, tcp=tcp, udp=udp)
    assert is_free(place, tcp=tcp, udp=udp)
    with socket.socket(type=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.bind((place.host, place.port))
        assert not is_free(place, tcp=tcp, udp=udp)


def test_whoever_listens_answers() -> None:
    async def story() -> None:
        async with target(echo) as place:
            assert await answers(place)
            assert await answers(Address("0.0.0.0", place.port))
        assert not await answers(place)

    run(story())

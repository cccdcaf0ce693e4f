"""Where a payload begins behind its address: the same place that the parser of addresses finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import ADDRESS_MAX, Address, parse_address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.crypto.keys import IDENTITIES_MOST
from shadesocks.wire.packet import HEADROOM, OVERHEAD_MAX, payload_at

ADDRESSES = [Address("192.0.2.1", 53), Address("a", 0), Address("x" * 255, 65535), Address("2001:db8::1", 443)]


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_behind_each_kind_of_address(address: Address) -> None:
    packed = address.pack()
    for before, after in ((b"", b""), (b"header", b""), (b"", b"payload"), (b"header", b"\x01payload")):
        buffer = memoryview(before + packed + after)
        assert payload_at(buffer, len(before), len(buffer)) == len(before) + len(packed)


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_an_address_that_is_cut_is_refused_whatever_the_buffer_holds_behind(address: Address) -> None:
    packed = address.pack()
    buffer = memoryview(packed + bytes(ADDRESS_MAX))
    for size in range(len(packed)):
        with pytest.raises(RemoteProtocolError) as refused:
            payload_at(buffer, 0, size)
        assert refused.value.code == "truncated_header"


@pytest.mark.parametrize("kind", [0, 2, 5, 0x11, 0x13, 0x14, 255])
def test_other_kinds_are_refused(kind: int) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        payload_at(memoryview(bytes((kind,)) * 300), 0, 300)
    assert refused.value.code == "bad_atyp"


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        payload_at(memoryview(b"\x03\x00\x00\x50payload"), 0, 11)
    assert refused.value.code == "empty_domain"


@given(
    st.builds(lambda kind, rest: bytes((kind,)) + rest, st.sampled_from([1, 3, 4, 0]), st.binary(max_size=40))
    | st.binary(max_size=300)
)
def test_agrees_with_the_parser_of_addresses(data: bytes) -> None:
    """But for what a name may hold, which is judged where the name is used."""
    try:
        _, size = parse_address(data)
    except RemoteProtocolError as error:
        if error.code != "bad_domain":
            with pytest.raises(RemoteProtocolError):
                payload_at(memoryview(data), 0, len(data))
    else:
        assert payload_at(memoryview(data), 0, len(data)) == size


def test_the_room_is_enough_for_every_format() -> None:
    longest_header, padding, tag, longest_front = 19, 900, 16, 16 + 16 * IDENTITIES_MOST
    assert longest_front >= 24 + 16  # that of chacha20
    assert longest_header + padding <= HEADROOM
    assert longest_front + longest_header + padding + tag <= OVERHEAD_MAX

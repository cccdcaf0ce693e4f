"""From a method to its wire format: every method that is ready has one, the others say so."""

from __future__ import annotations

import pytest

from shadesocks.core.errors import LocalProtocolError
from shadesocks.crypto.methods import METHODS, Edition, is_ready
from shadesocks.wire.aead import AeadShadow
from shadesocks.wire.aead2022 import Aead2022Shadow
from shadesocks.wire.editions import make_packets, make_shadow
from shadesocks.wire.packet_aead import AeadPackets
from shadesocks.wire.packet_aead2022 import Aead2022Packets
from shadesocks.wire.packet_plain import PlainPackets
from shadesocks.wire.packet_stream import StreamPackets
from shadesocks.wire.plain import PlainShadow
from shadesocks.wire.stream import StreamShadow
from tests.crypto.lacking import without_pycryptodomex

FORMATS = {
    Edition.PLAIN: PlainShadow,
    Edition.STREAM: StreamShadow,
    Edition.AEAD: AeadShadow,
    Edition.AEAD2022: Aead2022Shadow,
}
PACKETS = {
    Edition.PLAIN: PlainPackets,
    Edition.STREAM: StreamPackets,
    Edition.AEAD: AeadPackets,
    Edition.AEAD2022: Aead2022Packets,
}


@pytest.mark.parametrize("name", METHODS)
def test_each_method(name: str) -> None:
    method = METHODS[name]
    keys = [bytes(method.key_size)]
    if is_ready(method):
        assert isinstance(make_shadow(method, keys), FORMATS[method.edition])
        assert isinstance(make_packets(method, keys, bytes, bool), PACKETS[method.edition])
    else:
        with pytest.raises(LocalProtocolError, match=name):
            make_shadow(method, keys)
        with pytest.raises(LocalProtocolError, match=name):
            make_packets(method, keys, bytes, bool)


@pytest.mark.parametrize("name", ["2022-blake3-chacha20-poly1305", "aes-256-gcm", "none"])
def test_identity_keys_and_users_where_there_are_no_headers(name: str) -> None:
    method = METHODS[name]
    for make in (
        lambda: make_shadow(method, [bytes(32), bytes(32)]),
        lambda: make_shadow(method, [bytes(32)], users=lambda _tag: None),
        lambda: make_packets(method, [bytes(32), bytes(32)], bytes, bool),
        lambda: make_packets(method, [bytes(32)], bytes, bool, users=lambda _tag: None),
    ):
        with pytest.raises(LocalProtocolError, match=f"{name} has no identity headers"):
            make()


@pytest.mark.parametrize("name", ["salsa20", "rc2-cfb"])
def test_what_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pycryptodomex(monkeypatch)
    for make in (
        lambda: make_shadow(METHODS[name], [bytes(32)]),
        lambda: make_packets(METHODS[name], [b""], bytes, bool),
    ):
        with pytest.raises(LocalProtocolError, match=f"^{name} needs pycryptodomex: pip install"):
            make()

"""From a method and its keys to the wire format that speaks it: a literal table, no registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..core.errors import LocalProtocolError
from ..crypto.available import missing
from ..crypto.methods import Edition, Method, is_ready
from .aead import AeadShadow
from .aead2022 import Aead2022Shadow
from .packet import PacketShadow
from .packet_aead import AeadPackets, NewSalt
from .packet_aead2022 import Aead2022Packets, Claim
from .packet_plain import PlainPackets
from .plain import PlainShadow
from .shadow import NO_QUIRKS, Quirks, Random, Shadow


def _stream(method: Method, keys: Sequence[bytes], quirks: Quirks) -> Shadow:
    from .stream import StreamShadow  # with its ciphers: for old peers only

    return StreamShadow(method, keys[0], quirks)


def _stream_packets(
    method: Method, keys: Sequence[bytes], random: Random, insert: NewSalt, quirks: Quirks, _claim: Claim | None
) -> PacketShadow:
    from .packet_stream import StreamPackets

    return StreamPackets(method, keys[0], random, insert, quirks)


_EDITIONS: Final[dict[Edition, Callable[[Method, Sequence[bytes], Quirks], Shadow]]] = {
    Edition.PLAIN: lambda _method, _keys, _quirks: PlainShadow(),
    Edition.STREAM: _stream,
    Edition.AEAD: lambda method, keys, _quirks: AeadShadow(method, keys[0]),
    Edition.AEAD2022: lambda method, keys, _quirks: Aead2022Shadow(method, keys[0]),
}


_MakePackets = Callable[[Method, Sequence[bytes], Random, NewSalt, Quirks, Claim | None], PacketShadow]
_PACKETS: Final[dict[Edition, _MakePackets]] = {
    Edition.PLAIN: lambda _method, _keys, _random, _insert, _quirks, _claim: PlainPackets(),
    Edition.STREAM: _stream_packets,
    Edition.AEAD: lambda method, keys, random, insert, _quirks, _claim: AeadPackets(method, keys[0], random, insert),
    Edition.AEAD2022: lambda method, keys, random, _insert, _quirks, claim: Aead2022Packets(
        method, keys[0], random, claim
    ),
}


def make_shadow(method: Method, keys: Sequence[bytes], quirks: Quirks = NO_QUIRKS) -> Shadow:
    """Return the method with its key, for streams. `keys` are those of `crypto.keys.parse_keys`.

    Raises:
        LocalProtocolError: `bad_method` for a method this version only knows by name, or that needs what is not
            installed; `eih_not_supported` for identity keys, which a later version speaks.
    """
    _check(method, keys)
    return _EDITIONS[method.edition](method, keys, quirks)


def make_packets(
    method: Method,
    keys: Sequence[bytes],
    random: Random,
    insert: NewSalt,
    quirks: Quirks = NO_QUIRKS,
    claim: Claim | None = None,
) -> PacketShadow:
    """Return the method with its key, for datagrams; see `make_shadow`.

    `insert` records the salt of a datagram, and says False when it was known. `claim` takes a packet of a 2022 session
    where several processes serve one port.
    """
    _check(method, keys)
    return _PACKETS[method.edition](method, keys, random, insert, quirks, claim)


def _check(method: Method, keys: Sequence[bytes]) -> None:
    if not is_ready(method):
        raise LocalProtocolError("bad_method", f"{method.name} is not supported by this version")
    if lack := missing(method):
        raise LocalProtocolError("bad_method", lack)
    if len(keys) > 1:
        raise LocalProtocolError("eih_not_supported", "identity keys are not supported by this version")

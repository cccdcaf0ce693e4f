"""From a method and its keys to the wire format that speaks it: a literal table, no registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..core.errors import LocalProtocolError
from ..crypto.methods import Edition, Method, is_ready
from .aead import AeadShadow
from .aead2022 import Aead2022Shadow
from .packet import PacketShadow
from .packet_aead import AeadPackets, NewSalt
from .packet_aead2022 import Aead2022Packets
from .packet_plain import PlainPackets
from .plain import PlainShadow
from .shadow import NO_QUIRKS, Quirks, Random, Shadow

_EDITIONS: Final[dict[Edition, Callable[[Method, Sequence[bytes]], Shadow]]] = {
    Edition.PLAIN: lambda _method, _keys: PlainShadow(),
    Edition.AEAD: lambda method, keys: AeadShadow(method, keys[0]),
    Edition.AEAD2022: lambda method, keys: Aead2022Shadow(method, keys[0]),
}


_PACKETS: Final[dict[Edition, Callable[[Method, Sequence[bytes], Random, NewSalt], PacketShadow]]] = {
    Edition.PLAIN: lambda _method, _keys, _random, _insert: PlainPackets(),
    Edition.AEAD: lambda method, keys, random, insert: AeadPackets(method, keys[0], random, insert),
    Edition.AEAD2022: lambda method, keys, random, _insert: Aead2022Packets(method, keys[0], random),
}


def make_shadow(method: Method, keys: Sequence[bytes], quirks: Quirks = NO_QUIRKS) -> Shadow:
    """Return the method with its key, for streams. `keys` are those of `crypto.keys.parse_keys`.

    Raises:
        LocalProtocolError: `bad_method` for a method this version only knows by name,
            `eih_not_supported` for identity keys, which a later version speaks.
    """
    _check(method, keys)
    return _EDITIONS[method.edition](method, keys)


def make_packets(
    method: Method, keys: Sequence[bytes], random: Random, insert: NewSalt, quirks: Quirks = NO_QUIRKS
) -> PacketShadow:
    """Return the method with its key, for datagrams; see `make_shadow`.

    `insert` records the salt of a datagram, and says False when it was known.
    """
    _check(method, keys)
    return _PACKETS[method.edition](method, keys, random, insert)


def _check(method: Method, keys: Sequence[bytes]) -> None:
    if not is_ready(method):
        raise LocalProtocolError("bad_method", f"{method.name} is not supported by this version")
    if len(keys) > 1:
        raise LocalProtocolError("eih_not_supported", "identity keys are not supported by this version")

"""From a method and its keys to the wire format that speaks it: a literal table, no registry.

Each edition is loaded, with its ciphers and digests, when a method of it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ..core.errors import LocalProtocolError
from ..crypto.available import missing
from ..crypto.methods import Edition, Method, is_ready
from .shadow import NO_QUIRKS, Quirks, Random, Shadow

if TYPE_CHECKING:
    from .identity import ByIdentity
    from .packet import PacketShadow
    from .packet_aead import NewSalt
    from .packet_aead2022 import Claim
    from .packet_aead_users import GroupOf
    from .search import Keyring


# Streams


def _plain(_method: Method, _keys: Sequence[bytes], _quirks: Quirks, _users: ByIdentity | None) -> Shadow:
    from .plain import PlainShadow

    return PlainShadow()


def _stream(method: Method, keys: Sequence[bytes], quirks: Quirks, _users: ByIdentity | None) -> Shadow:
    from .stream import StreamShadow

    return StreamShadow(method, keys[0], quirks)


def _aead(method: Method, keys: Sequence[bytes], _quirks: Quirks, _users: ByIdentity | None) -> Shadow:
    from .aead import AeadShadow

    return AeadShadow(method, keys[0])


def _aead2022(method: Method, keys: Sequence[bytes], _quirks: Quirks, users: ByIdentity | None) -> Shadow:
    from .aead2022 import Aead2022Shadow

    return Aead2022Shadow(method, keys[-1], identities=keys[:-1], users=users)


_EDITIONS: Final[dict[Edition, Callable[[Method, Sequence[bytes], Quirks, ByIdentity | None], Shadow]]] = {
    Edition.PLAIN: _plain,
    Edition.STREAM: _stream,
    Edition.AEAD: _aead,
    Edition.AEAD2022: _aead2022,
}


# Datagrams


def _plain_packets(*_of_others: object) -> PacketShadow:
    from .packet_plain import PlainPackets

    return PlainPackets()


def _stream_packets(
    method: Method, keys: Sequence[bytes], random: Random, insert: NewSalt, quirks: Quirks, *_: object
) -> PacketShadow:
    from .packet_stream import StreamPackets

    return StreamPackets(method, keys[0], random, insert, quirks)


def _aead_packets(
    method: Method, keys: Sequence[bytes], random: Random, insert: NewSalt, *_of_others: object
) -> PacketShadow:
    from .packet_aead import AeadPackets

    return AeadPackets(method, keys[0], random, insert)


def _aead2022_packets(
    method: Method,
    keys: Sequence[bytes],
    random: Random,
    _insert: NewSalt,
    _quirks: Quirks,
    claim: Claim | None,
    users: ByIdentity | None,
) -> PacketShadow:
    from .packet_aead2022 import Aead2022Packets

    return Aead2022Packets(method, keys[-1], random, claim, identities=keys[:-1], users=users)


_PACKETS: Final[dict[Edition, Callable[..., PacketShadow]]] = {
    Edition.PLAIN: _plain_packets,
    Edition.STREAM: _stream_packets,
    Edition.AEAD: _aead_packets,
    Edition.AEAD2022: _aead2022_packets,
}


def make_shadow(
    method: Method, keys: Sequence[bytes], quirks: Quirks = NO_QUIRKS, users: ByIdentity | None = None
) -> Shadow:
    """Return the method with its key, for streams. `keys` are those of `crypto.keys.parse_keys`.

    Of several keys the last is the client's own, and those before it are identity keys. A server with `users` has one,
    which is theirs in common.

    Raises:
        LocalProtocolError: `bad_method` for a method this version only knows by name, or that needs what is not
            installed; `eih_not_supported` for identity keys, or users, with a method that has no identity headers.
    """
    _check(method, keys, users)
    return _EDITIONS[method.edition](method, keys, quirks, users)


def make_packets(
    method: Method,
    keys: Sequence[bytes],
    random: Random,
    insert: NewSalt,
    quirks: Quirks = NO_QUIRKS,
    claim: Claim | None = None,
    users: ByIdentity | None = None,
) -> PacketShadow:
    """Return the method with its key, for datagrams; see `make_shadow`.

    `insert` records the salt of a datagram, and says False when it was known. `claim` takes a packet of a 2022 session
    where several processes serve one port.
    """
    _check(method, keys, users)
    return _PACKETS[method.edition](method, keys, random, insert, quirks, claim, users)


def make_tried_shadow(method: Method, keyring: Keyring) -> Shadow:
    """Return an AEAD method whose streams are tried with the keys of many; see `make_shadow`."""
    _check_tried(method)
    from .aead_users import AeadUsersShadow

    return AeadUsersShadow(method, keyring)


def make_tried_packets(
    method: Method, keyring: Keyring, random: Random, insert: NewSalt, group_of: GroupOf
) -> PacketShadow:
    """Return an AEAD method whose datagrams are tried with the keys of many; see `make_packets`."""
    _check_tried(method)
    from .packet_aead_users import AeadUsersPackets

    return AeadUsersPackets(method, keyring, random, insert, group_of)


def _check_tried(method: Method) -> None:
    _check(method, (), None)
    if not method.is_tried:
        raise LocalProtocolError("eih_not_supported", f"{method.name} cannot tell several users")


def _check(method: Method, keys: Sequence[bytes], users: ByIdentity | None) -> None:
    if not is_ready(method):
        raise LocalProtocolError("bad_method", f"{method.name} is not supported by this version")
    if lack := missing(method):
        raise LocalProtocolError("bad_method", lack)
    if (len(keys) > 1 or users is not None) and not method.has_identities:
        raise LocalProtocolError("eih_not_supported", f"{method.name} has no identity headers")

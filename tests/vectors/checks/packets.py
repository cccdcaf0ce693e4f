"""aead.json, aead2022_udp.json, stream.json, ota.json: datagrams.

A packet is opened by the far side, and made again by the near one from the vector's random values. That cannot be
done where a vector was made with choices that ours never makes, so that these are opened only:

    padding    that is not empty: ours is zeros, and only to a DNS port or without payload
    packet id  far off: ours count from 0, and are counted up to it
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Final

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.crypto.aead import CIPHERS, TAG_SIZE
from shadesocks.crypto.block import BLOCK_SIZE, Block
from shadesocks.crypto.subkeys_2022 import subkey_blake3
from shadesocks.wire.editions import make_packets
from shadesocks.wire.shadow import NO_QUIRKS, Quirks
from tests.vectors.checks.streams import keys_of
from tests.vectors.vector import Mismatch, Vector, holds, same
from tests.wire.talking import Client, Heard, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from shadesocks.wire.packet import PacketShadow
    from shadesocks.wire.shadow import Random

COUNTED_MAX: Final = 100
"""The highest packet id that is counted up to."""
_ID_SIZE: Final = 8
_NONCE_SIZE: Final = 24
_CHOICE_SIZE: Final = 2
"""Of the bytes that choose a size of padding; zeros choose none."""


def _make(vector: Vector, random: Random, quirks: Quirks = NO_QUIRKS) -> PacketShadow:
    """A side of its own: it remembers nothing of what the other one did."""
    salts: set[bytes] = set()

    def insert(salt: bytes) -> bool:
        known = salt in salts
        salts.add(salt)
        return not known

    return make_packets(*keys_of(vector), random, insert, quirks)


# AEAD, stream ciphers and none: one format both ways.


def request(vector: Vector, quirks: Quirks = NO_QUIRKS) -> str:
    """A client's packet, both ways."""
    packet, shadow = vector.data("packet_hex"), _make(vector, _salt(vector), quirks)
    same(Client(shadow).says(vector.target, vector.data("payload_hex")), packet, "packet")
    server = Server(_make(vector, bytes, _remembering(quirks)))
    heard = server.hears(packet)
    _hears(vector, heard, "" if quirks.one_time_auth else "plaintext_hex")
    _once(vector, server.hears, packet)
    return ""


def response(vector: Vector) -> str:
    """A server's packet, both ways."""
    packet = vector.data("packet_hex")
    server = Server(_make(vector, _salt(vector)))
    server.hears(Client(_make(vector, lambda size: b"\xff" * size)).says(vector.target, b"?"))
    same(server.says(vector.target, vector.data("payload_hex")), packet, "packet")
    client = Client(_make(vector, bytes, _remembering(NO_QUIRKS)))
    _hears(vector, client.hears(packet), "plaintext_hex")
    _once(vector, client.hears, packet)
    return ""


def packet_error(vector: Vector) -> str:
    """A packet that both sides refuse."""
    packet = vector.data("packet_hex")
    words = {_refusal(side(_make(vector, bytes)).hears, packet) for side in (Server, Client)}
    same(len(words), 1, "reasons that the two sides give")
    return words.pop()


def _remembering(quirks: Quirks) -> Quirks:
    """With the memory of IVs, which stream ciphers have when it is asked for, and AEAD always has."""
    return replace(quirks, refuse_repeats=True)


def _salt(vector: Vector) -> Random:
    salt = vector.data("salt_hex") or vector.data("iv_hex")
    return {len(salt): salt}.__getitem__


def _once(vector: Vector, hears: Callable[[bytes], Heard], packet: bytes) -> None:
    if vector.method.salt_size:
        same(_refusal(hears, packet), "salt_reused", "refusal of the same packet again")


# AEAD-2022.


def client_packet(vector: Vector) -> str:
    """A client's packet, opened and, where ours can be like it, made."""
    packet, now = vector.data("packet_hex"), vector.number("timestamp")
    _parts(vector, packet)
    if is_made(vector):
        client = Client(_make(vector, _random(vector, vector.data("session_id_hex"))))
        _count(lambda: client.says(vector.target, vector.data("payload_hex"), now), vector)
    server = Server(_make(vector, bytes))
    _hears(vector, server.hears(packet, vector.number("receiver_now")), "body_hex")
    same(server.last, vector.data("session_id_hex"), "session id")
    same(server.last, vector.data("client_session_id_hex"), "session id of the client")
    return ""


def server_packet(vector: Vector) -> str:
    """A server's packet, opened and, where ours can be like it, made."""
    packet, now = vector.data("packet_hex"), vector.number("timestamp")
    _parts(vector, packet)
    client = _client(vector)
    if is_made(vector):
        server = Server(_make(vector, _random(vector, vector.data("session_id_hex"))))
        server.hears(client.says(vector.target, b"?", now), now)
        _count(lambda: server.says(vector.target, vector.data("payload_hex"), now), vector)
    _hears(vector, client.hears(packet, vector.number("receiver_now")), "body_hex")
    return ""


def is_made(vector: Vector) -> bool:
    """True for a packet that ours would make, given the same random values."""
    return not vector.data("padding_hex") and vector.number("packet_id") <= COUNTED_MAX


def _parts(vector: Vector, packet: bytes) -> None:
    """Keys, nonce and separate header are those that the vector names on the way."""
    method, (key,) = keys_of(vector)
    if method.cipher == "aes-gcm":
        separate = Block(key).open(packet[:BLOCK_SIZE])
        same(Block(key).seal(separate), packet[:BLOCK_SIZE], "block of the separate header")
        same(separate[4:], vector.data("nonce_hex"), "nonce")
        same(subkey_blake3(key, separate[:_ID_SIZE]), vector.data("session_subkey_hex"), "subkey of the session")
    else:
        plain = bytearray(len(packet) - _NONCE_SIZE - TAG_SIZE)
        nonce = packet[:_NONCE_SIZE]
        CIPHERS[f"x{method.cipher}"](key).decrypt_into(nonce, packet[_NONCE_SIZE:], None, plain)
        separate = bytes(plain[:BLOCK_SIZE])
        same(nonce, vector.data("nonce_hex"), "nonce")
    same(separate, vector.data("separate_header_hex"), "separate header")
    same(separate[:_ID_SIZE], vector.data("session_id_hex"), "session id")
    same(int.from_bytes(separate[_ID_SIZE:]), vector.number("packet_id"), "packet id")


def _count(says: Callable[[], bytes], vector: Vector) -> None:
    """The packet with the vector's id, after those with lower ones, is the vector's."""
    for packet_id in count():
        packet = says()
        if packet_id == vector.number("packet_id"):
            same(packet, vector.data("packet_hex"), "packet")
            return


def client_error(vector: Vector) -> str:
    """A client's packet to refuse."""
    server = Server(_make(vector, bytes))
    word = _refusal(lambda packet: server.hears(packet, vector.number("receiver_now")), vector.data("packet_hex"))
    same(len(server.talks), 0, "sessions")
    return word


def server_error(vector: Vector) -> str:
    """A server's packet to refuse."""
    client = _client(vector)
    return _refusal(lambda packet: client.hears(packet, vector.number("receiver_now")), vector.data("packet_hex"))


def client_sequence(vector: Vector) -> str:
    """Packets of one session to one server, some of them to be refused."""
    server = Server(_make(vector, bytes))
    for number, step in enumerate(vector.items("steps"), 1):
        try:
            server.hears(bytes.fromhex(step["packet_hex"]), vector.number("receiver_now"))
        except RemoteProtocolError as error:
            holds(not step["accept"], f"step {number} was refused: {error.code}")
        else:
            holds(step["accept"], f"step {number} was accepted")
            same(server.last, vector.data("session_id_hex"), "session id")
    same(len(server.talks), 1, "sessions")
    return ""


def _client(vector: Vector) -> Client:
    return Client(_make(vector, _random(vector, vector.data("client_session_id_hex"))))


def _random(vector: Vector, session_id: bytes) -> Random:
    """The vector's values in the place of chance; what is drawn is known by its size."""
    drawn = {_ID_SIZE: session_id, _NONCE_SIZE: vector.data("nonce_hex"), _CHOICE_SIZE: bytes(_CHOICE_SIZE)}
    return drawn.__getitem__


# All of them.


def _hears(vector: Vector, heard: Heard, plain: str) -> None:
    same(heard.target, vector.target, "target")
    same(heard.address, vector.target.pack(), "address")
    same(heard.payload, vector.data("payload_hex"), "payload")
    if plain:
        same(heard.plain, vector.data(plain), plain.removesuffix("_hex"))


def _refusal(hears: Callable[[bytes], Heard], packet: bytes) -> str:
    try:
        hears(packet)
    except RemoteProtocolError as error:
        return error.code
    raise Mismatch("accepted")

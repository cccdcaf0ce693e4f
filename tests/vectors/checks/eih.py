"""aead2022_eih.json: identity headers, several users on one port, and servers in front of others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.crypto.block import BLOCK_SIZE, Block
from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.subkeys_2022 import key_hash, subkey_blake3
from shadesocks.wire import relayed
from shadesocks.wire.aead2022 import Aead2022Shadow
from shadesocks.wire.editions import make_packets, make_shadow
from shadesocks.wire.identity import PacketIdentities, StreamIdentities
from shadesocks.wire.reader import Reader
from shadesocks.wire.relayed import RelayedShadow, RelayHost
from tests.vectors.checks.streams import hears_payload, hears_request, splits
from tests.vectors.vector import Mismatch, Vector, holds, same
from tests.wire.hearing import ANYWHERE, ClientHearing, ServerHearing, make_request, say
from tests.wire.splits import bytewise
from tests.wire.talking import Client, Heard, Server

if TYPE_CHECKING:
    from shadesocks.core.address import Address
    from shadesocks.wire.identity import ByIdentity
    from shadesocks.wire.packet import PacketShadow
    from shadesocks.wire.shadow import Random, Shadow

_ID_SIZE = 8
COUNTED_MAX = 5000
"""The highest packet id that is counted up to: a vector with a higher one is opened only."""


@dataclass(frozen=True)
class User:
    """Whoever has a key: a user, or the next server."""

    keys: tuple[bytes, ...]
    address: Address = ANYWHERE


def _users(vector: Vector) -> ByIdentity:
    return {key_hash(key): User((key,)) for key in vector.datas("users_hex")}.get


def _keys(vector: Vector) -> list[bytes]:
    keys = parse_keys(vector.method, vector.text("password"))
    same([key.hex() for key in keys], vector.fields["psk_hex"], "keys")
    return list(keys)


def _server_key(vector: Vector) -> bytes:
    return vector.data("server_psk_hex") or vector.datas("psk_hex")[-2]


def _server_shadow(vector: Vector) -> Shadow:
    return make_shadow(vector.method, [_server_key(vector)], users=_users(vector))


def _hops(vector: Vector) -> list[tuple[bytes, relayed.FollowingByIdentity]]:
    """The key of each server on the way, and whom it knows."""
    hops: list[tuple[bytes, relayed.FollowingByIdentity]] = []
    for hop in vector.items("relay_hops"):
        following = bytes.fromhex(hop["next_psk_hex"])
        hops.append((bytes.fromhex(hop["hop_identity_psk_hex"]), {key_hash(following): User((following,))}.get))
    return hops


# Streams


def stream(vector: Vector) -> str:
    """A client's stream made, passed on, and heard; and the answer to it, both ways."""
    keys, sent = _keys(vector), vector.data("stream_hex")
    salt = vector.data("salt_hex")
    headers = StreamIdentities(keys).headers(salt)
    same(headers, b"".join(vector.datas("identity_headers_hex")), "identity headers")
    same(subkey_blake3(keys[-1], salt), vector.data("session_subkey_hex"), "subkey of the session")
    padding = vector.data("padding_hex")
    client = Aead2022Shadow(vector.method, keys[-1], lambda _size, _random: padding, identities=keys[:-1])
    payloads = [vector.data("initial_payload_hex"), *vector.datas("chunks_hex")]
    made = make_request(client, vector.target, payloads, salt=salt, now=vector.number("timestamp"))
    same(made, sent, "stream")
    for (key, following), hop in zip(_hops(vector), vector.items("relay_hops"), strict=True):
        wanted = bytes.fromhex(hop["forwarded_stream_hex"])
        for pieces in splits(sent):
            same(_passed_on(vector, key, following, pieces), wanted, "forwarded stream")
        sent = wanted
    begin = partial(ServerHearing, _server_shadow(vector), vector.number("server_now"))
    hears_request(vector, sent, begin)
    _is_the_user(vector, begin, sent)
    _answers(vector, client, begin, sent)
    return ""


def _passed_on(vector: Vector, key: bytes, following: relayed.FollowingByIdentity, pieces: list[bytes]) -> bytes:
    shadow = RelayedShadow(vector.method, key, following)
    reader = Reader(shadow.read_request(lambda _salt: False, lambda: 0, bytes))
    left = list(pieces)
    while left:
        request = reader.feed(left.pop(0))
        if request is not None:
            return bytes(request.first) + reader.rest + b"".join(left)
    raise Mismatch("it was not passed on")


def _is_the_user(vector: Vector, begin: partial[ServerHearing], sent: bytes) -> None:
    server = begin(strict_first_read=True)
    server.hears([sent])
    user = server.request and server.request.user
    same(user and user.keys[0].hex(), vector.fields["users_hex"][vector.number("user_index")], "key of the user")


def _answers(vector: Vector, client: Shadow, begin: partial[ServerHearing], sent: bytes) -> None:
    answer = vector.table("response")
    salt = bytes.fromhex(answer["salt_hex"])
    server = begin(random=lambda _size: salt)
    server.feed(sent)
    assert server.request is not None
    chunks = [bytes.fromhex(chunk) for chunk in answer["chunks_hex"]]
    wanted = bytes.fromhex(answer["stream_hex"])
    same(say(server.request.sealer, chunks), wanted, "answer")
    hears_payload(
        b"".join(chunks), wanted, partial(ClientHearing, client, vector.data("salt_hex"), vector.number("timestamp"))
    )


def stream_error(vector: Vector) -> str:
    """A stream that a server with users refuses, however it is cut."""
    sent = vector.data("stream_hex")
    words = set()
    for pieces in ([sent], bytewise(sent)):
        server = ServerHearing(_server_shadow(vector), vector.number("server_now"))
        server.hears(pieces)
        holds(bool(server.word), "accepted")
        same(server.payload, b"", "payload before the refusal")
        words.add(server.word)
    same(len(words), 1, "reasons, by how the stream was cut")
    return words.pop()


# Datagrams


def _packets(vector: Vector, keys: list[bytes], random: Random, users: ByIdentity | None = None) -> PacketShadow:
    return make_packets(vector.method, keys, random, lambda _salt: True, users=users)


def packet(vector: Vector) -> str:
    """A client's packet made, passed on, and opened; and the answer to it, both ways."""
    keys, sent = _keys(vector), vector.data("packet_hex")
    separate, now = vector.data("separate_header_hex"), vector.number("timestamp")
    same(separate[:_ID_SIZE], vector.data("session_id_hex"), "session id")
    front = PacketIdentities(keys).front(separate)
    same(front, sent[: len(front)], "separate header and identity headers")
    same(front[BLOCK_SIZE:], b"".join(vector.datas("identity_headers_hex")), "identity headers")
    same(subkey_blake3(keys[-1], separate[:_ID_SIZE]), vector.data("session_subkey_hex"), "subkey of the session")
    chance = {_ID_SIZE: vector.data("session_id_hex"), 2: bytes(2)}.__getitem__
    client = Client(_packets(vector, keys, chance))
    if not vector.data("padding_hex") and vector.number("packet_id") <= COUNTED_MAX:
        for _ in range(vector.number("packet_id") + 1):
            made = client.says(vector.target, vector.data("payload_hex"), now)
        same(made, sent, "packet")
    for (key, following), hop in zip(_hops(vector), vector.items("relay_hops"), strict=True):
        sent = _packet_passed_on(key, following, sent)
        same(sent, bytes.fromhex(hop["forwarded_packet_hex"]), "forwarded packet")
    answer = vector.table("response")
    its_chance = {_ID_SIZE: bytes.fromhex(answer["session_id_hex"]), 2: bytes(2)}.__getitem__
    server = Server(_packets(vector, [_server_key(vector)], its_chance, _users(vector)))
    heard = server.hears(sent, vector.number("receiver_now"))
    _hears(vector, heard, vector.data("payload_hex"), vector.data("body_hex"))
    user = vector.datas("users_hex")[vector.number("user_index")]
    same(server.last, key_hash(user) + vector.data("session_id_hex"), "key of the session")
    same(_refusal(server, sent, vector.number("receiver_now")), "packet_id_seen", "refusal of the same packet again")
    back, payload = bytes.fromhex(answer["packet_hex"]), bytes.fromhex(answer["payload_hex"])
    for _ in range(answer["packet_id"] + 1):
        made = server.says(vector.target, payload, now)
    same(made, back, "answer")
    same(Block(user).open(back[:BLOCK_SIZE])[:_ID_SIZE], answer["session_id_hex"], "session id of the answer")
    _hears(vector, client.hears(back, vector.number("receiver_now")), payload, bytes.fromhex(answer["body_hex"]))
    return ""


def _packet_passed_on(key: bytes, following: relayed.FollowingByIdentity, sent: bytes) -> bytes:
    host = RelayHost(key, following)
    out, source = memoryview(bytearray(len(sent))), memoryview(sent)
    talk = host.meet(host.identify(source, "client", out, 0))
    start, payload, end = talk.open(source, out, 0, 0)
    same(start, payload, "size of the address")
    return bytes(out[start:end])


def _hears(vector: Vector, heard: Heard, payload: bytes, body: bytes) -> None:
    same(heard.target, vector.target, "target")
    same(heard.payload, payload, "payload")
    same(heard.plain, body, "body")


def packet_error(vector: Vector) -> str:
    """A packet that a server with users refuses."""
    server = Server(_packets(vector, [_server_key(vector)], bytes, _users(vector)))
    return _refusal(server, vector.data("packet_hex"), vector.number("receiver_now"))


def _refusal(server: Server, sent: bytes, now: int) -> str:
    try:
        server.hears(sent, now)
    except RemoteProtocolError as error:
        return error.code
    raise Mismatch("accepted")

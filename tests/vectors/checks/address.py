"""address.json: the form of a target on the wire."""

from __future__ import annotations

from shadesocks.core.address import IPV4, IPV6, NAME, Address, pack_ip, parse_address
from shadesocks.core.errors import RemoteProtocolError
from tests.vectors.vector import Mismatch, Vector, holds, same

_KINDS = {"ipv4": IPV4, "domain": NAME, "ipv6": IPV6}


def encode(vector: Vector) -> str:
    """Pack."""
    same(vector.target.pack(), vector.data("hex"), "bytes")
    return ""


def decode(vector: Vector) -> str:
    """Parse, with more bytes behind, and from the middle of a buffer."""
    data, size = vector.data("hex"), vector.number("consumed")
    for view, at in ((data, 0), (memoryview(data), 0), (bytearray(b"before" + data), 6)):
        address, used = parse_address(view, at)
        same(used, size, "size")
        _same_target(address, vector)
    same(data[size:], vector.data("rest_hex"), "rest")
    same(data[0], _KINDS[vector.fields["target"]["atyp"]], "address type of the vector")
    for cut in range(size):
        same(_refusal(data[:cut]), "truncated", f"the first {cut} bytes")
    return ""


def decode_error(vector: Vector) -> str:
    """Refuse."""
    return _refusal(vector.data("hex"))


def _same_target(address: Address, vector: Vector) -> None:
    wanted = vector.target
    same(address.port, wanted.port, "port")
    if vector.fields["target"]["atyp"] == "domain":
        same(address.host, wanted.host, "host")
    else:  # the spelling is free, the address is not
        holds(pack_ip(address.host) is not None, f"{address.host} is no IP address")
        same(pack_ip(address.host), pack_ip(wanted.host), "host")


def _refusal(data: bytes) -> str:
    try:
        parse_address(data)
    except RemoteProtocolError as error:
        return error.code
    raise Mismatch("accepted")

"""acl.json: what an access list says of names, addresses and clients. No name resolves in these."""

from __future__ import annotations

from shadesocks.core.address import pack_ip
from shadesocks.core.names import fold_name
from shadesocks.proxy.acl import Acl
from shadesocks.proxy.acl_file import parse_acl
from tests.vectors.vector import Vector, same


def client_host(vector: Vector) -> str:
    """A name of a target, asked for by a client; without addresses the default decides."""
    acl = _acl(vector)
    way = acl.client_host(fold_name(vector.text("query"))) or acl.client_addresses(())
    return _same(way.value, vector)


def client_ip(vector: Vector) -> str:
    """An address of a target, asked for by a client."""
    return _same(_acl(vector).client_ip(_packed(vector)).value, vector)


def outbound_host(vector: Vector) -> str:
    """A name of a target, asked for at a server."""
    acl = _acl(vector)
    allowed = acl.outbound_host(fold_name(vector.text("query")))
    return _same("allow" if (acl.outbound_default if allowed is None else allowed) else "block", vector)


def outbound_ip(vector: Vector) -> str:
    """An address of a target, asked for at a server."""
    return _same("block" if _acl(vector).refuse_target(None, _packed(vector)) else "allow", vector)


def inbound_client(vector: Vector) -> str:
    """An address of a client, at a server."""
    return _same("accept" if _acl(vector).admits(_packed(vector)) else "reject", vector)


def _acl(vector: Vector) -> Acl:
    return parse_acl(vector.text("acl"), vector.id)


def _packed(vector: Vector) -> bytes:
    packed = pack_ip(vector.text("query"))
    assert packed is not None, "the query is no address"
    return packed


def _same(got: str, vector: Vector) -> str:
    same(got, vector.text("expect"), vector.text("query"))
    return ""

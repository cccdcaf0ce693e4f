"""The one table of reason words: why a connection ended, and what each part makes of it.

A word is stable: logs print it, counters are named by it, the SOCKS answer is
looked up here, and whether the peer may notice anything is decided here.
Nothing else in the package compares texts of errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """What one reason word means to each of its readers."""

    word: str
    text: str
    """For a person: what happened, without saying it twice."""
    reply: int = 1
    """The SOCKS5 REP field (RFC 1928 §6) when this ends a request; 0 is success."""
    silent: bool = False
    """True: an unauthenticated peer must not be able to tell (design §6)."""


# SOCKS5 REP values, RFC 1928 §6.
_GENERAL, _DENIED, _NET_UNREACHABLE, _HOST_UNREACHABLE, _REFUSED = 1, 2, 3, 4, 5
_BAD_COMMAND, _BAD_ADDRESS = 7, 8

_TABLE: Final = (
    # Ends of a relay
    Reason("done", "both sides finished", 0),
    Reason("reset_left", "the initiator reset the connection"),
    Reason("reset_right", "the far end reset the connection"),
    Reason("idle", "nothing moved for the idle time-out"),
    Reason("switched", "another server took the place of this connection's"),
    Reason("stopped", "the service is stopping"),
    Reason("kicked", "it was ended by hand"),
    Reason("truncated", "the stream ended inside a chunk"),
    Reason("bad_chunk", "a chunk after the handshake did not authenticate"),
    Reason("internal", "an error of our own", _GENERAL),
    # Handshakes that fail before anybody is known: all of them look the same from outside
    Reason("short", "the handshake was not complete at its deadline", _GENERAL, silent=True),
    Reason("auth", "the first bytes do not authenticate", _GENERAL, silent=True),
    Reason("replay", "the salt was seen before", _GENERAL, silent=True),
    Reason("stale", "the time stamp is more than 30 s from our clock", _GENERAL, silent=True),
    Reason("malformed", "the request is against the rules of the protocol", _GENERAL, silent=True),
    Reason("left_early", "the peer ended before its handshake did", _GENERAL, silent=True),
    Reason("unused", "the peer left without having said anything", _GENERAL, silent=True),
    Reason("unwelcome", "the access list does not let this client in", _GENERAL, silent=True),
    Reason("disabled", "the user is switched off, or gone", _GENERAL, silent=True),
    Reason("expired", "the user's time is over", _GENERAL, silent=True),
    Reason("quota", "the user's quota is used up", _GENERAL, silent=True),
    Reason("connections", "the user has as many connections or sessions as the limits allow", _GENERAL, silent=True),
    Reason("sources", "the user comes from more addresses than the limits allow", _GENERAL, silent=True),
    Reason("evicted", "too many silent connections; this was the oldest of the heaviest source", silent=True),
    # Dialling
    Reason("refused", "the far end refused the connection", _REFUSED),
    Reason("unreachable", "the network of the far end is unreachable", _NET_UNREACHABLE),
    Reason("host_unreachable", "the host is unreachable", _HOST_UNREACHABLE),
    Reason("dial_timeout", "the far end did not answer in time", _HOST_UNREACHABLE),
    Reason("no_server", "there is no server yet", _GENERAL),
    Reason("no_name", "the name was not found", _HOST_UNREACHABLE),
    Reason("denied", "the target is not allowed", _DENIED),
    Reason("limit", "a limit of ours was reached", _GENERAL),
    Reason("plugin_down", "the plugin of the server does not run", _GENERAL),
    Reason("no_answer", "nothing came back through the server", _GENERAL),
    Reason("bad_answer", "what came back through the server is no answer to what was asked", _GENERAL),
    Reason("bad_hop", "a proxy on the way broke off, or does not speak its protocol", _GENERAL),
    # Faces
    Reason("bad_greeting", "not a SOCKS5 greeting"),
    Reason("no_method", "no acceptable authentication method"),
    Reason("bad_login", "the user name or password is wrong"),
    Reason("bad_command", "the command is not supported", _BAD_COMMAND),
    Reason("bad_address", "the address type is not supported", _BAD_ADDRESS),
    # Datagrams that are dropped, and sessions that end
    Reason("fragment", "a fragment of a SOCKS5 datagram, which nobody supports"),
    Reason("no_association", "a SOCKS5 datagram from an address without a live association"),
    Reason("stray", "a datagram from another than the target of a tunnel"),
    Reason("too_large", "the datagram is larger than the way to its target allows"),
    Reason("congested", "the system had no room to send the datagram at once"),
    Reason("revoked", "the key of the session is its user's no more"),
    Reason("crowded", "too many sessions; this was the one unused for longest"),
    # The answer of a server, as a client sees it
    Reason("bad_server", "the server's answer does not authenticate: wrong key, or not our server"),
)

REASONS: Final[dict[str, Reason]] = {reason.word: reason for reason in _TABLE}

# The words for the bytes of a peer (the vectors' vocabulary) and the reason each one is counted under.
_WIRE: Final[dict[str, str]] = {
    "auth_failed": "auth",
    "unknown_user": "auth",
    "ota_header_hmac": "auth",
    "ota_chunk_hmac": "auth",
    "ota_required": "auth",
    "salt_reused": "replay",
    "bad_timestamp": "stale",
    "short_first_read": "malformed",
    "truncated_header": "malformed",
    "bad_atyp": "malformed",
    "empty_domain": "malformed",
    "bad_domain": "malformed",
    "length_too_large": "malformed",
    "zero_length": "malformed",
    "bad_type": "malformed",
    "no_payload_no_padding": "malformed",
    "padding_overrun": "malformed",
    "request_salt_mismatch": "bad_server",
    "client_session_mismatch": "bad_server",
    "packet_id_seen": "replay",
    "third_server_session": "replay",
}


def reason(code: str) -> Reason:
    """Return the row for a reason word or for a word of the wire; an unknown one is `internal`."""
    return REASONS.get(_WIRE.get(code, code)) or REASONS["internal"]

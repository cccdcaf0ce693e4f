"""What is done with each kind of vector: one literal table.

A check takes a vector, raises Mismatch where the code differs from it, and returns the
reason word of the refusal for a vector that must be refused, else an empty text. A kind
that is not in the table is unsupported, and is reported so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.vectors.checks import (
    acl,
    address,
    aead,
    aead2022,
    eih,
    kdf,
    manager,
    ota,
    packets,
    plugin,
    sip008,
    socks,
    stream,
    uri,
    window,
)
from tests.vectors.vector import Vector

Check = Callable[[Vector], str]

CHECKS: Final[dict[tuple[str, str], Check]] = {
    ("kdf", "evp_bytes_to_key"): kdf.evp_bytes_to_key,
    ("kdf", "hkdf_sha1_ss_subkey"): kdf.hkdf_sha1,
    ("kdf", "blake3_session_subkey"): kdf.blake3_session,
    ("kdf", "blake3_identity_subkey"): kdf.blake3_identity,
    ("kdf", "psk_hash"): kdf.psk_hash,
    ("kdf", "psk_text"): kdf.psk_text,
    ("kdf", "table"): kdf.table,
    ("kdf", "rc4_md5_key"): kdf.rc4_md5_key,
    ("address", "encode"): address.encode,
    ("address", "decode"): address.decode,
    ("address", "decode_error"): address.decode_error,
    ("stream", "tcp_request"): stream.request,
    ("stream", "tcp_response"): stream.response,
    ("stream", "tcp_request_error"): stream.request_error,
    ("stream", "udp_request"): packets.request,
    ("stream", "udp_response"): packets.response,
    ("stream", "udp_packet_error"): packets.packet_error,
    ("ota", "tcp_request"): ota.request,
    ("ota", "tcp_request_error"): ota.request_error,
    ("ota", "udp_request"): ota.datagram,
    ("ota", "udp_packet_error"): ota.datagram_error,
    ("aead", "tcp_request"): aead.request,
    ("aead", "tcp_response"): aead.response,
    ("aead", "tcp_response_hashed"): aead.response_hashed,
    ("aead", "tcp_request_error"): aead.request_error,
    ("aead", "tcp_response_error"): aead.response_error,
    ("aead", "udp_request"): packets.request,
    ("aead", "udp_response"): packets.response,
    ("aead", "udp_packet_error"): packets.packet_error,
    ("aead2022_tcp", "tcp_request"): aead2022.request,
    ("aead2022_tcp", "tcp_response"): aead2022.response,
    ("aead2022_tcp", "tcp_response_hashed"): aead2022.response_hashed,
    ("aead2022_tcp", "tcp_request_error"): aead2022.request_error,
    ("aead2022_tcp", "tcp_response_error"): aead2022.response_error,
    ("aead2022_tcp", "tcp_request_first_read"): aead2022.request_first_read,
    ("aead2022_tcp", "tcp_request_replay"): aead2022.request_replay,
    ("aead2022_udp", "udp_client"): packets.client_packet,
    ("aead2022_udp", "udp_server"): packets.server_packet,
    ("aead2022_udp", "udp_client_error"): packets.client_error,
    ("aead2022_udp", "udp_server_error"): packets.server_error,
    ("aead2022_udp", "udp_client_sequence"): packets.client_sequence,
    ("aead2022_eih", "eih_tcp_request"): eih.stream,
    ("aead2022_eih", "eih_tcp_request_error"): eih.stream_error,
    ("aead2022_eih", "eih_udp_client"): eih.packet,
    ("aead2022_eih", "eih_udp_client_error"): eih.packet_error,
    ("window", "sliding_window"): window.sliding,
    ("uri", "parse"): uri.parse,
    ("uri", "parse_error"): uri.parse_error,
    ("uri", "generate"): uri.generate,
    ("sip008", "document"): sip008.document,
    ("sip008", "document_error"): sip008.document_error,
    ("manager", "exchange"): manager.exchange,
    ("manager", "request"): manager.request,
    ("manager", "request_error"): manager.request_error,
    ("manager", "stat_report"): manager.stat_report,
    ("plugin", "parse_options"): plugin.parse,
    ("plugin", "format_options"): plugin.write,
    ("plugin", "environment"): plugin.told,
    ("socks", "socks5_server"): socks.server,
    ("socks", "socks5_reply"): socks.reply,
    ("socks", "socks5_udp"): socks.datagram,
    ("socks", "socks5_udp_error"): socks.datagram_error,
    ("acl", "client_host"): acl.client_host,
    ("acl", "client_ip"): acl.client_ip,
    ("acl", "outbound_host"): acl.outbound_host,
    ("acl", "outbound_ip"): acl.outbound_ip,
    ("acl", "inbound_client"): acl.inbound_client,
}

"""Keys of other programs that a file may carry, and why they do nothing here.

A file that was written for another program starts as it is: what `dialects/` has
no meaning for comes here, and each of these keys gets one warning with its reason.
Some of them are locks (a login that others depend on): to start
without the lock would be worse than not to start, so those are refused as soon as they hold something.

Called by `load.py`, `schema.py` and `reference.py`. When a later version learns
a key, its row moves to `settings.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .setting import BOTH, GO, LIBEV, LOCAL_END, PYTHON, RUST, SERVER_END, Place, Role

_TOP: Final = (Place.TOP,)
_SERVERS: Final = (Place.TOP, Place.SERVER)
_LOCALS: Final = (Place.LOCAL,)


@dataclass(frozen=True, slots=True)
class Foreign:
    """One key of another program."""

    key: str
    """Its path, dots between the objects."""
    source: str
    reason: str
    """The rest of the sentence "KEY of SOURCE ..."."""
    places: tuple[Place, ...] = _TOP
    roles: tuple[Role, ...] = BOTH
    lock: bool = False
    """True where the program must not start as if the key were not there."""


_PATHS = "has no effect yet: this version leaves the sizes of packets and their fragments to the system"
_SOCKETS = "has no effect yet: this version leaves this to the system"
_THREADS = "has no effect: threads gain nothing here; workers is the number of processes"
_FACES = "has no effect yet: this version serves socks and tunnel only"
_ELSEWHERE = "has no effect in this dialect; with --dialect {} it has"
_LEGACY = "is not needed: ciphers come with this program"


def _rows(
    source: str,
    keys: str,
    reason: str,
    places: tuple[Place, ...] = _TOP,
    roles: tuple[Role, ...] = BOTH,
    lock: bool = False,
) -> tuple[Foreign, ...]:
    return tuple(Foreign(key, source, reason, places, roles, lock) for key in keys.split())


_TABLE: Final = (
    # Locks
    *_rows(
        RUST,
        "socks5_auth_config_path http_auth_config_path",
        "cannot be honoured yet: the listener would serve everybody without a login",
        _LOCALS,
        roles=LOCAL_END,
        lock=True,
    ),
    *_rows(
        PYTHON,
        "port_password",
        "cannot be honoured in this dialect: give each port an entry of its own in servers[], or --dialect python",
        lock=True,
    ),
    *_rows(
        GO, "server_password", "cannot be honoured in this dialect: write servers[], or give --dialect go", lock=True
    ),
    *_rows(LIBEV, "auth", "cannot be honoured here: write one_time_auth, or read the file as --dialect go", lock=True),
    # UDP
    *_rows(RUST, "udp_mtu", "has no effect: datagrams of every size are taken"),
    *_rows(RUST, "outbound_udp_allow_fragmentation", _PATHS, _SERVERS),
    *_rows(LIBEV, "mtu", _PATHS),
    # Sockets and routes
    *_rows(RUST, "outbound_user_cookie", "has no effect: it marks sockets of FreeBSD only", _SERVERS),
    *_rows(LIBEV, "dscp", _SOCKETS),
    # Managers
    *_rows(LIBEV, "workdir", "has no effect: the manager writes no files", roles=SERVER_END),
    # Security
    *_rows(
        RUST,
        "security.replay_attack.policy",
        "has no effect: replayed handshakes always meet silence",
        roles=SERVER_END,
    ),
    # Faces of the client
    *_rows(
        RUST,
        "tcp_redir udp_redir local_dns_address local_dns_port remote_dns_address remote_dns_port "
        "client_cache_size tun_interface_name tun_interface_address "
        "tun_interface_destination tun_device_fd_from_path fake_dns_record_expire_duration fake_dns_ipv4_network "
        "fake_dns_ipv6_network fake_dns_database_path launchd_tcp_socket_name launchd_udp_socket_name",
        _FACES,
        _LOCALS,
        roles=LOCAL_END,
    ),
    *_rows(RUST, "launchd_tcp_socket_name launchd_udp_socket_name", _FACES, roles=LOCAL_END),
    *_rows(LIBEV, "tcp_tproxy", _FACES, roles=LOCAL_END),
    *_rows(LIBEV, "tunnel_address", _ELSEWHERE.format("libev"), roles=LOCAL_END),
    *_rows(PYTHON, "tunnel_remote tunnel_remote_port tunnel_port", _ELSEWHERE.format("python"), roles=LOCAL_END),
    # Process and log
    *_rows(RUST, "log.writers", "has no effect yet: the log goes to standard error"),
    *_rows(RUST, "runtime.mode runtime.worker_count", _THREADS),
    *_rows(PYTHON, "daemon pid-file log-file", _ELSEWHERE.format("python")),
    *_rows(PYTHON, "verbose", 'has no effect in this dialect; write "log": {"level": "debug"}'),
    *_rows(PYTHON, "libopenssl libmbedtls libsodium", _LEGACY),
    # SIP008 documents used as files
    *_rows("SIP008", "version bytes_used bytes_remaining", "has no effect: it describes the document"),
)

FOREIGN: Final[dict[tuple[Place, str], Foreign]] = {(place, row.key): row for row in _TABLE for place in row.places}

"""The one table of settings: every key, flag, default and unit, and what each is for.

Made from it: the walk of `load.py`, the defaults of `model.py`, the rows of
`options.py` that the command line turns into its options, the hints for unknown
keys, `docs/config.md` and `docs/config.schema.json`. A setting that is not in
this table does not exist; nothing else may name a default.
"""

from __future__ import annotations

from typing import Final

from .setting import LOCAL_END, SERVER_END, Kind, Place, Setting

RUST: Final = "shadowsocks-rust"
SIP008: Final = "SIP008"
LINUX: Final = "Linux tcp(7)"

_SERVERS: Final = (Place.TOP, Place.SERVER)
_LOCALS: Final = (Place.TOP, Place.LOCAL)
_EVERYWHERE: Final = (Place.TOP, Place.SERVER, Place.LOCAL)

YEAR: Final = 365 * 86400
"""Seconds; the most a time-out may be, so that a value in milliseconds is noticed."""
KEEP_ALIVE_MAX: Final = 32767
"""Seconds; Linux's MAX_TCP_KEEPIDLE."""
USER_TIMEOUT_MAX: Final = 2147483
"""Seconds; TCP_USER_TIMEOUT is a signed int of milliseconds."""
UDP_TIMEOUT_MIN: Final = 10
"""Seconds; shadowsocks-libev's least. A shorter session ends between two questions of one program."""
BUFFER_MIN: Final = 4096
"""Bytes; with less, a socket drops single datagrams of the size that the Internet carries."""


def _later(what: str) -> str:
    return f"{what} comes in a later version; this one serves socks"


TABLE: Final = (
    # A server: at the top level for one, in servers[] for several
    Setting(
        "server",
        Kind.HOST,
        "Host of the server: where `server` listens, where `local` connects to. As a flag: HOST:PORT.",
        places=_SERVERS,
        flags=("-s", "--server-addr"),
        aliases=("address",),
        source=RUST,
    ),
    Setting(
        "server_port",
        Kind.PORT,
        "Port of the server.",
        places=_SERVERS,
        aliases=("port",),
        source=RUST,
    ),
    Setting(
        "password",
        Kind.SECRET,
        "Password or, for the 2022 methods, the base64 key. `${NAME}` takes it from the environment.",
        places=_SERVERS,
        flags=("-k", "--password"),
        source=RUST,
    ),
    Setting(
        "method",
        Kind.METHOD,
        "Name of the cipher; the same at both ends.",
        places=_SERVERS,
        flags=("-m", "--encrypt-method"),
        source=RUST,
    ),
    Setting(
        "server_url",
        Kind.LINK,
        "The whole server as one ss:// link, instead of -s, -k and -m.",
        places=(),
        flags=("--server-url",),
        source=RUST,
    ),
    Setting(
        "remarks",
        Kind.TEXT,
        "A name for people.",
        places=_SERVERS,
        default="",
        aliases=("name",),
        source=SIP008,
    ),
    Setting("id", Kind.TEXT, "A name for programs.", places=(Place.SERVER,), default="", source=SIP008),
    Setting(
        "disabled",
        Kind.FLAG,
        "Leave this entry out.",
        places=(Place.SERVER, Place.LOCAL),
        default=False,
        source=RUST,
    ),
    Setting(
        "outbound_proxy",
        Kind.LINK,
        "Reach everything through this other server, given as an ss:// link.",
        places=_SERVERS,
        flags=("--outbound-proxy",),
        source=RUST,
    ),
    # A listener of the client: at the top level for one, in locals[] for several
    Setting(
        "local_address",
        Kind.HOST,
        "Address the client listens on. As a flag: HOST:PORT.",
        places=_LOCALS,
        roles=LOCAL_END,
        default="127.0.0.1",
        flags=("-b", "--local-addr"),
        source=RUST,
    ),
    Setting(
        "local_port",
        Kind.PORT,
        "Port the client listens on.",
        places=_LOCALS,
        roles=LOCAL_END,
        default=1080,
        source=RUST,
    ),
    Setting(
        "protocol",
        Kind.CHOICE,
        "What the client speaks on that port.",
        places=_LOCALS,
        roles=LOCAL_END,
        default="socks",
        choices=("socks",),
        refused={word: _later(word) for word in ("http", "tunnel", "redir", "dns", "tun", "fake-dns")},
        flags=("--protocol",),
        source=RUST,
    ),
    Setting(
        "mode",
        Kind.CHOICE,
        "TCP, UDP or both. With `udp_only`, a SOCKS port takes TCP connections for UDP ASSOCIATE, and refuses others.",
        places=_EVERYWHERE,
        default="tcp_only",
        choices=("tcp_only", "tcp_and_udp", "udp_only"),
        source=RUST,
    ),
    Setting(
        "local_udp_address",
        Kind.HOST,
        "Address the client takes datagrams on. As a flag: HOST:PORT.",
        places=_LOCALS,
        roles=LOCAL_END,
        default_text="local_address",
        flags=("--udp-bind-addr",),
        source=RUST,
    ),
    Setting(
        "local_udp_port",
        Kind.PORT,
        "Port the client takes datagrams on.",
        places=_LOCALS,
        roles=LOCAL_END,
        default_text="local_port",
        source=RUST,
    ),
    Setting(
        "udp_associate_address",
        Kind.ADDRESS,
        "What UDP ASSOCIATE answers with, where others reach the client by another address. As a flag: HOST[:PORT].",
        key="udp_associate_addr",
        places=_LOCALS,
        roles=LOCAL_END,
        default_text="the address that the program connected to",
        flags=("--udp-associate-addr",),
        source=RUST,
    ),
    Setting(
        "udp_require_association",
        Kind.FLAG,
        "Take datagrams only from a host that has an association (RFC 1928 §7).",
        places=_LOCALS,
        roles=LOCAL_END,
        default=True,
        default_text="true; false for a program that was started as `sslocal`",
    ),
    Setting(
        "udp_socket_per_association",
        Kind.FLAG,
        "Give each association a socket and a port of its own, instead of one for all on the number of the SOCKS port.",
        places=_LOCALS,
        roles=LOCAL_END,
        default=False,
    ),
    # Time-outs
    Setting(
        "timeout",
        Kind.SECONDS,
        "Sets handshake_timeout and dial_timeout where these are not given.",
        places=_SERVERS,
        default_text="none",
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--timeout",),
        source=RUST,
    ),
    Setting(
        "handshake_timeout",
        Kind.SECONDS,
        "How long a client may take to complete its handshake, counted from accept; who fails it is silent until then.",
        places=_SERVERS,
        default=59.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--handshake-timeout",),
    ),
    Setting(
        "dial_timeout",
        Kind.SECONDS,
        "How long one connection to a target or a server may take to be made.",
        places=_SERVERS,
        default=10.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--dial-timeout",),
    ),
    Setting(
        "idle_timeout",
        Kind.SECONDS,
        "A connection on which nothing moved for so long is closed.",
        default=86400.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--idle-timeout",),
    ),
    Setting(
        "half_closed_timeout",
        Kind.SECONDS,
        "The same once one side has ended.",
        default=300.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--half-closed-timeout",),
    ),
    Setting(
        "first_payload_timeout",
        Kind.SECONDS,
        "How long the client waits for the first payload, to send it together with the header.",
        roles=LOCAL_END,
        default=0.1,
        unit="s",
        high=60,
        flags=("--first-payload-timeout",),
    ),
    Setting(
        "drain_timeout",
        Kind.SECONDS,
        "How long open connections may go on after SIGTERM or SIGINT.",
        default=10.0,
        unit="s",
        high=YEAR,
        flags=("--drain-timeout",),
    ),
    Setting(
        "udp_timeout",
        Kind.SECONDS,
        "A UDP session without a datagram for so long ends; with the 2022 methods after 60 s at the earliest.",
        default=300.0,
        unit="s",
        low=UDP_TIMEOUT_MIN,
        high=YEAR,
        flags=("--udp-timeout",),
        source=RUST,
    ),
    # Sockets
    Setting(
        "no_delay",
        Kind.FLAG,
        "Set TCP_NODELAY.",
        default=False,
        flags=("--tcp-no-delay", "--no-delay"),
        source=RUST,
    ),
    Setting(
        "keep_alive",
        Kind.COUNT,
        "TCP keep-alive after so long without traffic; 0 turns it off.",
        default=15,
        unit="s",
        high=KEEP_ALIVE_MAX,
        flags=("--tcp-keep-alive",),
        source=RUST,
    ),
    Setting(
        "user_timeout",
        Kind.COUNT,
        "TCP_USER_TIMEOUT: a peer that acknowledges nothing for so long is gone; 0 leaves it to the system.",
        default=240,  # with the probe after it, a vanished peer is gone within five minutes
        unit="s",
        high=USER_TIMEOUT_MAX,
        flags=("--tcp-user-timeout",),
        source=LINUX,
    ),
    Setting(
        "ipv6_first",
        Kind.FLAG,
        "Try the IPv6 addresses of a name before the IPv4 ones.",
        default=False,
        flags=("-6", "--ipv6-first"),
        source=RUST,
    ),
    Setting(
        "nofile",
        Kind.COUNT,
        "Limit of open descriptors (RLIMIT_NOFILE).",
        default_text="the hard limit",
        low=64,
        high=2**31 - 1,
        flags=("-n", "--nofile"),
        source=RUST,
    ),
    Setting(
        "udp_max_associations",
        Kind.COUNT,
        "The most UDP sessions of one server or listener; a new one takes the place of the one that was idle longest.",
        default_text="a quarter of the descriptor limit, 16384 at most",
        low=1,
        high=2**31 - 1,
        flags=("--udp-max-associations",),
        source=RUST,
    ),
    Setting(
        "udp_max_per_source",
        Kind.COUNT,
        "The most UDP sessions of one source address, which is a /64 network for IPv6.",
        default_text="1024",
        low=1,
        high=2**31 - 1,
    ),
    Setting(
        "udp_receive_buffer",
        Kind.COUNT,
        "SO_RCVBUF of UDP sockets: what may wait while the program is busy.",
        default_text="left to the system",
        unit="bytes",
        low=BUFFER_MIN,
        high=2**31 - 1,
    ),
    Setting(
        "udp_send_buffer",
        Kind.COUNT,
        "SO_SNDBUF of UDP sockets.",
        default_text="left to the system",
        unit="bytes",
        low=BUFFER_MIN,
        high=2**31 - 1,
    ),
    Setting(
        "udp_io",
        Kind.CHOICE,
        "How datagrams move: `auto` in batches where the system can, `plain` one by one.",
        default="auto",
        choices=("auto", "plain"),
    ),
    Setting(
        "event_model",
        Kind.CHOICE,
        "Back-end of the reactor.",
        default="auto",
        choices=("auto", "epoll", "kqueue", "portable"),
        flags=("--event-model",),
    ),
    # What a server lets through, and how it treats who fails
    Setting(
        "allow_private",
        Kind.FLAG,
        "Let clients reach loopback, private, link-local and other special addresses from the server.",
        roles=SERVER_END,
        default=False,
        flags=("--allow-private",),
    ),
    Setting(
        "allow_none",
        Kind.FLAG,
        "Allow method `none` away from loopback. Everybody on the way can read and change the traffic.",
        default=False,
        flags=("--allow-none",),
    ),
    Setting(
        "strict_first_read",
        Kind.FLAG,
        "2022 methods: the salt and the fixed header must come in one read, to the letter of SIP022.",
        default=False,
        flags=("--strict-first-read",),
    ),
    Setting(
        "bad_handshake",
        Kind.CHOICE,
        "What a failed handshake meets: silence until the deadline, a reset at once, or an end of file at once.",
        roles=SERVER_END,
        default="silent",
        choices=("silent", "reset", "fin"),
        flags=("--bad-handshake",),
    ),
    Setting(
        "silent_limit",
        Kind.COUNT,
        "The most connections kept in silence at once.",
        roles=SERVER_END,
        default_text="a quarter of the descriptor limit",
        low=1,
        high=2**31 - 1,
        flags=("--silent-limit",),
    ),
    # State and log
    Setting(
        "state_dir",
        Kind.TEXT,
        "Directory of the replay store.",
        default_text="$STATE_DIRECTORY, else the user's state directory",
        flags=("--state-dir",),
    ),
    Setting(
        "log_level",
        Kind.LEVEL,
        "What is logged; the numbers of shadowsocks-rust are taken too (0 info, 1 debug, 2 trace).",
        key="log.level",
        default="info",
        choices=("error", "warning", "info", "debug", "trace"),
        flags=("--log-level",),
        aliases=("log_level",),
        source=RUST,
    ),
    Setting(
        "log_without_time",
        Kind.FLAG,
        "Leave the time out of log lines, for systems that add their own.",
        key="log.format.without_time",
        default=False,
        flags=("--log-without-time",),
        source=RUST,
    ),
    Setting(
        "log_targets",
        Kind.FLAG,
        "Name the target in the line logged when a connection ends.",
        default=False,
        flags=("--log-targets",),
    ),
)

SETTINGS: Final[dict[str, Setting]] = {setting.name: setting for setting in TABLE}

LISTS: Final[dict[str, Place]] = {"servers": Place.SERVER, "shadowsocks": Place.SERVER, "locals": Place.LOCAL}
"""Keys of the top level that hold a list of objects; `shadowsocks` is shadowsocks-rust's other name of `servers`."""


def known_keys(place: Place) -> dict[str, Setting]:
    """Return every key and alias that may stand in that place, and its row."""
    return {key: setting for setting in TABLE if place in setting.places for key in (setting.path, *setting.aliases)}

"""What a configuration is once it has been read: frozen values, every one of them valid.

Made by `load.py`, or by hand in a test or an embedding program; read by
`service/`, whose roles turn them into parts. Defaults come
from the table in `settings.py`. Passwords are `Secret`, so that no repr, log
line or traceback of a model shows one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from ..core.address import Address
from ..core.errors import Problem
from ..core.nameserver import NameServer
from ..core.secret import Secret
from ..crypto.methods import Method
from .settings import SETTINGS

if TYPE_CHECKING:
    from .user import UserConfig


def _float(name: str) -> float:
    default = SETTINGS[name].default
    assert isinstance(default, int | float)
    return float(default)


def _int(name: str) -> int:
    default = SETTINGS[name].default
    assert isinstance(default, int)
    return default


def _bool(name: str) -> bool:
    default = SETTINGS[name].default
    assert isinstance(default, bool)
    return default


def _str(name: str) -> str:
    default = SETTINGS[name].default
    assert isinstance(default, str)
    return default


class Mode(Enum):
    """What is served: streams (TCP), datagrams (UDP), or both. The value is the word of a file."""

    TCP_ONLY = "tcp_only"
    TCP_AND_UDP = "tcp_and_udp"
    UDP_ONLY = "udp_only"

    @property
    def tcp(self) -> bool:
        """True where streams are served."""
        return self is not Mode.UDP_ONLY

    @property
    def udp(self) -> bool:
        """True where datagrams are served."""
        return self is not Mode.TCP_ONLY


DEFAULT_MODE: Final = Mode(_str("mode"))


@dataclass(frozen=True, slots=True)
class Outbound:
    """From where connections and datagrams leave. What is empty is left to the system."""

    bind_ipv4: str = ""
    bind_ipv6: str = ""
    """May end in a zone (`fe80::1%eth0`)."""
    interface: str = _str("outbound_bind_interface")
    fwmark: int = _int("outbound_fwmark")
    """0: none."""


DEFAULT_PLUGIN_MODE: Final = Mode(_str("plugin_mode"))
DEFAULT_OUTBOUND: Final = Outbound()
NO_SECRET: Final = Secret("")


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """A proxy that is no Shadowsocks server: one hop of an `outbound_proxy`."""

    protocol: Literal["socks5", "http"]
    address: Address
    user: str = ""
    """Empty: it asks for no login."""
    password: Secret = NO_SECRET


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """A program (SIP003) that carries what goes between a client and its server."""

    name: str
    """To be found in PATH, or an absolute path."""
    options: Secret = NO_SECRET
    """As they were written, with their escapes."""
    args: tuple[str, ...] = field(default=(), repr=False)
    mode: Mode = DEFAULT_PLUGIN_MODE
    """What goes through it."""


@dataclass(frozen=True, slots=True)
class DestinationConfig:
    """A server that another one stands in front of."""

    name: str
    password: Secret
    """Its key: its own one, or the one that its users have before theirs."""
    address: Address


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One Shadowsocks server: where `server` listens, or where `local` connects to."""

    address: Address
    method: Method
    password: Secret
    remarks: str = ""
    """A name for people."""
    id: str = ""
    """A name for programs, stable across updates (SIP008)."""
    handshake_timeout: float = _float("handshake_timeout")
    """Seconds. Already resolved: this server's own, else the file's, else the default."""
    dial_timeout: float = _float("dial_timeout")
    """Seconds. Resolved the same way."""
    outbound_proxy: tuple[Hop, ...] = ()
    """The proxies through which everything goes, the nearest first; resolved the same way. A hop has none itself."""
    mode: Mode = DEFAULT_MODE
    """Resolved: this server's own, else the file's, else the default."""
    outbound: Outbound = DEFAULT_OUTBOUND
    """Resolved the same way, each part by itself; also what leaves for the first hop, whose own says nothing."""
    acl: str | None = None
    """Path of its rules; resolved the same way. None: no rules."""
    one_time_auth: bool = _bool("one_time_auth")
    """Whether a client sends one-time authentication, and a server takes nothing else. Resolved as the mode."""
    compat: str = _str("compat")
    """What the program at the other end needs. Resolved as the mode."""
    raw_key: bool = False
    """True where the password is no password, but the key itself in base64."""
    tcp_weight: float = _float("tcp_weight")
    """How much a client prefers it for connections; 0: not at all."""
    udp_weight: float = _float("udp_weight")
    pool: int = _int("pool")
    """Connections that a client keeps ready. Resolved as the mode."""
    group: str = _str("group")
    """Of the listeners that use it beside those that use all; empty: no other."""
    plugin: PluginConfig | None = None
    """What it is reached through; None: the network."""
    users: tuple[UserConfig, ...] | None = field(default=None, hash=False)
    """Those who use it; None: whoever has its password, and nobody is counted by name. Empty: nobody gets in. Not in
    the hash, which is asked for often, and would take 10 ms with ten thousand."""
    destinations: tuple[DestinationConfig, ...] = ()
    """The servers that it stands in front of, and passes everything on to; empty: it dials the targets."""

    @property
    def owner(self) -> UserConfig | None:
        """The user who has no password but the server's, None where there is no such user."""
        return next((user for user in self.users or () if not user.credentials), None)

    @property
    def is_shared(self) -> bool:
        """Whether users are told apart by passwords of their own; with an empty list, too."""
        return self.users is not None and (not self.users or any(user.credentials for user in self.users))


Hop = ServerConfig | ProxyConfig
"""One proxy of a chain."""


METRICS_PORT: Final = 9388
"""Of `metrics` where none is named."""

TUNNEL: Final = "tunnel"
"""The protocol of a listener all of whose connections and datagrams have one target."""


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """One listener of the client."""

    address: Address
    protocol: str = _str("protocol")
    mode: Mode = DEFAULT_MODE
    """Resolved: this listener's own, else the file's, else the default."""
    udp_listen: Address | None = None
    """Where SOCKS datagrams come in; None: on the address and port of TCP."""
    udp_associate_address: Address | None = None
    """What UDP ASSOCIATE answers with, port 0 for the socket's own; None: the address that the client reached."""
    udp_require_association: bool = _bool("udp_require_association")
    """Whether datagrams are taken only from a host with a live association. Resolved as the mode."""
    udp_socket_per_association: bool = _bool("udp_socket_per_association")
    """Whether each association has a port of its own. Resolved as the mode."""
    acl: str | None = None
    """Path of its rules. Resolved as the mode. None: no rules."""
    forward: Address | None = None
    """The target of everything (protocol `tunnel`); None for others."""
    socks_reply_port: int = _int("socks_reply_port")
    """What a SOCKS answer names as BND.PORT. Resolved as the mode."""
    group: str = _str("group")
    """Of the servers that it uses; empty: all."""

    @property
    def udp_address(self) -> Address:
        """Where SOCKS datagrams come in."""
        return self.udp_listen or self.address


DEFAULT_LOCAL: Final = LocalConfig(Address(_str("local_address"), _int("local_port")))
"""Where a client listens whose configuration does not say."""


@dataclass(frozen=True, slots=True)
class OnlineConfig:
    """Where servers come from that no file names: subscriptions."""

    urls: tuple[Secret, ...]
    """As `urls.check_url` leaves them."""
    interval: float = _float("online_interval")
    """Seconds from one fetch to the next."""
    allowed_plugins: tuple[str, ...] = ()
    """Resolved: what a document may start. It changes while nobody looks, so where the file says nothing, nothing."""
    template: ServerConfig | None = None
    """What its servers have where a document has no word for it; without address and password. None: the defaults."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that one process is told. Entries that are `disabled` are not in it. Times are seconds."""

    servers: tuple[ServerConfig, ...] = ()
    locals: tuple[LocalConfig, ...] = ()
    handshake_timeout: float = _float("handshake_timeout")
    dial_timeout: float = _float("dial_timeout")
    idle_timeout: float = _float("idle_timeout")
    half_closed_timeout: float = _float("half_closed_timeout")
    first_payload_timeout: float = _float("first_payload_timeout")
    drain_timeout: float = _float("drain_timeout")
    no_delay: bool = _bool("no_delay")
    keep_alive: int = _int("keep_alive")
    """0: off."""
    user_timeout: int = _int("user_timeout")
    """0: left to the system."""
    fast_open: bool = _bool("fast_open")
    mptcp: bool = _bool("mptcp")
    inbound_send_buffer: int | None = None
    """Bytes of SO_SNDBUF of accepted TCP sockets; None: left to the system, as in the next three."""
    inbound_receive_buffer: int | None = None
    outbound_send_buffer: int | None = None
    outbound_receive_buffer: int | None = None
    outbound: Outbound = DEFAULT_OUTBOUND
    """Of servers that say nothing themselves, and of what leaves for no server's sake."""
    connection_attempt_delay: float = _float("connection_attempt_delay")
    dns: tuple[NameServer, ...] = ()
    """Empty: those of the system's resolv.conf. `Transport.SYSTEM` stands alone; encrypted and plain are not mixed."""
    dns_cache_size: int = _int("dns_cache_size")
    """Names; 0: off."""
    dns_ttl_min: int = _int("dns_ttl_min")
    dns_ttl_max: int = _int("dns_ttl_max")
    ipv6_first: bool = _bool("ipv6_first")
    ipv6_only: bool = _bool("ipv6_only")
    nofile: int | None = None
    """None: the hard limit."""
    event_model: str = _str("event_model")
    reuse_port: bool = _bool("reuse_port")
    workers: int = _int("workers")
    """Processes that serve."""
    worker_memory_limit: int = _int("worker_memory_limit")
    """MiB; 0: none."""
    worker_hang_timeout: float = _float("worker_hang_timeout")
    """0: a worker that hangs is left alone."""
    acl: str | None = None
    """Path of the rules of servers and listeners that name none; they have it in their own field already."""
    acl_dialect: str = _str("acl_dialect")
    forbidden_ip: tuple[str, ...] | None = None
    """Addresses and networks; None: not given, so the special ones are closed; empty: all are open."""
    forbidden_port: tuple[tuple[int, int], ...] = ()
    """Ranges, first and last port included."""
    allow_private: bool = _bool("allow_private")
    allowed_plugins: tuple[str, ...] | None = None
    """What links and documents may start; None: what `config/allowed_plugins.py` knows."""
    allow_none: bool = _bool("allow_none")
    allow_legacy: bool = _bool("allow_legacy")
    stream_replay: str = _str("stream_replay")
    balancer_policy: str = _str("balancer_policy")
    """How several servers are used; what follows says more of it."""
    balancer_margin: int = _int("balancer_margin")
    """Percent."""
    balancer_drops: bool = _bool("balancer_drops")
    balancer_max_rtt: float = _float("balancer_max_rtt")
    balancer_interval: float = _float("balancer_interval")
    balancer_best_interval: float | None = None
    """None: as the others."""
    balancer_probe_url: str = _str("balancer_probe_url")
    balancer_probe_dns: Address | None = None
    """Port 0 stands for 53. None: the one that the prober knows."""
    balancer_probe_name: str = _str("balancer_probe_name")
    balancer_probe_concurrency: int = _int("balancer_probe_concurrency")
    online: OnlineConfig | None = None
    """None: all servers are in `servers`."""
    manager_listen: str | None = None
    """HOST:PORT, or the path of a Unix socket; None: no manager."""
    manager_dialect: str = _str("manager_dialect")
    manager_allow: tuple[str, ...] | None = None
    """Networks from which commands come; None: this machine."""
    manager_secret: Secret | None = None
    """What commands are signed with; None: they are not."""
    manager_keep: str | None = None
    """File of the ports that were added; None: none."""
    manager_address: str | None = None
    """Who is told what passed: HOST:PORT, a host beside `manager_port`, or a path; None: nobody."""
    manager_port: int | None = None
    strict_first_read: bool = _bool("strict_first_read")
    bad_handshake: str = _str("bad_handshake")
    silent_limit: int | None = None
    """None: a quarter of the descriptor limit."""
    state_dir: str | None = None
    """None: $STATE_DIRECTORY, else the user's state directory."""
    udp_timeout: float = _float("udp_timeout")
    """Seconds without a datagram after which a session ends."""
    udp_max_associations: int | None = None
    """Sessions of one server or listener; None: the service chooses."""
    udp_max_per_source: int | None = None
    """Sessions of one source address; None: the service chooses."""
    udp_receive_buffer: int | None = None
    """Bytes of SO_RCVBUF of UDP sockets; None: left to the system."""
    udp_send_buffer: int | None = None
    """Bytes of SO_SNDBUF of UDP sockets; None: left to the system."""
    udp_io: str = _str("udp_io")
    log_level: str = _str("log_level")
    log_without_time: bool = _bool("log_without_time")
    log_targets: bool = _bool("log_targets")
    log_style: str = _str("log_style")
    log_file: str | None = None
    log_syslog: bool = _bool("log_syslog")
    """None: standard error, or nothing in the background."""
    pid_file: str | None = None
    """None: none."""
    daemonize: bool = _bool("daemonize")
    user: str | None = None
    """Name or number of the user to become; None: nobody else."""
    control: str | None = None
    """Path of the control socket, or its directory; None: in a usual place; empty: none."""
    control_targets: bool = _bool("control_targets")
    store: Secret | None = None
    """Where users and their bytes are kept: the path of a file, or the URL of a database; None: nowhere."""
    store_days: int = _int("store_days")
    """Days whose hours are kept; older ones are kept as days."""
    metrics: Address | None = None
    """Where counters are to be had over HTTP; None: nowhere."""
    metrics_users: int = _int("metrics_users")
    """Users up to whom each has counters of his own."""
    watch: bool = _bool("watch")
    where: str = field(default="", compare=False)
    """What messages call its text: the name of a file, as a rule."""
    template: ServerConfig | None = field(default=None, compare=False)
    """What a port that the manager adds has where its command does not say; without port and password. None: as the
    first server."""
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    """What is odd, but can be lived with; not part of what the configuration says."""

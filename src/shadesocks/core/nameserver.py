"""A name server: whom names are asked of, and over what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Transport(Enum):
    """Over what a name server is asked. The value is the scheme in a configuration."""

    UDP = "udp"
    """Over TCP where an answer is cut short (RFC 1035 §4.2)."""
    TCP = "tcp"
    TLS = "tls"
    """RFC 7858."""
    HTTPS = "https"
    """RFC 8484."""
    SYSTEM = "system"
    """Not one server, but all that the system's own resolver knows to ask; host and port say nothing."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """One name server."""

    transport: Transport
    host: str = ""
    """An IP text without brackets, which may end in a zone (`fe80::1%eth0`); for HTTPS it may be a name."""
    port: int = 53
    certificate: str = ""
    """The name, or the address, that its certificate must show; of TLS only."""
    path: str = ""
    """Of the URL; of HTTPS only."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.transport is Transport.SYSTEM:
            return "system"
        return f"{self.transport.value}://{host}:{self.port}{self.path}"

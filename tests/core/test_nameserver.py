"""Name servers as people read them."""

from __future__ import annotations

import pytest

from shadesocks.core.nameserver import NameServer, Transport


@pytest.mark.parametrize(
    ("server", "text"),
    [
        (NameServer(Transport.UDP, "192.0.2.1"), "udp://192.0.2.1:53"),
        (NameServer(Transport.TCP, "2001:db8::1", 5353), "tcp://[2001:db8::1]:5353"),
        (NameServer(Transport.TLS, "192.0.2.1", 853, "dns.example"), "tls://192.0.2.1:853"),
        (NameServer(Transport.HTTPS, "dns.example", 443, path="/dns-query"), "https://dns.example:443/dns-query"),
        (NameServer(Transport.SYSTEM), "system"),
    ],
)
def test_a_name_server_reads_as_it_is_written(server: NameServer, text: str) -> None:
    assert str(server) == text

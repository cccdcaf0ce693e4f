"""The halves of plugins: what a server's config says becomes what its clients need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.halves import client_half, may_be_servers


@pytest.mark.parametrize(
    ("name", "options", "client"),
    [
        ("obfs-server", "obfs=tls", ("obfs-local", "obfs=tls")),
        ("/usr/bin/obfs-server", "obfs=http;failover=127.0.0.1:80", ("obfs-local", "obfs=http")),
        ("obfs-server", "", ("obfs-local", "")),
        ("v2ray-plugin", "server;tls;host=h;cert=/a/c.pem;key=/a/k.pem", ("v2ray-plugin", "tls;host=h")),
        ("/opt/v2ray-plugin", r"server;path=/a\;server\\;x", ("v2ray-plugin", r"path=/a\;server\\;x")),
    ],
)
def test_a_server_s_half_becomes_the_client_s(name: str, options: str, client: tuple[str, str]) -> None:
    assert client_half(name, options) == client
    assert client_half(*client) == client


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("obfs-local", "obfs=http;obfs-host=h.example"),
        ("v2ray-plugin", "tls;host=server;cert=/a/c.pem"),
        ("ck-client", r"a=\;b;;c="),
        ("ck-server", "/etc/cloak.json"),
    ],
)
def test_others_stay_as_they_are(name: str, options: str) -> None:
    assert client_half(name, options) == (name, options)


@given(st.text(alphabet="a;=\\s", max_size=20))
def test_no_escape_is_torn(options: str) -> None:
    name, kept = client_half("obfs-server", options)
    assert name == "obfs-local"
    assert client_half(name, kept) == (name, kept)
    assert kept.count("\\") == options.count("\\")


def test_a_name_may_sound_like_a_server_s() -> None:
    assert may_be_servers("ck-server")
    assert not may_be_servers("obfs-local")

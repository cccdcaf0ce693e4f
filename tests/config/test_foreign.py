"""The keys of other programs: all that are known from their manuals, none that is a setting of ours."""

from __future__ import annotations

import pytest

from shadesocks.config.foreign import FOREIGN
from shadesocks.config.setting import Place
from shadesocks.config.settings import LISTS, known_keys

_RUST = """
server server_port password method local_address local_port protocol mode timeout plugin plugin_opts plugin_args
plugin_mode servers locals udp_timeout udp_max_associations udp_mtu dns dns_cache_size no_delay fast_open mptcp
ipv6_first ipv6_only keep_alive nofile outbound_fwmark outbound_user_cookie outbound_bind_addr outbound_bind_interface
outbound_udp_allow_fragmentation outbound_proxy acl manager_address manager_port security.replay_attack.policy
balancer.max_server_rtt balancer.check_interval balancer.check_best_interval online_config.config_url
online_config.update_interval online_config.allowed_plugins log.level log.format.without_time log.writers runtime.mode
runtime.worker_count launchd_tcp_socket_name launchd_udp_socket_name
"""
_RUST_SERVER = """
server address server_port port password method users disabled plugin plugin_opts plugin_args plugin_mode timeout
remarks name id mode tcp_weight udp_weight acl outbound_fwmark outbound_user_cookie outbound_bind_addr
outbound_bind_interface outbound_udp_allow_fragmentation outbound_proxy
"""
_RUST_LOCAL = """
local_address local_port disabled mode local_udp_address local_udp_port protocol tcp_redir udp_redir local_dns_address
local_dns_port remote_dns_address remote_dns_port client_cache_size forward_address forward_port tun_interface_name
tun_interface_address tun_interface_destination tun_device_fd_from_path socks5_auth_config_path http_auth_config_path
fake_dns_record_expire_duration fake_dns_ipv4_network fake_dns_ipv6_network fake_dns_database_path acl
launchd_tcp_socket_name launchd_udp_socket_name
"""
_LIBEV = """
server server_port local_port timeout local_address local_ipv4_address local_ipv6_address password key method user
plugin plugin_opts nameserver tunnel_address workdir acl manager_address port_password fast_open reuse_port no_delay
mptcp ipv6_first tcp_tproxy use_syslog tcp_incoming_sndbuf tcp_incoming_rcvbuf tcp_outgoing_sndbuf tcp_outgoing_rcvbuf
mtu nofile mode dscp auth
"""
_PYTHON = """
server server_port password method timeout fast_open verbose one_time_auth user daemon pid-file log-file libopenssl
libmbedtls libsodium port_password workers forbidden_ip dns_server prefer_ipv6 manager_address local_address local_port
tunnel_remote tunnel_remote_port tunnel_port
"""
_GO = """
server server_port local_address local_port password method auth port_password timeout server_password
"""


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        (_RUST, Place.TOP),
        (_RUST_SERVER, Place.SERVER),
        (_RUST_LOCAL, Place.LOCAL),
        (_LIBEV, Place.TOP),
        (_PYTHON, Place.TOP),
        (_GO, Place.TOP),
    ],
    ids=["rust", "rust-servers", "rust-locals", "libev", "python", "go"],
)
def test_every_key_of_the_other_programs_is_known(keys: str, place: Place) -> None:
    known = {*known_keys(place), *LISTS, *(key for at, key in FOREIGN if at is place)}
    assert [key for key in keys.split() if key not in known] == []


def test_no_key_is_both_ours_and_foreign() -> None:
    assert [key for place in Place for key in known_keys(place) if (place, key) in FOREIGN] == []


def test_every_row_has_its_reason() -> None:
    for row in FOREIGN.values():
        assert row.reason.startswith(("has no effect", "cannot be honoured", "is not needed"))
        assert row.lock == row.reason.startswith("cannot be honoured")

"""Options over a file: they take the place of keys, pass the same checks, and are named in the messages."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from shadesocks.config import Config, LocalConfig, Mode, examine
from shadesocks.config.flags import PASSWORD_VARIABLE, Given
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret

from .samples import KEY, METHOD, SERVER, STRONG, look, problems, text_of, warnings


def config_of(text: str | None, overrides: Mapping[str, Given], environ: dict[str, str] | None = None) -> Config:
    report = look(text, overrides=overrides, environ=environ)
    assert report.config is not None, report.problems
    return report.config


FLAGS = {"server": "h.example:1", "method": METHOD, "password": KEY}


def test_options_alone() -> None:
    config = config_of(None, {**FLAGS, "local_address": "[::1]:1081", "timeout": "5", "allow_private": "true"})
    assert [str(server.address) for server in config.servers] == ["h.example:1"]
    assert [str(local.address) for local in config.locals] == ["[::1]:1081"]
    assert config.dial_timeout == 5.0
    assert config.allow_private


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("h.example:1", "h.example", 1),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("[::1]:1", "::1", 1),
        ("::1", "::1", 8388),
        ("[::1]", "::1", 8388),
        ("h.example", "h.example", 8388),
    ],
)
def test_host_and_port_of_a_flag(text: str, host: str, port: int) -> None:
    address = config_of(text_of(), {"server": text}).servers[0].address
    assert (address.host, address.port) == (host, port)


def test_a_server_of_the_options_takes_the_place_of_all_in_the_file() -> None:
    file = text_of(servers=[SERVER, SERVER], locals=[{"local_port": 1}])
    config = config_of(file, {"server": "h.example:1"})
    assert [str(server.address) for server in config.servers] == ["h.example:1"]
    assert len(config.locals) == 1
    config = config_of(file, {"local_address": "127.0.0.1:2"})
    assert len(config.servers) == 3
    assert [local.address.port for local in config.locals] == [2]


def test_an_option_takes_the_place_of_its_key() -> None:
    config = config_of(
        text_of(timeout=300, log={"level": 0}), {"timeout": "4", "log_level": "debug", "password": KEY[::-1][1:] + "="}
    )
    assert config.handshake_timeout == 4.0
    assert config.log_level == "debug"
    assert config.servers[0].password != Secret(KEY)


def test_a_server_by_its_link() -> None:
    link = f"ss://aes-256-gcm:{STRONG}@h.example:1#tag"
    config = config_of(text_of(remarks="old", servers=[SERVER]), {"server_url": link})
    (server,) = config.servers
    assert (server.method.name, server.remarks, str(server.address)) == ("aes-256-gcm", "tag", "h.example:1")
    assert config_of(None, {"server_url": link, "password": STRONG[::-1]}).servers[0].password == Secret(STRONG[::-1])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"server_url": "ss://x"}, "--server-url: this is no usable link: "),
        ({"server_url": ("ss://x", "ss://y")}, "--server-url: this is no usable link: "),
        ({"online_urls": "http://h.example/"}, "--online-config-url: http:// would let anybody"),
    ],
)
def test_a_flag_that_names_no_server_is_all_that_is_told(flags: dict[str, Given], said: str) -> None:
    found = problems(None, "local", overrides=flags)
    assert [problem.startswith(said) for problem in found] == [True] * len(found)


def test_a_server_has_no_use_for_documents() -> None:
    said = "--server-url: ssconf:// is where a client finds its servers; a server has no use for it"
    assert problems(None, "server", overrides={"server_url": "ssconf://h.example/secret"}) == [said]
    assert problems(None, "local", overrides={"server_url": "ssconf://h.example/secret"}) == []


def test_the_password_of_the_environment() -> None:
    flags = {"server": "h.example:1", "method": METHOD}
    environ = {PASSWORD_VARIABLE: KEY}
    assert config_of(None, flags, environ).servers[0].password == Secret(KEY)
    assert config_of(text_of(password=KEY), flags, {PASSWORD_VARIABLE: "x"}).servers[0].password == Secret(KEY)
    assert problems(None, overrides=flags, environ={PASSWORD_VARIABLE: "!"}) == [
        "SS_SERVER_PASSWORD: the key of 2022-blake3-aes-256-gcm is not base64 (alphabet A-Z a-z 0-9 + /); "
        "make one with: shadesocks genkey -m 2022-blake3-aes-256-gcm"
    ]
    assert problems(text_of(password=...), environ=environ)  # a file says where its password is


def test_options_about_udp() -> None:
    more = {
        "mode": "tcp_and_udp",
        "local_udp_address": "[::1]:1053",
        "udp_associate_address": "203.0.113.9",
        "udp_timeout": "60",
        "udp_max_associations": "100",
    }
    config = config_of(None, {**FLAGS, **more})
    assert (config.udp_timeout, config.udp_max_associations) == (60.0, 100)
    assert config.servers[0].mode is Mode.TCP_AND_UDP
    config = config_of(None, {**FLAGS, **more, "local_address": "127.0.0.1:1080"})
    assert config.locals == (
        LocalConfig(
            Address("127.0.0.1", 1080), "socks", Mode.TCP_AND_UDP, Address("::1", 1053), Address("203.0.113.9", 0)
        ),
    )


def test_a_warning_about_the_mode_names_the_flag_that_says_it() -> None:
    file = text_of(server=..., server_port=..., password=..., method=..., servers=[{**SERVER, "mode": "tcp_only"}])
    flags = {"local_address": "127.0.0.1:1080", "mode": "tcp_and_udp"}
    (warning,) = warnings(file, "local", overrides=flags)
    assert warning.startswith("-U: this listener serves UDP, but every server has it off")


def test_a_fallback_holds_where_nobody_says_otherwise() -> None:
    fallbacks = {"udp_require_association": "false"}

    def required(text: str, **overrides: str) -> list[bool]:
        report = examine(text, role="local", fallbacks=fallbacks, overrides=overrides, environ={})
        assert report.config is not None, report.problems
        return [local.udp_require_association for local in report.config.locals]

    assert required(text_of()) == [False]
    assert required(text_of(udp_require_association=True)) == [True]
    assert required(text_of(locals=[{}, {"local_port": 1, "udp_require_association": True}])) == [False, True]
    assert required(text_of(), udp_require_association="true") == [True]


def test_messages_name_the_flag() -> None:
    overrides = {
        "server": "a b:99999",
        "method": "aes-256-gmc",
        "password": "x",
        "timeout": "soon",
        "nofile": "1",
        "event_model": "iocp",
        "mode": "sctp",
        "udp_timeout": "9",
        "udp_max_associations": "0",
        "local_udp_address": "127.0.0.1:0",
        "udp_associate_address": "proxy.example:http",
        "outbound_proxy": "ftp://h",
        "local_address": "h:x",
        "state_dir": "a\nb",
    }
    assert sorted(problems(None, overrides=overrides)) == [
        "--encrypt-method: no method has this name; the nearest known one is aes-256-gcm",
        "--event-model: the word is not known; write auto, epoll, kqueue or portable",
        "--local-addr: expected a port",
        "--mode: the word is not known; write tcp_only, tcp_and_udp or udp_only",
        "--nofile: 1 is too small; the least is 64",
        "--outbound-proxy: this is no usable link: a proxy's begins with ss://, socks5:// or http://",
        "--server-addr: 99999 is no port; ports are numbers from 1 to 65535",
        "--server-addr: this is no host name; names are made of letters, digits, hyphens and dots",
        "--state-dir: this holds characters that cannot be printed",
        "--timeout: expected a number of seconds",
        "--udp-associate-addr: expected a port",
        "--udp-bind-addr: 0 is no port; ports are numbers from 1 to 65535",
        "--udp-max-associations: 0 is too small; the least is 1",
        "--udp-timeout: 9 is too small; the least is 10 s",
    ]


def test_what_the_options_lack_has_no_line() -> None:
    assert problems(None, overrides={"server": "h.example:1", "password": KEY}) == [
        'command line: method: is missing; add a method, as in "method": "2022-blake3-aes-256-gcm", or give -m METHOD'
    ]


def test_a_bad_link_is_not_repeated() -> None:
    assert problems(None, overrides={"server_url": "ss://aes-256-gcm:hunter2@h"}) == [
        "--server-url: this is no usable link: a link names its port after the host, as in host:8388, from 1 to 65535"
    ]


def test_a_password_that_is_not_utf8() -> None:
    said = problems(None, overrides={"server": "h:1", "method": "aes-256-gcm", "password": "\udcff"})
    assert said == ["--password: the password is not valid UTF-8; make one with: shadesocks genkey -m aes-256-gcm"]


# Lists


def test_a_list_is_one_text_with_commas_or_several() -> None:
    for given in ("25,6881-6889", ("25", "6881-6889"), ("25,6881-6889", "25")):
        assert config_of(None, {**FLAGS, "forbidden_port": given}).forbidden_port == ((25, 25), (6881, 6889))


def test_hops_in_the_order_of_the_flags() -> None:
    config = config_of(text_of(outbound_proxy="http://x"), {"outbound_proxy": ("socks5://a", "http://b:1")})
    assert [str(hop.address) for hop in config.servers[0].outbound_proxy] == ["a:1080", "b:1"]
    assert config_of(text_of(outbound_proxy="http://x"), {"outbound_proxy": ""}).servers[0].outbound_proxy == ()
    assert problems(None, overrides={**FLAGS, "outbound_proxy": ("socks5://a", "b")}) == [
        "--outbound-proxy: this is no usable link: a proxy's begins with ss://, socks5:// or http://"
    ]


def test_every_text_of_a_list_can_be_printed() -> None:
    assert problems(None, overrides={**FLAGS, "dns": ("1.1.1.1", "8.8.8.8\n")}) == [
        "--dns: this holds characters that cannot be printed"
    ]


def test_an_address_to_leave_from_goes_before_the_file_s_of_its_family() -> None:
    file = text_of(local_ipv4_address="192.0.2.1", local_ipv6_address="2001:db8::1")
    outbound = config_of(file, {"outbound_bind_address": "192.0.2.2"}).servers[0].outbound
    assert (outbound.bind_ipv4, outbound.bind_ipv6) == ("192.0.2.2", "2001:db8::1")


def test_a_path_of_a_flag_starts_at_the_working_directory() -> None:
    report = examine(text_of(acl="a.acl"), overrides={"acl": "b.acl"}, environ={}, base="/etc/x")
    assert report.config is not None
    assert (report.config.acl, report.config.servers[0].acl) == ("b.acl", "b.acl")


# Several links


LINKS = (f"ss://aes-256-gcm:{STRONG}@one.example:1#one", f"ss://aes-256-gcm:{STRONG}@two.example:2")


def test_several_links_are_several_servers() -> None:
    config = config_of(text_of(servers=[SERVER]), {"server_url": LINKS})
    assert [str(server.address) for server in config.servers] == ["one.example:1", "two.example:2"]
    assert config_of(None, {"server_url": LINKS[:1]}) == config_of(None, {"server_url": LINKS[0]})


def test_a_link_among_several_that_is_none() -> None:
    assert problems(None, overrides={"server_url": (LINKS[0], "ss://aes-256-gcm:hunter2@h")}) == [
        "--server-url: this is no usable link: a link names its port after the host, as in host:8388, from 1 to 65535"
    ]


def test_a_link_to_a_document_is_a_subscription() -> None:
    config = config_of(None, {"server_url": ("ssconf://h.example/key#Home", LINKS[1])})
    assert [str(server.address) for server in config.servers] == ["two.example:2"]
    assert config.online is not None
    assert [url.reveal() for url in config.online.urls] == ["https://h.example/key"]

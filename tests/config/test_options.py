"""The rows of the command line's options."""

from __future__ import annotations

from shadesocks.config import options
from shadesocks.config.setting import BOTH
from shadesocks.config.settings import SETTINGS, TABLE


def flags_of(role: str) -> set[str]:
    return {flag for row in options("server" if role == "server" else "local") for flag in row.flags}


def test_every_flag_of_the_table_is_an_option_of_its_end() -> None:
    for setting in TABLE:
        for role in BOTH:
            assert (
                role in setting.roles and set(setting.flags_of(role)) <= flags_of(role)
            ) or role not in setting.roles


def test_the_flags_of_shadowsocks_rust() -> None:
    both = {
        "-s",
        "--server-addr",
        "-k",
        "--password",
        "-m",
        "--encrypt-method",
        "--server-url",
        "--timeout",
        "-u",
        "-U",
    }
    both |= {"--tcp-no-delay", "--no-delay", "--tcp-keep-alive", "-6", "-n", "--nofile", "--log-without-time"}
    both |= {"--acl", "--dns", "--dns-cache-size", "--tcp-fast-open", "--fast-open", "--tcp-multipath", "--mptcp"}
    both |= {f"--{side}-{way}-buffer-size" for side in ("inbound", "outbound") for way in ("send", "recv")}
    both |= {
        "--outbound-bind-addr",
        "--bind-addr",
        "--outbound-bind-interface",
        "--outbound-fwmark",
        "--outbound-proxy",
    }
    assert both <= flags_of("server")
    assert both | {"-b", "--local-addr", "--protocol"} <= flags_of("local")
    names = {role: {flag: row.name for row in options(role) for flag in row.flags} for role in BOTH}
    assert (names["server"]["-b"], names["local"]["-b"]) == ("outbound_bind_address", "local_address")
    assert "--allow-private" not in flags_of("local")


def test_rows() -> None:
    rows = {row.flags[-1]: row for row in options("server")}
    timeout = rows["--dial-timeout"]
    assert (timeout.metavar, timeout.switch, timeout.secret) == ("SECONDS", None, False)
    assert timeout.help.endswith("Default: 10 s.")
    private = rows["--allow-private"]
    assert (private.metavar, private.switch) == ("", "true")
    assert rows["--password"].secret
    assert rows["--outbound-proxy"].secret
    assert (rows["--outbound-proxy"].metavar, rows["--outbound-proxy"].repeats) == ("LINK", True)
    assert (rows["--dns"].repeats, rows["--acl"].repeats, rows["--acl"].metavar) == (True, False, "FILE")
    assert rows["--event-model"].choices == ("auto", "epoll", "kqueue", "portable")
    assert (rows["-U"].name, rows["-U"].switch) == ("mode", "tcp_and_udp")


def test_every_row_names_a_setting() -> None:
    for role in ("server", "local"):
        assert {row.name for row in options("server" if role == "server" else "local")} <= SETTINGS.keys()

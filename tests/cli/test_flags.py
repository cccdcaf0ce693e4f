"""The flags of `server` and `local` come from the table of settings; others have a sentence."""

from __future__ import annotations

import pytest

from shadesocks.cli.exits import USAGE, run
from shadesocks.cli.flags import make_options, overrides, strangers
from shadesocks.cli.programs import group
from shadesocks.config.options import options
from shadesocks.config.setting import Role
from shadesocks.config.settings import TABLE

ROLES: tuple[Role, ...] = ("server", "local")

# What shadowsocks-rust 1.25 takes that concerns this version, by end.
RUST = {
    "server": "-c --config -s --server-addr -k --password -m --encrypt-method --timeout --tcp-no-delay --no-delay "
    "--tcp-keep-alive -6 -v --log-without-time -n --nofile -u -U --udp-timeout --udp-max-associations --acl --dns "
    "--dns-cache-size --tcp-fast-open --tcp-multipath --outbound-proxy --outbound-bind-addr --bind-addr -b "
    "--outbound-bind-interface --outbound-fwmark --inbound-send-buffer-size --inbound-recv-buffer-size",
    "local": "-c --config -b --local-addr -s --server-addr -k --password -m --encrypt-method --server-url --protocol "
    "--timeout --tcp-no-delay --no-delay --tcp-keep-alive -6 -v --log-without-time -n --nofile -u -U --udp-timeout "
    "--udp-max-associations --udp-bind-addr --udp-associate-addr --acl --dns --dns-cache-size --fast-open --mptcp "
    "--outbound-bind-addr --bind-addr --outbound-bind-interface --outbound-fwmark --outbound-send-buffer-size "
    "--outbound-recv-buffer-size",
}


def flags_in_help(role: Role, capsys: pytest.CaptureFixture[str]) -> str:
    run(group, "shadesocks", [role, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("role", ROLES)
def test_every_flag_of_the_table_is_in_the_help_of_its_end(role: Role, capsys: pytest.CaptureFixture[str]) -> None:
    text = set(flags_in_help(role, capsys).replace(",", " ").split())
    for setting in TABLE:
        for flag in setting.flags_of(role):
            assert flag in text, flag
        if role not in setting.roles:
            assert text.isdisjoint(set(setting.flags) - {"-b"})  # a flag of each end, for other things


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", range(len(TABLE)))
def test_every_row_reaches_the_config_under_its_name(role: Role, row: int) -> None:
    rows = options(role)
    if row >= len(rows):
        return
    assert overrides(role, {f"row_{row}": "x", "verbose": 0, "row_0" if row else "row_1": None}) == {
        rows[row].name: "x"
    }


def test_a_flag_that_was_given_again_is_a_list() -> None:
    names = [row.name for row in options("server")]
    proxy, dns = f"row_{names.index('outbound_proxy')}", f"row_{names.index('dns')}"
    given = {proxy: ("socks5://a", "ss://b"), dns: ("1.1.1.1",), f"row_{names.index('forbidden_port')}": ()}
    assert overrides("server", given) == {"outbound_proxy": ("socks5://a", "ss://b"), "dns": "1.1.1.1"}


@pytest.mark.parametrize("role", ROLES)
def test_the_flags_of_shadowsocks_rust_are_known(role: Role) -> None:
    ours = {flag for option in make_options(role) for flag in option.opts} | {"-c", "--config", "-v"}
    assert set(RUST[role].split()) <= ours


@pytest.mark.parametrize("role", ROLES)
def test_a_flag_is_ours_or_a_stranger_but_not_both(role: Role) -> None:
    ours = {flag for option in make_options(role) for flag in option.opts}
    assert not ours & set(strangers(role))


@pytest.mark.parametrize(
    ("role", "argv", "words"),
    [
        ("server", ["-p", "8388"], "-p: this is shadowsocks-libev's; give the port with the host"),
        ("server", ["-p8388"], "-p: this is shadowsocks-libev's"),
        ("local", ["-l", "1080"], "as in -b 127.0.0.1:1080"),
        ("local", ["--tun-interface-name", "x"], "this version serves socks and tunnel"),
        ("server", ["--worker-threads", "2"], "--workers is the number of processes"),
    ],
)
def test_what_comes_later_is_refused_with_a_sentence(
    role: str, argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(group, "shadesocks", [role, *argv]) == USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err

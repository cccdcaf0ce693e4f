"""Configurations that nobody would write: whatever is in them, messages are single lines, and repeat no secret."""

from __future__ import annotations

import base64
import json
from typing import Any, Final, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.dialects import DIALECTS
from shadesocks.config.load import examine
from shadesocks.wire.uri import parse_link

SECRET: Final = "Hunter2SecretPassphrase"
ROLES: Final = cast("tuple[Literal['server', 'local'], ...]", ("server", "local"))

_TEXT: Final = (
    "server server_port local local_port local_address method timeout auth one_time_auth fast_open workers mode "
    "nameserver dns_server forbidden_ip tunnel_remote tunnel_remote_port tunnel_port user pid-file log-file verbose "
    "prefer_ipv6 plugin plugin_opts plugin_args plugin_mode servers locals manager_address manager_port ipv6_first "
    "allow_legacy stream_replay manager_listen manager_dialect forward_address socks_reply_port balancer compat log"
)
_KEYS: Final = _TEXT.split()
_ODD_KEYS: Final = ("a\nb", "\x1b[2J", "x\u2028y", "\u202eabc", "\ud800", "_x", "//", "")
_HARMLESS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 70_000),
    st.floats(),
    st.sampled_from(
        ["", "x\ny", "\u202ea\u2028\x1b[1m", "aes-256-cfb", "table", "rc4", "0.0.0.0", "::", "[::1]:80", "a:1", "8388"]
    ),
    st.just(10**30),
)
VALUES: Final = st.recursive(
    _HARMLESS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["8388", "server", "server_port", "method", *_ODD_KEYS]), inner, max_size=3)
    ),
    max_leaves=6,
)
"""What stands at keys that hold no secret."""
_SAID: Final = st.sampled_from([SECRET, f"{SECRET}\n\x1b[1m", f"h:1:{SECRET}", f"{SECRET}:70000", "5", 5, None])
SECRETS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "password": st.one_of(_SAID, st.lists(_SAID, max_size=2), st.dictionaries(st.just("a"), _SAID, max_size=1)),
    "key": _SAID,
    "port_password": st.one_of(
        _SAID,
        st.lists(_SAID, max_size=2),
        st.dictionaries(st.sampled_from(["8388", "99999", "x", SECRET]), st.one_of(_SAID, st.lists(_SAID)), max_size=3),
    ),
    "server_password": st.one_of(
        _SAID,
        st.lists(st.lists(st.one_of(_SAID, st.sampled_from(["h:1", "rc4", "h:99999"])), max_size=4), max_size=2),
        st.lists(_SAID, max_size=2),
    ),
    "servers": st.lists(
        st.fixed_dictionaries(
            {"password": _SAID}, optional={"server": _HARMLESS, "server_port": _HARMLESS, "method": _HARMLESS}
        ),
        max_size=2,
    ),
}
TREES: Final = st.builds(
    lambda odd, secret: {**odd, **secret},
    st.dictionaries(st.sampled_from((*_KEYS, *_ODD_KEYS)), VALUES, max_size=6),
    st.fixed_dictionaries({}, optional=SECRETS),
)


@pytest.mark.parametrize("dialect", [None, *DIALECTS])
@given(tree=TREES, role=st.sampled_from(ROLES), legacy=st.booleans(), cut=st.none() | st.floats(0, 1))
def test_messages(
    dialect: str | None, tree: dict[str, Any], role: Literal["server", "local"], legacy: bool, cut: float | None
) -> None:
    text = json.dumps(tree)
    if cut is not None:  # a colon too many, where a value or a key may be
        at = int(cut * len(text))
        text = text[:at] + ":" + text[at:]
    report = examine(
        text,
        where="f",
        role=role,
        dialect=dialect,
        read_link=parse_link,
        fallbacks={"allow_legacy": "true"} if legacy else {},
    )
    said = [str(finding) for finding in (*report.warnings, *report.problems)]
    if report.taken is not None:
        said.append(report.taken.why)
    for line in said:
        assert line.isprintable(), ascii(line)
        if cut is None:  # or a secret may have become a key, which is not known, and named
            assert SECRET not in line, line
    if report.config is not None:
        assert SECRET not in repr(report.config)


_ENTRY: Final = st.fixed_dictionaries(
    {"password": _SAID},
    optional={
        "type": st.sampled_from(["shadowsocks", "vmess", "a\nb", 7]),
        **dict.fromkeys(("server", "server_port", "port", "method", "encryptionMethod", "id", "remarks"), _HARMLESS),
        **dict.fromkeys(("tag", "name", "network", "plugin", "multiplex", "udp_over_tcp"), _HARMLESS),
    },
)
_ENTRIES: Final = st.lists(_ENTRY | VALUES, max_size=3) | VALUES
DOCUMENTS: Final = st.one_of(
    st.fixed_dictionaries({"version": st.just(1) | VALUES, "servers": _ENTRIES}),
    st.fixed_dictionaries({"accessKeys": _ENTRIES}, optional={"nextId": VALUES, "prefix": VALUES}),
    st.fixed_dictionaries({"outbounds": _ENTRIES}, optional=dict.fromkeys(_ODD_KEYS, VALUES)),
)
"""What others hand out, and what is no such thing."""


@given(tree=DOCUMENTS, role=st.sampled_from((*ROLES, None)))
def test_documents(tree: dict[str, Any], role: Literal["server", "local"] | None) -> None:
    report = examine(json.dumps(tree), where="f", role=role, read_link=parse_link)
    for finding in (*report.warnings, *report.problems):
        assert str(finding).isprintable(), ascii(str(finding))
        assert SECRET not in str(finding)


@given(
    st.lists(
        st.sampled_from([f"ss://{SECRET}", f"ss://aes-256-gcm:{SECRET}@h:1#x", f"vmess://{SECRET}", SECRET, "#", ""])
        | st.text(),
        max_size=5,
    ),
    st.booleans(),
)
def test_lists_of_links(lines: list[str], coded: bool) -> None:
    text = "\n".join(lines)
    if coded:
        text = base64.b64encode(text.encode(errors="replace")).decode()
    report = examine(text, where="f", role="local", read_link=parse_link)
    for finding in (*report.warnings, *report.problems):
        assert str(finding).isprintable(), ascii(str(finding))
        assert SECRET not in str(finding)


@pytest.mark.parametrize("dialect", [None, *DIALECTS])
@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "[" * 5000 + "]" * 5000, '{"server_port":' + "9" * 100_000 + "}"]
)
def test_what_goes_too_deep_or_too_far_is_a_problem(text: str, dialect: str | None) -> None:
    report = examine(text, where="f", dialect=dialect)
    assert report.config is None
    assert report.problems

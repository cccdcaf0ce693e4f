"""Keys: aliases, nested ones, comments, those of other programs, and unknown ones."""

from __future__ import annotations

import pytest

from .samples import SERVER, look, problems, text_of, warnings


def test_comments_are_no_keys() -> None:
    text = text_of({"_note": 1, "//": "x", "// server": {}, "log": {"_note": 2}}, locals=[{"_": 0}])
    assert look(text, strict=True).problems == ()
    assert warnings(text) == []


def test_an_unknown_key_warns_at_start_and_fails_a_check() -> None:
    text = text_of(handshake_timout=5)
    said = "c.json:1: handshake_timout: this key is not known; the nearest known one is handshake_timeout"
    assert warnings(text) == [f"{said}; it is ignored"]
    assert [str(problem) for problem in look(text, strict=True).problems] == [said]


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        (text_of(Server_Port=1), "Server_Port", "; the nearest known one is server_port"),
        (text_of(serverz=[]), "serverz", "; the nearest known one is server"),
        (text_of(local=[]), "local", "; the nearest known one is locals"),
        (text_of(log={"levle": 1}), "log.levle", "; the nearest known one is log.level"),
        (
            text_of(locals=[{"forward_adress": 1}]),
            "locals[0].forward_adress",
            "; the nearest known one is forward_address",
        ),
        (text_of(qqqqqq=1), "qqqqqq", ""),
    ],
)
def test_the_nearest_known_key(text: str, path: str, hint: str) -> None:
    assert warnings(text) == [f"c.json:1: {path}: this key is not known{hint}; it is ignored"]


def test_a_key_in_the_wrong_place_is_told_the_right_one() -> None:
    entry = {**SERVER, "allow_private": True, "local_port": 1}
    said = "this key has no meaning here; it belongs"
    assert warnings(text_of(servers=[entry], disabled=True)) == [
        f"c.json:1: servers[0].allow_private: {said} at the top level; it is ignored",
        f"c.json:1: servers[0].local_port: {said} at the top level; it is ignored",
        f"c.json:1: disabled: {said} in an entry of servers[]; it is ignored",
    ]


def test_an_unknown_key_cannot_forge_a_line() -> None:
    assert "\n" not in warnings(text_of({"a\nerror: all is lost": 1}))[0]


def test_aliases() -> None:
    text = text_of(server=..., address="h.example", server_port=..., port=1, log_level="debug")
    config = look(text).config
    assert config is not None
    assert str(config.servers[0].address) == "h.example:1"
    assert config.log_level == "debug"


def test_two_names_of_one_setting() -> None:
    assert problems(text_of(log={"level": 1}, log_level="info")) == [
        "c.json:1: log_level: another name of log.level, which stands in line 1; remove one"
    ]


def test_null_says_nothing() -> None:
    nothing = dict.fromkeys(("timeout", "log", "plugin", "acl", "local_port", "servers", "outbound_proxy"))
    assert warnings(text_of(nothing)) == []
    assert "password: is missing" in problems(text_of(password=None))[0]


def test_keys_of_other_programs_warn_with_a_reason() -> None:
    text = text_of(runtime={"worker_count": 2}, log={"writers": []})
    assert warnings(text) == [
        "c.json:1: runtime.worker_count: this key of shadowsocks-rust has no effect: threads gain nothing here; "
        "workers is the number of processes",
        "c.json:1: log.writers: this key of shadowsocks-rust has no effect yet: the log goes to standard error",
    ]
    assert look(text, strict=True).problems == ()


def test_a_lock_of_another_program_is_refused_unless_it_is_empty() -> None:
    assert problems(text_of(plugin="", acl=None, port_password={}, auth=False, servers=[{**SERVER, "users": []}])) == []
    assert problems(text_of(auth=True, locals=[])) == [
        "c.json:1: auth: this key of shadowsocks-libev cannot be honoured here: write one_time_auth, or read the file "
        "as --dialect go; remove it only if you can do without"
    ]


def test_groups_are_objects() -> None:
    assert problems(text_of(log={"format": "json"})) == [
        "c.json:1: log.format: expected an object in braces, found text"
    ]


def test_a_value_is_reported_once() -> None:
    assert len(problems(text_of(timeout=-1, local_port=1080, remarks=3))) == 2

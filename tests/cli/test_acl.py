"""`shadesocks acl test`: what a file says of a name or an address, and which line says it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.exits import CONFIG, DIED, OK, USAGE, run
from shadesocks.cli.programs import group

if TYPE_CHECKING:
    from pathlib import Path

RULES = r"""# line 1
[bypass_all]
[proxy_list]
||google.com
203.0.113.0/24
[bypass_list]
(^|\.)cn$
[outbound_block_list]
||bad.test
127.0.0.0/8
[outbound_allow_list]
10.0.0.0/8
0.0.0.0/0
||good.test
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "rules.acl"
    path.write_text(RULES)
    return str(path)


def acl(*argv: str) -> int:
    return run(group, "shadesocks", ["acl", "test", *argv])


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return what was printed: title to sentence."""
    out, err = capsys.readouterr()
    assert err == ""
    return {title: sentence.strip() for title, _, sentence in (line.partition(": ") for line in out.splitlines())}


@pytest.mark.parametrize(
    ("host", "client", "server"),
    [
        ("www.google.com", "proxied by line 4: ||google.com", "undecided: no line matches the name, so each address"),
        ("WWW.Google.COM.", "proxied by line 4: ||google.com", "undecided: "),
        ("foo.cn", r"direct by line 7: (^|\.)cn$", "undecided: "),
        ("other.test", "undecided: no line matches the name, so its addresses decide; else direct", "undecided: "),
        ("bad.test", "undecided: ", "refused by line 9: ||bad.test"),
        ("a.good.test", "undecided: ", "allowed by line 14: ||good.test; but none of its addresses"),
        (
            "203.0.113.9",
            "proxied by line 5: 203.0.113.0/24",
            "refused by the safe default: the address is special (doc",
        ),
        ("8.8.8.8", "direct by default: no line matches", "allowed by line 13: 0.0.0.0/0"),
        ("2001:470::1", "direct by default: no line matches", "allowed by default: no line matches"),
        ("[2001:470::1]", "direct by default: no line matches", "allowed by default: no line matches"),
        ("127.0.0.1", "direct by default", "refused by line 10: 127.0.0.0/8"),
        ("::ffff:127.0.0.1", "direct by default", "refused by line 10: 127.0.0.0/8"),
        ("10.1.2.3", "direct by default", "allowed by line 12: 10.0.0.0/8"),
        ("::ffff:10.1.2.3", "direct by default", "allowed by line 12: 10.0.0.0/8"),
        (
            "192.168.1.1",
            "direct by default",
            "refused by the safe default: the address is special (private); a network",
        ),
        ("fe80::1%eth0", "direct by default", "refused by the safe default: the address is special (link-local)"),
    ],
)
def test_the_line_that_decides_is_told(
    file: str, host: str, client: str, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert acl(file, host) == OK
    told = rows(capsys)
    assert list(told) == ["at a client", "at a server"]
    assert told["at a client"].startswith(client)
    assert told["at a server"].startswith(server)


def test_a_network_opens_a_special_address_when_it_is_narrow_enough(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert acl(file, "192.168.1.1") == OK
    assert "a network of /16 or narrower in [outbound_allow_list] opens it" in rows(capsys)["at a server"]


@pytest.mark.parametrize(
    ("client", "sentence"),
    [
        ("203.0.113.4", "accepted by line 5: 203.0.113.0/24"),
        ("::ffff:203.0.113.4", "accepted by line 5: 203.0.113.0/24"),
        ("8.8.8.8", "met with silence by default: no line matches"),
    ],
)
def test_a_client_of_a_server(file: str, client: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert acl(file, "foo.cn", "--client", client) == OK
    assert capsys.readouterr().out.splitlines()[-1] == f"client {client}: {sentence}"


def test_addresses_are_judged_when_they_are_asked_for(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def getaddrinfo(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(name)
        found = ("203.0.113.9", "127.0.0.1", "127.0.0.1", "2001:470::1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert acl(file, "Other.test", "--resolve") == OK
    assert asked == ["other.test"]
    assert rows(capsys) == {
        "at a client": "proxied by line 5: 203.0.113.0/24",
        "at a server": "undecided: no line matches the name, so each address is judged; else allowed",
        "at a server, 203.0.113.9": (
            "refused by the safe default: the address is special (documentation); "
            "a network of /24 or narrower in [outbound_allow_list] opens it"
        ),
        "at a server, 127.0.0.1": "refused by line 10: 127.0.0.0/8",
        "at a server, 2001:470::1": "allowed by default: no line matches",
    }


def test_a_name_without_addresses(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert acl(file, "other.test", "--resolve") == DIED
    assert capsys.readouterr().err == "error: other.test: its addresses cannot be found: Name or service not known\n"


def test_nothing_is_looked_up_unless_it_is_asked_for(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert acl(file, "other.test") == OK
    assert capsys.readouterr().out.count("(--resolve shows them)") == 2


def test_where_no_address_can_turn_the_default_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rules.acl"
    path.write_text("||direct.test\n[outbound_block_all]")
    assert acl(str(path), "other.test") == OK
    told = rows(capsys)
    assert told["at a client"] == "proxied by default: no line matches"
    assert "; else refused (" in told["at a server"]


def test_the_dialect_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rules.acl"
    path.write_text("^both$\n[proxy_list]\n^both$\n")
    for dialect, way in (("rust", "proxied by line 3"), ("libev", "direct by line 1")):
        assert acl("--dialect", dialect, str(path), "both") == OK
        assert rows(capsys)["at a client"] == f"{way}: ^both$"


def test_lines_that_are_skipped_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rules.acl"
    path.write_text("bücher\n", encoding="utf-8")
    assert acl(str(path), "a.x") == OK
    assert capsys.readouterr().err.startswith(f"warning: {path}:1: bücher: this line is not ASCII")


def test_every_problem_of_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rules.acl"
    path.write_text("[proxy_lst]\n||a.x\n10.0.0.0/33\n(a\n")
    assert acl(str(path), "a.x") == CONFIG
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[1] for line in err.splitlines()] == [f"{path}:{line}" for line in (1, 3, 4)]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["nowhere.acl", "a.x"], CONFIG, "nowhere.acl: "),
        (["FILE", "a..x"], USAGE, "HOST is neither an address nor a name"),
        (["FILE", ""], USAGE, "HOST is neither an address nor a name"),
        (["FILE", "a.x", "--client", "b.x"], USAGE, "--client: 'b.x' is no address"),
        (["FILE", "a.x", "--dialect", "go"], USAGE, "'go' is not one of"),
        (["FILE"], USAGE, "Missing argument 'HOST'"),
        ([], USAGE, "Missing argument 'FILE'"),
    ],
)
def test_what_cannot_be_told(
    file: str, argv: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert acl(*(file if word == "FILE" else word for word in argv)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["acl", "test", "-h"]) == OK
    text = capsys.readouterr().out
    assert text.startswith("Usage: shadesocks acl test FILE HOST ")
    assert "\n  shadesocks acl test rules.acl" in text.partition("Examples:\n")[2]
    assert max(map(len, text.splitlines())) <= 100
    assert run(group, "shadesocks", ["acl"]) == USAGE
    assert "Tell what becomes of one name or address" in capsys.readouterr().err

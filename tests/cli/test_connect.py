"""`shadesocks connect`: a SOCKS5 port from nothing but a link."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.exits import DIED, OK, USAGE
from shadesocks.cli.place import free_port
from tests.socks_udp import associate

from .programs import LINK, run, running
from .terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_line_says_where_it_listens_and_the_next_what_to_try(tmp_path: Path) -> None:
    with running(tmp_path, "connect", LINK, "--port", "0") as client:
        client.until_out("curl")
        port = int(client.out[0].removeprefix("listening on 127.0.0.1:"))
        assert client.out[1] == f"try: curl -x socks5h://127.0.0.1:{port} https://example.com/"
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"\x05\x01\x00")
            assert sock.recv(2, socket.MSG_WAITALL) == b"\x05\x00"
        assert client.end(signal.SIGTERM) == OK


def test_a_port_in_use_is_passed_over(tmp_path: Path) -> None:
    with running(tmp_path, "connect", LINK) as one:
        first = int(one.until_out("listening on").rpartition(":")[2])
        with running(tmp_path, "connect", LINK) as other:
            second = int(other.until_out("listening on").rpartition(":")[2])
    assert 1080 <= first < second < 1180


def test_a_port_whose_datagrams_are_another_s_is_passed_over(tmp_path: Path) -> None:
    with running(tmp_path, "connect", LINK) as one:
        first = int(one.until_out("listening on").rpartition(":")[2])
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", first))
        with running(tmp_path, "connect", LINK) as other:
            assert int(other.until_out("listening on").rpartition(":")[2]) > first


def test_it_serves_udp_on_the_same_port(tmp_path: Path) -> None:
    with running(tmp_path, "connect", LINK, "--port", "0") as client:
        port = int(client.until_out("listening on").rpartition(":")[2])
        with associate(("127.0.0.1", port)) as association:
            assert association.relay == ("127.0.0.1", port)


def test_a_port_that_was_asked_for_is_used_or_refused(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, "connect", LINK, "--port", str(port)) as client:
        assert client.until_out("listening on") == f"listening on 127.0.0.1:{port}"
        second = run(tmp_path, "connect", LINK, "--port", str(port))
    assert (second.returncode, second.stdout) == (DIED, "")
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in second.stderr


def test_the_link_may_come_from_stdin(tmp_path: Path) -> None:
    with running(tmp_path, "connect", "-", "--port", "0") as client:
        assert client.process.stdin is not None
        client.process.stdin.write(f"'{LINK}'\n")
        client.process.stdin.flush()
        client.until_out("listening on")


def test_the_link_may_come_from_the_environment(tmp_path: Path) -> None:
    with running(tmp_path, "connect", "--port", "0", env={"SHADESOCKS_LINK": LINK}) as client:
        client.until_out("listening on")


def test_a_person_is_asked_for_the_link_and_does_not_see_it(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "connect", "--port", "0") as glass:
        glass.until("link: ")
        glass.press(f"{LINK}\n")
        glass.until("listening on 127.0.0.1:")
        glass.until("0 open")
        glass.press("\x03")
        assert glass.rest() == OK
    assert LINK not in glass.seen


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no link was given"),
        (["-"], "no link was given"),
        (["http://proxy.example"], "link: a link begins with ss://"),
        (["ss://YWVzLTI1Ni1nY206cGFzcw@192.0.2.7"], "link: a link names its port"),
        (
            [f"{LINK}/?plugin=/bin/v2ray-plugin%3Bserver"],
            "this names a plugin by its path, and may come from somebody else, so it is not run",
        ),
        ([f"{LINK}/?plugin=reboot"], "so it is not run; to allow it: --allow-plugin reboot"),
        (
            [f"{LINK}/?plugin=v2ray-plugin%3Bserver"],
            "the options of the plugin v2ray-plugin do more than shape traffic",
        ),
        ([f"{LINK}/?plugin=reboot", "--allow-plugin", "other"], "the plugin reboot is none of allowed_plugins"),
        (["ss://cmM0LW1kNTpwYXNz@192.0.2.7:8388"], "allow it with allow_legacy (--allow-legacy)"),
        ([LINK, "--port", "65536"], "--port"),
        ([LINK, "--bind", "x"], "--bind"),
        ([LINK, "-d"], "-d: this command stays in the foreground"),
        ([LINK, "--pid-file", "x"], "`shadesocks local --server-url LINK` has this flag"),
        ([LINK, "-a", "nobody"], "-a: this command stays in the foreground, as the one who calls it"),
    ],
)
def test_what_cannot_be_connected_is_told(argv: list[str], words: str, tmp_path: Path) -> None:
    done = run(tmp_path, "connect", *argv)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_weak_password_is_warned_of(tmp_path: Path) -> None:
    with running(tmp_path, "connect", "ss://YWVzLTI1Ni1nY206cGFzc3dvcmQ@192.0.2.7:8388", "--port", "0") as client:
        assert "this password is weak" in client.until_err("WARNING")
        client.until_out("listening on")


def test_an_old_cipher_is_warned_of_where_it_is_allowed(tmp_path: Path) -> None:
    old = "ss://cmM0LW1kNTpwYXNzLXdvcmQtb2Ytb2xk@192.0.2.7:8388"
    with running(tmp_path, "connect", old, "--allow-legacy", "--port", "0") as client:
        client.until_err("method rc4-md5 does not notice")
        client.until_out("listening on")


def test_several_links_and_a_document(tmp_path: Path) -> None:
    other = LINK.replace("8388", "8389")
    with running(tmp_path, "connect", LINK, other, "--port", "0", "-v") as client:
        assert client.until_out("curl")
        assert client.end(signal.SIGTERM) == OK
    refused = run(tmp_path, "connect", LINK, "ssconf://user:secret@h.example/")
    assert refused.returncode == USAGE
    assert "link: the address of a document has no user and no password" in refused.stderr
    assert "user:secret" not in refused.stderr

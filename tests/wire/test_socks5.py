"""SOCKS5 as plays: what a client sends, in every split, and what it must be answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import LocalProtocolError, RemoteProtocolError
from shadesocks.wire import socks5
from shadesocks.wire.reader import Reader
from tests.wire.splits import all_splits, bytewise

if TYPE_CHECKING:
    from collections.abc import Mapping

V4 = "01c000020a1f90"
NO = "05010001000000000000"
USERS = {"alice": "secret", "bob": "üñí", "nobody": ""}


class Server:
    """The server's side with what it said so far."""

    def __init__(self, commands: tuple[int, ...] = (socks5.CONNECT,), users: Mapping[str, str] | None = None) -> None:
        self.said = bytearray()
        self.command: socks5.Command | None = None
        self.refused = ""
        self._reader = Reader(socks5.serve(self.said.extend, commands, users))

    def hears(self, *pieces: bytes) -> Server:
        for piece in pieces:
            assert self.command is None
            if self.refused:  # closing: nothing is read any more
                break
            scratch = bytearray(piece)
            try:
                self.command = self._reader.feed(memoryview(scratch))
            except RemoteProtocolError as error:
                self.refused = error.code
            scratch[:] = bytes(len(scratch))  # the buffer is shared: whoever kept a view now reads zeros
        return self

    @property
    def rest(self) -> bytes:
        return self._reader.rest


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (V4, Address("192.0.2.10", 8080)),
        ("030b6578616d706c652e636f6d01bb", Address("example.com", 443)),
        ("0420010db800000000000000000000001014e9", Address("2001:db8::10", 5353)),
    ],
)
def test_connect_in_every_split(address: str, target: Address) -> None:
    talk = bytes.fromhex("05020001" + "050100" + address)
    for pieces in all_splits(talk):
        server = Server().hears(*pieces)
        assert server.said.hex() == "0500"
        assert server.command == socks5.Command(socks5.CONNECT, target)
        assert server.rest == b""


def test_login_in_every_split() -> None:
    talk = bytes.fromhex("05020002" + "0105616c69636506736563726574" + "050100" + V4)
    for pieces in all_splits(talk):
        server = Server(users=USERS).hears(*pieces)
        assert server.said.hex() == "0502" + "0100"
        assert server.command == socks5.Command(socks5.CONNECT, Address("192.0.2.10", 8080), "alice")


def test_bytes_after_the_request_are_payload() -> None:
    server = Server().hears(bytes.fromhex("050100" + "050100" + V4) + b"GET")
    assert (server.said.hex(), server.rest) == ("0500", b"GET")


def test_answer_to_the_greeting_does_not_wait_for_the_request() -> None:
    server = Server().hears(b"\x05\x01")
    assert not server.said
    assert server.hears(b"\x00").said.hex() == "0500"


def test_login_beyond_ascii() -> None:
    server = Server(users=USERS).hears(bytes.fromhex("050102"), socks5.pack_login("bob", "üñí"))
    assert server.said.hex() == "05020100"


@pytest.mark.parametrize("offered", ["00", "01", "0101", "02020001"])
def test_method_is_ours_or_none(offered: str) -> None:
    methods = bytes.fromhex(offered)
    talk = bytes((5, len(methods))) + methods
    assert Server().hears(talk).said.hex() == ("0500" if 0 in methods else "05ff")
    assert Server(users=USERS).hears(talk).said.hex() == ("0502" if 2 in methods else "05ff")


@pytest.mark.parametrize(
    ("talk", "said", "word"),
    [
        (b"GET / HTTP/1.1\r\n\r\n".hex(), "", "bad_greeting"),
        ("0401" + "1f90c000020a00", "", "bad_greeting"),
        ("0500", "05ff", "no_method"),
        ("050102", "05ff", "no_method"),
        ("050100" + "040100" + V4, "0500" + NO, "bad_greeting"),
        ("050100" + "050200" + V4, "0500" + "05070001000000000000", "bad_command"),
        ("050100" + "050900" + V4, "0500" + "05070001000000000000", "bad_command"),
        ("050100" + "050300" + V4, "0500" + "05070001000000000000", "bad_command"),
        ("050100" + "05010009" + "000000000000", "0500" + "05080001000000000000", "bad_address"),
        ("050100" + "05010003" + "000050", "0500" + NO, "empty_domain"),
        ("050100" + "05010003" + "036100620050", "0500" + NO, "bad_domain"),
    ],
)
def test_refusals(talk: str, said: str, word: str) -> None:
    for pieces in ([bytes.fromhex(talk)], bytewise(bytes.fromhex(talk))):
        server = Server().hears(*pieces)
        assert (server.said.hex(), server.refused) == (said, word)


@pytest.mark.parametrize(
    "login",
    [
        "0105616c6963650577726f6e67",  # wrong password
        "0105616c69636507736563726574ff",  # longer than it is, and no text
        "01056d6963656506736563726574",  # unknown name
        "01066e6f626f647900",  # known, but nobody has an empty password
        "010000",
        "0505616c69636506736563726574",  # not a version of the login
    ],
)
def test_refused_logins_get_one_answer(login: str) -> None:
    talk = bytes.fromhex("050102" + login)
    for pieces in ([talk], bytewise(talk)):
        server = Server(users=USERS).hears(*pieces)
        assert (server.said.hex(), server.refused) == ("0502" + "01ff", "bad_login")


def test_udp_associate_is_a_command_where_it_is_served() -> None:
    server = Server((socks5.CONNECT, socks5.UDP_ASSOCIATE)).hears(bytes.fromhex("050100" + "050300" + V4))
    assert server.command == socks5.Command(socks5.UDP_ASSOCIATE, Address("192.0.2.10", 8080))


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("denied", 2),
        ("unreachable", 3),
        ("host_unreachable", 4),
        ("no_name", 4),
        ("dial_timeout", 4),
        ("refused", 5),
        ("bad_command", 7),
        ("bad_address", 8),
        ("limit", 1),
        ("auth_failed", 1),
        ("a word that nobody has", 1),
    ],
)
def test_reply_codes(word: str, code: int) -> None:
    assert socks5.reply_code(word) == code
    assert socks5.pack_reply(code).hex() == f"05{code:02x}0001000000000000"


def test_reply_names_the_bound_address() -> None:
    assert socks5.pack_reply(socks5.SUCCEEDED, Address("2001:db8::10", 5353)).hex() == (
        "050000" + "0420010db800000000000000000000001014e9"
    )


def converse(server: Server, login: tuple[str, str] | None, target: Address) -> tuple[Reader[Address], Address | None]:
    """Let the client's side talk to the server's, both a byte at a time, and grant what is asked."""
    said = bytearray()
    client = Reader(socks5.ask(said.extend, target, login=login))
    bound = None
    while bound is None:
        outgoing, said[:] = bytes(said), b""
        before = len(server.said)
        server.hears(*bytewise(outgoing))
        answer = bytes(server.said[before:])
        if server.command is not None:
            answer += socks5.pack_reply(socks5.SUCCEEDED, Address("127.0.0.1", 1080)) + b"hello"
        if not answer:
            return client, None
        for piece in bytewise(answer):
            bound = bound or client.feed(piece)
    return client, bound


@pytest.mark.parametrize("login", [None, ("alice", "secret")])
@pytest.mark.parametrize("users", [None, USERS])
@pytest.mark.parametrize("target", [Address("example.com", 443), Address("::1", 1)])
def test_client_against_server(login: tuple[str, str] | None, users: Mapping[str, str] | None, target: Address) -> None:
    server = Server(users=users)
    if users is not None and login is None:
        with pytest.raises(RemoteProtocolError) as caught:
            converse(server, login, target)
        assert caught.value.code == "no_method"
        return
    _, bound = converse(server, login, target)
    assert bound == Address("127.0.0.1", 1080)
    assert server.command is not None
    assert server.command.target == target


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 400", "bad_greeting"),
        (b"\x05\xff", "no_method"),
        (b"\x05\x01", "no_method"),
        (b"\x05\x02\x01\x01", "bad_login"),
        (b"\x05\x00\x04\x00\x00\x01", "bad_greeting"),
        (b"\x05\x00\x05\x02\x00\x01", "denied"),
        (b"\x05\x00\x05\x03\x00\x01", "unreachable"),
        (b"\x05\x00\x05\x04\x00\x01", "host_unreachable"),
        (b"\x05\x00\x05\x05\x00\x01", "refused"),
        (b"\x05\x00\x05\x01\x00\x01", "refused"),
        (b"\x05\x00\x05\x00\x00\x09", "bad_address"),
    ],
)
def test_client_refuses(answer: bytes, word: str) -> None:
    client = Reader(socks5.ask(bytearray().extend, Address("h", 1), login=("alice", "secret")))
    with pytest.raises(RemoteProtocolError) as caught:
        client.feed(answer)
    assert caught.value.code == word


def test_client_without_a_login_takes_none_from_the_server() -> None:
    client = Reader(socks5.ask(bytearray().extend, Address("h", 1)))
    with pytest.raises(RemoteProtocolError) as caught:
        client.feed(b"\x05\x02")
    assert caught.value.code == "no_method"


@pytest.mark.parametrize("login", [("", "x"), ("x", ""), ("x" * 256, "x"), ("x", "ü" * 128)])
def test_login_that_does_not_fit_is_our_mistake(login: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        socks5.pack_login(*login)


def test_target_without_a_form_is_our_mistake_before_anything_is_said() -> None:
    said = bytearray()
    with pytest.raises(LocalProtocolError):
        Reader(socks5.ask(said.extend, Address("", 1)))
    assert not said

"""The speaker: a second's notes become lines, and a flood does not."""

from __future__ import annotations

import logging

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError, RemoteProtocolError
from shadesocks.service.journal import Journal
from shadesocks.service.speaker import FAILURES_MAX, FAILURES_PER_SOURCE, TOGETHER_MAX, TOGETHER_MIN, Note, Speaker
from shadesocks.service.voices import SUSPECT, voice_of

CLIENT = ("192.0.2.7", 50)
ALL = 1


def speaker(style: str = "python", role: str = "server") -> Speaker:
    return Speaker(voice_of(style, role), shows_time=False)


def suspects(count: int, hosts: int) -> list[Note]:
    return [((f"192.0.2.{number % hosts}", number), None, SUSPECT, 0, 0, 0.0, "auth_failed") for number in range(count)]


def test_a_flood_from_one_source_hides_nobody() -> None:
    notes = [*suspects(10_000, 1), (("198.51.100.9", 1), None, SUSPECT, 0, 0, 0.0, "auth_failed")]
    level, lines = speaker().told(notes, ALL)
    assert level == logging.ERROR
    assert len(lines) == FAILURES_PER_SOURCE + 2
    assert lines[-2] == "ERROR    can not parse header when handling connection from 198.51.100.9:1"
    assert lines[-1] == f"WARNING  {10_000 - FAILURES_PER_SOURCE} more lines of this second are not written"


def test_a_flood_from_everywhere_is_a_bounded_log() -> None:
    level, lines = speaker().told(suspects(10_000, 250), ALL)
    assert len(lines) == FAILURES_MAX + 1
    assert lines[-1].startswith(f"WARNING  {10_000 - FAILURES_MAX} more ")
    assert "can not parse" not in lines[-1], "which a ban tool would read as another failure"
    assert level == logging.ERROR


def test_the_end_of_the_silence_is_no_second_failure() -> None:
    journal = Journal(show_targets=False, speaker=speaker())
    assert journal.suspect is not None
    journal.suspect(CLIENT, AuthenticationError())
    journal.stranger(CLIENT, "auth", 9)
    assert journal.reasons == {"auth": 1}
    assert speaker().told([(CLIENT, None, "handshake", 0, 0, 0.0, "auth")], ALL) == (0, [])


def test_a_session_of_datagrams_that_ends_is_no_time_out() -> None:
    note: Note = (CLIENT, None, "packets", 1, 1, 1.0, "idle")
    assert speaker().told([note], ALL) == (0, [])


@pytest.mark.parametrize(
    ("style", "role", "word", "line"),
    [
        (
            "python",
            "server",
            "no_name",
            "ERROR    unknown hostname a.example when handling connection from 192.0.2.7:50",
        ),
        ("python", "server", "dial_timeout", "WARNING  timed out: a.example:80"),
        ("python", "server", "denied", "ERROR    IP a.example is in forbidden list, reject"),
        (
            "python",
            "local",
            "bad_address",
            "ERROR    can not parse header when handling connection from 192.0.2.7:50",
        ),
        ("python", "local", "no_method", "WARNING  none of SOCKS METHOD's requested by client is supported"),
        ("go", "server", "limit", "dial error: dial tcp a.example:80: too many open files"),
        ("go", "server", "no_name", "error connecting to: a.example:80 the name was not found"),
        ("go", "local", "bad_greeting", "socks handshake: not a SOCKS5 greeting"),
        ("go", "local", "bad_command", "error getting request: the command is not supported"),
        ("lite", "server", "refused", "remote a.example:80 error: Error: the far end refused the connection"),
        ("procurator", "server", "refused", "a.example:80: the far end refused the connection"),
        ("node", "local", "unreachable", "remote a.example:80 error: Error: the network of the far end is unreachable"),
    ],
)
def test_what_failed_is_said_in_the_words_of_the_program(style: str, role: str, word: str, line: str) -> None:
    note: Note = (CLIENT, Address("a.example", 80), "dial", 0, 0, 0.0, word)
    assert speaker(style, role).told([note], ALL)[1] == [line]


def test_go_says_that_no_server_was_left() -> None:
    note: Note = (CLIENT, Address("a.example", 80), "dial", 0, 0, 0.0, "refused")
    assert speaker("go", "local").told([note], ALL)[1] == [
        "error connecting to shadowsocks server: the far end refused the connection",
        "Failed connect to all available shadowsocks server",
    ]


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("ota_required", ["WARNING  client one time auth is required"]),
        ("ota_header_hmac", ["WARNING  one time auth fail"]),
        ("bad_domain", ["ERROR    can not parse header when handling connection from 192.0.2.7:50"]),
    ],
)
def test_a_failed_handshake_is_said_by_its_cause(code: str, lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(show_targets=False, speaker=speaker())
    assert journal.suspect is not None
    journal.suspect(CLIENT, RemoteProtocolError(code))
    journal.flush()
    assert [line for record in caplog.records for line in record.getMessage().splitlines()] == lines


def test_ipv4_clients_of_a_wide_listener_are_named_as_what_is_banned() -> None:
    note: Note = (("::ffff:192.0.2.7", 50, 0, 0), None, SUSPECT, 0, 0, 0.0, "auth_failed")
    assert speaker().told([note], ALL)[1] == [
        "ERROR    can not parse header when handling connection from 192.0.2.7:50"
    ]


def test_lines_below_the_level_are_not_made() -> None:
    notes: list[Note] = [
        (CLIENT, Address("a.example", 80), "connecting", 0, 0, 0.0, ""),
        (CLIENT, Address("a.example", 80), "stream", 0, 0, 0.0, "idle"),
    ]
    assert speaker().told(notes, logging.WARNING) == (logging.WARNING, ["WARNING  timed out: a.example:80"])
    assert speaker().told(notes, logging.ERROR) == (0, [])


def test_a_port_with_both_sockets_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shadesocks")
    said = speaker()
    for port in (1, 2):
        for way in ("streams", "packets"):
            said.listening(f"server {way}", Address("0.0.0.0", 0), Address("0.0.0.0", port))
    assert caplog.messages == ["starting server at 0.0.0.0:1", "starting server at 0.0.0.0:2"]


def test_what_is_said_together_is_one_record_where_it_is_much(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shadesocks")
    for count in (1, TOGETHER_MIN - 1, TOGETHER_MIN, TOGETHER_MAX, 2 * TOGETHER_MAX + TOGETHER_MIN):
        caplog.clear()
        said = speaker()
        with said.together():
            for port in range(count):
                with said.together():
                    said.say("adding", place=f"h:{port}", port=port)
                    said.say("model", name="which is below the level")
                assert len(caplog.records) == (port + 1) // TOGETHER_MAX
        texts = [f"adding server at h:{port}" for port in range(count)]
        if count < TOGETHER_MIN:
            assert caplog.messages == texts
            assert {record.name for record in caplog.records} == {"shadesocks.service.speaker"}
        else:
            assert {(record.name, record.levelno) for record in caplog.records} == {("shadesocks.access", logging.INFO)}
            assert len(caplog.records) == -(-count // TOGETHER_MAX)
            assert "\n".join(caplog.messages).splitlines() == [f"INFO     {text}" for text in texts]
        said.say("removing", place="h:1", port=1)
        assert caplog.messages[-1] == "removing server at h:1"


def test_each_line_that_is_said_together_has_its_own_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "shadesocks")
    said = speaker()
    with said.together():
        said.say("model", name="x")
        said.say("quit")
        for _ in range(TOGETHER_MIN):
            said.say("worker")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    lines = record.getMessage().splitlines()
    assert lines[:3] == [
        "DEBUG    using event model: x",
        "WARNING  received SIGQUIT, doing graceful shutting down..",
        "INFO     worker started",
    ]


def test_what_was_said_before_a_failure_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shadesocks")
    said = speaker()

    def fail() -> None:
        with said.together():
            said.say("worker")
            raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        fail()
    assert caplog.messages == ["worker started"]
    with said.together():
        pass
    assert len(caplog.records) == 1


def test_a_tunnel_is_announced_with_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shadesocks")
    here, there = Address("127.0.0.1", 53), Address("8.8.8.8", 53)
    said = speaker(role="local")
    said.listening("tunnel streams", here, here, there)
    said.listening("tunnel packets", here, here, there)
    assert caplog.messages == [
        "starting tcp tunnel at 127.0.0.1:53 forward to 8.8.8.8:53",
        "starting udp tunnel at 127.0.0.1:53 forward to 8.8.8.8:53",
    ]


def test_go_names_no_host_where_it_listens_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shadesocks")
    speaker("go", "local").listening("local streams", Address("::", 1080), Address("::", 1080))
    assert caplog.messages == ["starting local socks5 server at :1080 ..."]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ("manager", "entering manager mode"),
        ("worker", "worker started"),
        ("quit", "received SIGQUIT, doing graceful shutting down.."),
        ("stopping", "stopping"),
    ],
)
def test_events_of_the_python_program(event: str, line: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shadesocks")
    speaker().say(event, place="127.0.0.1:6001")
    assert caplog.messages == [line]


def test_what_a_voice_has_no_words_for_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, "shadesocks")
    speaker("lite").say("stopping")
    assert not caplog.messages

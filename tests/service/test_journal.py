"""The journal: lines in batches, counters at once."""

from __future__ import annotations

import logging

import pytest

from shadesocks.core.address import Address
from shadesocks.proxy.users.user import User
from shadesocks.service import journal as module
from shadesocks.service.journal import Journal

CLIENT = ("192.0.2.7", 5000)


def lines(journal: Journal, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    journal.flush()
    return [line for record in caplog.records for line in record.getMessage().splitlines()]


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="shadesocks.access")
    return caplog


def test_one_record_for_all_lines_of_a_second(heard: pytest.LogCaptureFixture) -> None:
    journal = Journal(show_targets=False, show_times=False)
    for port in (1, 2, 3):
        journal.failed(("::ffff:192.0.2.7", port), Address("secret.example", 443), "dial", "refused")
    said = lines(journal, heard)
    assert said == [f"INFO 192.0.2.7:{port} up 0 down 0 0.000s dial refused" for port in (1, 2, 3)]
    assert len(heard.records) == 1
    assert journal.reasons == {"refused": 3}
    assert lines(journal, heard) == []


def test_targets_only_when_asked_for_and_never_forging_a_line(heard: pytest.LogCaptureFixture) -> None:
    journal = Journal(show_targets=True, show_times=False)
    journal.failed(CLIENT, Address("a\nINFO forged", 443), "dial", "refused")
    assert lines(journal, heard) == ["INFO 192.0.2.7:5000 to a\\x0aINFO forged:443 up 0 down 0 0.000s dial refused"]


def test_the_line_ends_of_unicode_forge_nothing_either(heard: pytest.LogCaptureFixture) -> None:
    journal = Journal(show_targets=True, show_times=False)
    journal.failed(CLIENT, Address("a\u2028b\x85c\u2029d", 443), "dial", "refused")
    assert lines(journal, heard) == [
        "INFO 192.0.2.7:5000 to a\\u2028b\\x85c\\u2029d:443 up 0 down 0 0.000s dial refused"
    ]


def test_times_are_the_lines_own(heard: pytest.LogCaptureFixture) -> None:
    journal = Journal(show_targets=False)
    journal.stranger(CLIENT, "auth", 9)
    (line,) = lines(journal, heard)
    assert line[4] == line[7] == "-"
    assert line.endswith(" INFO 192.0.2.7:5000 up 0 down 0 0.000s handshake auth")


def test_whose_key_a_stranger_has_is_said(heard: pytest.LogCaptureFixture) -> None:
    journal = Journal(show_targets=False, show_times=False)
    journal.stranger(CLIENT, "quota", 9, User("anna", (b"k",)))
    assert lines(journal, heard) == ["INFO 192.0.2.7:5000 user anna up 0 down 0 0.000s handshake quota"]


def test_a_flood_is_counted_not_written(heard: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 2)
    journal = Journal(show_targets=False, show_times=False)
    for _ in range(5):
        journal.stranger(CLIENT, "auth", 9)
    assert lines(journal, heard)[2:] == ["INFO 3 more connections ended in this second"]
    assert journal.reasons == {"auth": 5}


def test_nobody_listens_and_nothing_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="shadesocks.access")
    journal = Journal(show_targets=False)
    journal.stranger(CLIENT, "auth", 9)
    assert lines(journal, caplog) == []
    assert journal.totals() == (0, 0, 0)
    assert journal.accepted == 1


def test_a_stranger_whose_relay_was_reported_is_not_counted_again() -> None:
    journal = Journal(show_targets=False)
    journal.stranger(None, "bad_chunk", 9)
    assert not journal.reasons


def test_who_leaves_without_a_word_is_counted_and_no_line(heard: pytest.LogCaptureFixture) -> None:
    """Each client that keeps connections ready lets go of some each half a minute."""
    journal = Journal(show_targets=False, show_times=False)
    journal.stranger(CLIENT, "unused", 9)
    journal.stranger(CLIENT, "left_early", 9)
    assert lines(journal, heard) == ["INFO 192.0.2.7:5000 up 0 down 0 0.000s handshake left_early"]
    assert journal.reasons == {"unused": 1, "left_early": 1}

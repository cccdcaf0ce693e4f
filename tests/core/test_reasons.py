"""Reason words: one table for logs, SOCKS answers, counters and silence."""

from __future__ import annotations

import pytest

from shadesocks.core.reasons import REASONS, reason

UNAUTHENTICATED = {"short", "auth", "replay", "stale", "malformed", "left_early", "unused", "evicted", "unwelcome"}
OVER_A_LIMIT = {"disabled", "expired", "quota", "connections", "sources"}
"""Of users, who then look like strangers."""


def test_each_row_explains_itself() -> None:
    for word, row in REASONS.items():
        assert row.word == word
        assert row.text
        assert word.replace("_", "").isalpha()


def test_strangers_learn_nothing() -> None:
    assert {word for word, row in REASONS.items() if row.silent} == UNAUTHENTICATED | OVER_A_LIMIT


@pytest.mark.parametrize(
    ("word", "reply"),
    [
        ("done", 0),
        ("denied", 2),
        ("unreachable", 3),
        ("host_unreachable", 4),
        ("dial_timeout", 4),
        ("no_name", 4),
        ("refused", 5),
        ("bad_command", 7),
        ("bad_address", 8),
        ("bad_hop", 1),
        ("internal", 1),
    ],
)
def test_socks_answers(word: str, reply: int) -> None:
    """RFC 1928 §6, as protocol §12.1 assigns them."""
    assert reason(word).reply == reply


def test_words_of_the_wire_have_a_reason_and_strange_ones_are_ours() -> None:
    assert reason("auth_failed").word == "auth"
    assert reason("padding_overrun").word == "malformed"
    assert reason("never heard of").word == "internal"

"""A secret shows itself to `reveal` alone."""

from __future__ import annotations

import pickle

import pytest

from shadesocks.core.secret import Secret

CANARY = "canary-of-a-password"


def test_no_way_to_print_shows_it() -> None:
    secret = Secret(CANARY)
    assert CANARY not in f"{secret} {secret!r} {[secret]} %s" % secret
    assert secret.reveal() == CANARY


def test_it_compares_by_content_and_is_not_pickled() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert not Secret("")
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY))

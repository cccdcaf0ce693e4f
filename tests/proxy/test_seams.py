"""The seams: a router without a choice."""

from __future__ import annotations

from typing import Any

from shadesocks.proxy.seams import OneWay


def test_one_way_is_always_the_same() -> None:
    dialer: Any = object()
    router = OneWay(dialer)
    assert router.pick(None) is dialer  # type: ignore[arg-type]  # it does not look at the request

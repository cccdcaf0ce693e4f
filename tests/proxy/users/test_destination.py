"""A server behind another shows no key."""

from __future__ import annotations

from shadesocks.core.address import Address
from shadesocks.proxy.users.destination import Destination


def test_a_key_is_not_shown() -> None:
    shown = repr(Destination("east", b"secret", Address("192.0.2.1", 8388)))
    assert "secret" not in shown
    assert "east" in shown

"""One test vector with typed access to its fields, and the two ways a check can end early."""

from __future__ import annotations

from typing import Any

from shadesocks.core.address import Address
from shadesocks.crypto.methods import Method, find_method, is_ready


class Mismatch(AssertionError):
    """The code does not do what the vector says."""


class Unsupported(Exception):
    """This version does not have what the vector is about; the text says what that is."""


class Vector:
    """The fields of one vector. A field that is null is absent; fields nobody asks for are ignored."""

    def __init__(self, suite: str, fields: dict[str, Any]) -> None:
        self.suite = suite
        self.fields = {name: value for name, value in fields.items() if value is not None}
        self.id = str(self.fields.get("id", "?"))
        self.kind = str(self.fields.get("kind", "?"))

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def __repr__(self) -> str:
        return f"{self.suite}:{self.id}"

    def text(self, name: str) -> str:
        """A field of text."""
        return str(self.fields[name])

    def number(self, name: str) -> int:
        """A field that is a whole number."""
        return int(self.fields[name])

    def data(self, name: str) -> bytes:
        """The bytes of a `*_hex` field; none where it is absent."""
        return bytes.fromhex(self.fields.get(name, ""))

    def datas(self, name: str) -> list[bytes]:
        """The bytes of each item of a `*_hex` list."""
        return [bytes.fromhex(item) for item in self.fields.get(name, [])]

    def items(self, name: str) -> list[dict[str, Any]]:
        """A list of objects, without their null fields."""
        return [{key: value for key, value in item.items() if value is not None} for item in self.fields.get(name, [])]

    def table(self, name: str) -> dict[str, Any]:
        """An object, null fields included."""
        return dict(self.fields[name])

    @property
    def target(self) -> Address:
        """The `target` field."""
        return to_address(self.fields["target"])

    @property
    def method(self) -> Method:
        """The `method` field; raises Unsupported for one that this version only knows by name."""
        try:
            method = find_method(self.text("method"))
        except KeyError:
            raise Unsupported(self.text("method")) from None
        if not is_ready(method):
            raise Unsupported(method.name)
        return method


def to_address(target: dict[str, Any]) -> Address:
    """Turn an object of the vectors into an Address."""
    return Address(str(target["host"]), int(target["port"]))


def same(got: object, wanted: object, what: str) -> None:
    """Raise Mismatch unless both are equal."""
    if isinstance(got, (bytes, bytearray, memoryview)):
        got = bytes(got).hex()
    if isinstance(wanted, (bytes, bytearray, memoryview)):
        wanted = bytes(wanted).hex()
    if got != wanted:
        raise Mismatch(f"{what}: got {_short(got)}, wanted {_short(wanted)}")


def holds(condition: bool, text: str) -> None:
    """Raise Mismatch with that text unless the condition holds."""
    if not condition:
        raise Mismatch(text)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:60]}…{shown[-30:]} ({len(shown)} characters)"

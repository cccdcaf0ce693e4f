"""A text that must not be seen: passwords and keys on their way through the program."""

from __future__ import annotations

from typing import Final


class Secret:
    """Holds a text and shows it only to `reveal()`; repr, str, format and pickling do not.

    Values compare by content, so frozen models that hold one still compare.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """Return the text itself. Call it where the text is used, not where it is passed on."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")

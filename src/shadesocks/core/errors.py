"""The errors of shadesocks: one root, and a stable word in each.

    ShadesocksError
    ├── ConfigError           the operator's text; carries every problem at once
    ├── KeyTextError          a password that cannot be the key of its method
    ├── DialError             the far end could not be reached; `code` says why
    ├── LimitError            a bound of ours was met
    └── ProtocolError         bytes that break a rule
        ├── LocalProtocolError     our misuse of a codec
        └── RemoteProtocolError    the peer's bytes
            ├── AuthenticationError    a tag or a hash that does not match
            └── ReplayError            a salt seen before, or a clock too far off

`code` is a word of `core/reasons.py`, or, for the bytes of a peer, a word of
the vectors' vocabulary that `reasons.py` maps to one of its own. Logs, counters
and SOCKS answers are made from the word, never from the text of the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ShadesocksError(Exception):
    """Root of all errors that this package raises on purpose."""

    code = "internal"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where it stands and what to do about it."""

    where: str
    """A file's name, or the flag that was given."""
    line: int | None
    """Counted from 1; None where the text has no lines (flags, missing keys)."""
    key: str
    """The path of the key, as in `servers[0].port`; empty for the whole text."""
    text: str
    """A sentence that says what is wrong and what to do. Never holds a secret."""

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


Problems = tuple[Problem, ...]
"""What is wrong; empty where nothing is."""


class ConfigError(ShadesocksError):
    """A configuration that cannot be used. Holds every problem found, not only the first."""

    code = "config"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class _CodedError(ShadesocksError):
    """An error whose word is given when it is raised."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(text or code.replace("_", " "))
        self.code = code


class KeyTextError(_CodedError):
    """A key's text is not what its method wants. The message never repeats the text."""


class DialError(_CodedError):
    """The far end could not be reached; `code` is one of the dial words of `core/reasons.py`."""

    def __init__(self, code: str, text: str = "", stage: str = "dial") -> None:
        super().__init__(code, text)
        self.stage = stage
        """What failed: `resolve` or `dial`."""


class LimitError(_CodedError):
    """A bound of ours was met; what was asked for was not done."""


class ProtocolError(_CodedError):
    """Bytes break a rule of the protocol."""


class LocalProtocolError(ProtocolError):
    """We used a codec wrongly: a bug of ours or of the embedding program."""


class RemoteProtocolError(ProtocolError):
    """The peer's bytes break a rule of the protocol."""


class AuthenticationError(RemoteProtocolError):
    """A tag does not match: a wrong key, a probe or a damaged stream."""

    def __init__(self, code: str = "auth_failed", text: str = "") -> None:
        super().__init__(code, text)


class ReplayError(RemoteProtocolError):
    """A salt that was seen before, or a time stamp too far from our clock."""

    def __init__(self, code: str = "salt_reused", text: str = "") -> None:
        super().__init__(code, text)

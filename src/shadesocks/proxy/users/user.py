"""Who is served: a value that every connection and session of a user refers to, so that nobody has to look it up."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class User:
    """One of those who share a port. Two with the same name are still two: each port has its own."""

    name: str
    keys: tuple[bytes, ...] = field(repr=False)
    """Each lets him in; one at least."""

"""One user: a name, the passwords that are his, what is noted of him, his limits.

    {"name": "anna", "password": KEY, "note": "third floor", "quota": "50G", ...}
    {"name": "ben", "passwords": [KEY, {"password": KEY, "from": "2026-12-01", "until": "2027-12-01"}]}

So users stand in a server's list (`users.py`), and so, without the name, in a store. Whoever has no password of his own
has the server's, and the port for himself. The same name in several places is the same user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.address import PORT_MAX
from ..core.errors import KeyTextError
from ..core.limits import FREE, LIMITS, Limits
from ..core.secret import Secret
from ..crypto.keys import parse_keys
from ..crypto.methods import Method
from .limits import MemberError, pack_limits, parse_instant, parse_limits
from .reader import printable

NAME_MOST: Final = 255
"""Letters of a name: it stands in log lines."""
NOTE_MOST: Final = 1000
"""Letters of a note."""
MEMBERS: Final = ("name", "password", "passwords", "port", "note", *LIMITS)
"""Of the JSON object of a user."""
_PASSWORD: Final = ("password", "from", "until")


@dataclass(frozen=True, slots=True)
class Credential:
    """One password or key of a user, and when it opens the door."""

    password: Secret
    valid_from: int | None = None
    """Unix seconds; None: ever since."""
    valid_until: int | None = None
    """Unix seconds; None: for good."""
    _known: tuple[Method, bytes] | None = field(default=None, init=False, repr=False, compare=False)
    """The key that it is with the method that was asked about last: users are read again and again, and few change."""

    def key(self, method: Method) -> bytes:
        """Return the key that it is with a method.

        Raises:
            KeyTextError: it is none, or (`several_keys`) more than one.
        """
        known = self._known
        if known is None or known[0] is not method:
            keys = parse_keys(method, self.password.reveal())
            if len(keys) != 1:
                raise KeyTextError("several_keys", "one key is expected here; the server's own stands in its password")
            known = method, keys[0]
            object.__setattr__(self, "_known", known)
        return known[1]

    def is_valid(self, wall: float) -> bool:
        """True at an instant at which it is taken."""
        return (self.valid_from is None or self.valid_from <= wall) and (
            self.valid_until is None or wall < self.valid_until
        )


@dataclass(frozen=True, slots=True)
class UserConfig:
    """A user as an operator describes him."""

    name: str
    credentials: tuple[Credential, ...] = ()
    """Empty: whoever has the server's own password is this user."""
    limits: Limits = FREE
    note: str = ""
    port: int | None = None
    """Of a user in a store: the port of the server; None: every server of the config that has users."""
    where: str = field(default="", compare=False)
    """Where he stands, as messages say it: a file and a line, or nothing for a store."""


def check_name(name: Any) -> str:
    """Return a name that can stand in a log line.

    Raises:
        MemberError: it cannot.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_MOST or not name.isprintable():
        text = f"a name has 1 to {NAME_MOST} letters, and no control characters: it stands in the log"
        raise MemberError("name", text)
    return name


def name_shown(name: str) -> str:
    """Return a name as a line may show it, also one that cannot be: a store may have any."""
    try:
        return check_name(name)
    except MemberError:
        return printable(name)


def parse_user(name: str, members: Mapping[str, Any], where: str = "") -> UserConfig:
    """Return a user from the members of a JSON object; those that are not known are passed over.

    Raises:
        MemberError: one is not what it should be.
    """
    note, port = members.get("note") or "", members.get("port")
    if not isinstance(note, str) or len(note) > NOTE_MOST:
        raise MemberError("note", f"a note is a text of {NOTE_MOST} letters at most")
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= PORT_MAX):
        raise MemberError("port", f"port is a number from 1 to {PORT_MAX}")
    return UserConfig(check_name(name), _credentials(members), parse_limits(members), note, port, where)


def pack_user(user: UserConfig) -> dict[str, Any]:
    """Return the members of a JSON object that `parse_user` takes; his passwords are among them."""
    members: dict[str, Any] = {}
    if len(user.credentials) == 1 and user.credentials[0] == Credential(user.credentials[0].password):
        members["password"] = user.credentials[0].password.reveal()
    elif user.credentials:
        members["passwords"] = [_pack_credential(credential) for credential in user.credentials]
    if user.port is not None:
        members["port"] = user.port
    if user.note:
        members["note"] = user.note
    return {**members, **pack_limits(user.limits)}


def _pack_credential(credential: Credential) -> str | dict[str, Any]:
    ends = {"from": credential.valid_from, "until": credential.valid_until}
    given = {name: end for name, end in ends.items() if end is not None}
    text = credential.password.reveal()
    return {"password": text, **given} if given else text


def _credentials(members: Mapping[str, Any]) -> tuple[Credential, ...]:
    one, several = members.get("password"), members.get("passwords")
    if one is not None and several is not None:
        raise MemberError("passwords", "a user has password or passwords; put the one into the list of the others")
    if one is not None:
        return (_credential("password", one),)
    if several is None:
        return ()
    if not isinstance(several, list | tuple) or not several:
        raise MemberError("passwords", "passwords is a list of texts, or of objects with password, from and until")
    return tuple(_credential(f"passwords[{index}]", each) for index, each in enumerate(several))


def _credential(key: str, value: Any) -> Credential:
    if isinstance(value, str):
        return Credential(Secret(value))
    if not isinstance(value, Mapping) or not value.keys() <= {*_PASSWORD} or not isinstance(value.get("password"), str):
        raise MemberError(key, "a password is a text in quotes, or an object with password, from and until")
    ends = [None if value.get(name) is None else parse_instant(f"{key}.{name}", value[name]) for name in _PASSWORD[1:]]
    if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]:
        raise MemberError(key, "a password is valid from an instant until a later one")
    return Credential(Secret(value["password"]), *ends)

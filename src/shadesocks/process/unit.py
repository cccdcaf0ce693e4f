"""Units of systemd, made from the templates in `units/`.

`shadesocks service install` writes one for the program and the config of this machine. Those that packages install,
with a config for each instance, are in `packaging/systemd`: `python -m shadesocks.process.unit packaging/systemd`
writes them, and a test fails when they are not what it writes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

PACKAGED_PROGRAM: Final = ("/usr/bin/shadesocks",)
"""Where a distribution's package has it."""

_INSTANCE: Final = "%i"
# The shell's own kill, and no cmp below: small systems have no such programs.
_RELOAD: Final = "ExecReload=/bin/sh -c 'kill -HUP \"$$0\"' $MAINPID"
_COPY: Final = """\
# systemd hands the config over again at a reload from version 260 on. Before that the copy stays what it was at the
# start, and the reload of a config that was changed fails rather than do nothing: restart instead. The copy is looked
# at through the main process: what runs at a reload has none of its own.
RefreshOnReload=credentials
ExecReload=+/bin/sh -c '[ "$$(cat "$$0")" = "$$(cat "$$1")" ] || {{ echo "$$0 has changed: systemctl restart %n"; \\
    exit 1; }}' {config} {copy}
"""
_COPY_IS_AT: Final = "/proc/${MAINPID}/root%d/config.json"
_WORDS: Final = {"server": "Shadowsocks server", "local": "Shadowsocks client"}


class UnfitPathError(ValueError):
    """A path that no unit can hold; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A service, and its socket if it has one."""

    name: str
    """Of the files, without their endings."""
    role: str
    """`server` or `local`: the command that it runs."""
    config: str
    program: Sequence[str] = PACKAGED_PROGRAM
    """The words before the role."""
    is_users: bool = False
    """For a user's service manager, and not for the system's."""
    sees_home: bool = False
    """The program lies in a home directory, which then is there to read."""
    listens: Sequence[tuple[str, str]] = ()
    """For the socket: pairs of `Stream` or `Datagram` and an address."""

    @property
    def description(self) -> str:
        """One line, as `systemctl status` shows it."""
        instance = " %i" if self.is_template else ""
        return f"{_WORDS[self.role]}{instance} (shadesocks)"

    @property
    def is_template(self) -> bool:
        """True for one unit of many instances: its paths have specifiers in them."""
        return self.name.endswith("@")

    def service(self) -> str:
        """The text of NAME.service.

        Raises:
            UnfitPathError: a path has a character that no unit can hold.
        """
        return _fill(
            "user.service" if self.is_users else "system.service",
            {
                "DESCRIPTION": self.description,
                "PROGRAM": " ".join(quote(word) for word in self.program),
                "ROLE": self.role,
                "RELOAD": self._reload(),
                "CONFIG": self._word(self.config) if self.is_users else self._line(self.config),
                "STATE": self._state(),
                "HOME": "read-only" if self.sees_home else "yes",
            },
        )

    def socket(self) -> str:
        """The text of NAME.socket."""
        lines = [f"Listen{kind}={escape(where)}" for kind, where in self.listens]
        return _fill("any.socket", {"DESCRIPTION": self.description, "LISTEN": "\n".join(lines)})

    def _reload(self) -> str:
        if self.role != "server":
            return "# A client reads its config at the start only."
        return _RELOAD if self.is_users else _COPY.format(config=self._word(self.config), copy=_COPY_IS_AT) + _RELOAD

    def _state(self) -> str:
        """One for each: the user of a unit is its own, too, and what belongs to one cannot be another's."""
        # /var/lib/shadesocks itself is for those whom root starts without systemd: systemd would shut it off from them.
        return "shadesocks-main" if self.name == "shadesocks" else self.name.replace("@", "-%i")

    def _line(self, text: str) -> str:
        return text if self.is_template else escape(text)

    def _word(self, text: str) -> str:
        return text if self.is_template else quote(text)


def escape(text: str) -> str:
    """Return a text for a line that takes it as it is, but for specifiers, which begin with `%`.

    Raises:
        UnfitPathError: it has a line end, or another character that has no place in a unit.
    """
    if not text.isprintable():
        raise UnfitPathError(f"{text!r} has a character that has no place in a unit; rename it")
    return text.replace("%", "%%")


def quote(text: str) -> str:
    """Return a text as one word of a command line; raises as `escape`."""
    text = escape(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if not text or set(text) & set(" ;'\"\\") else text


def _fill(template: str, values: dict[str, str]) -> str:
    text = files("shadesocks.process").joinpath("units", template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def packaged() -> dict[str, str]:
    """Return the units that packages install, by path: for the system, and for users' service managers."""
    both = (("Stream", "8388"), ("Datagram", "8388"))
    own = (("Stream", "127.0.0.1:1080"), ("Datagram", "127.0.0.1:1080"))
    texts = {"shadesocks.service": Unit("shadesocks", "server", "/etc/shadesocks/config.json").service()}
    for role, listens in (("server", both), ("local", own)):
        name = f"shadesocks-{role}@"
        unit = Unit(name, role, f"/etc/shadesocks/{_INSTANCE}.json", listens=listens)
        texts[f"{name}.service"] = unit.service()
        texts[f"{name}.socket"] = unit.socket()
        users = Unit(name, role, f"%E/shadesocks/{_INSTANCE}.json", is_users=True)
        texts[f"user/{name}.service"] = users.service()
    return texts


def main(arguments: list[str]) -> int:
    """Write the packaged units into the directory that is named; return an exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m shadesocks.process.unit DIRECTORY\n")
        return 64  # EX_USAGE
    for name, text in packaged().items():
        path = Path(arguments[0]) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

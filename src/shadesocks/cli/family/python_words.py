"""What the Python original said, in its words: tools and its own tests match them.

Called by `run` behind the names `sslocal` and `ssserver`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from ...core.networks import parse_network
from .program import NOTE

if TYPE_CHECKING:
    from ...config.model import Config
    from ...config.reader import Member
    from ...core.errors import Problem

_SHORT: Final = 100
_LONG: Final = 600
"""Seconds of `timeout` that it found odd: below the first, above the second."""
_LOOPBACK: Final = ("127.0.0.1", "localhost")
_UNSAFE: Final = {"table": "table", "rc4": "RC4"}


class PythonWords:
    """The lines of `sslocal` and `ssserver`."""

    def warnings(self, config: Config) -> Iterator[tuple[int, str]]:
        """Yield what it warned of, in the order in which it did."""
        if any(local.address.host == "0.0.0.0" for local in config.locals):  # noqa: S104 - what is warned of
            yield logging.WARNING, "warning: local set to listen on 0.0.0.0, it's not safe"
        first = config.servers[0].address if config.servers else None
        if first is not None and first.host in _LOOPBACK:  # once, however many ports there are
            yield logging.WARNING, f"warning: server set to listen on {first.host}:{first.port}, are you sure?"
        for name in dict.fromkeys(server.method.name for server in config.servers):
            if name in _UNSAFE:
                text = f"warning: {_UNSAFE[name]} is not safe; please use a safer cipher, like AES-256-CFB"
                yield logging.WARNING, text
        if config.idle_timeout < _SHORT:
            yield logging.WARNING, f"warning: your timeout {config.idle_timeout:.0f} seems too short"
        if config.idle_timeout > _LONG:
            yield logging.WARNING, f"warning: your timeout {config.idle_timeout:.0f} seems too long"
        if any(server.password.reveal() == "mypassword" for server in config.servers):  # that of its example
            # An error there, which ended it; its users' files worked with other programs.
            yield logging.ERROR, "DON'T USE DEFAULT PASSWORD! Please change it in your config.json!"

    def remark(self, problem: Problem) -> tuple[int, str]:
        """Return what is said of something odd: its own words for the one such thing that it warned of, too."""
        if problem.key == "port_password":
            text = "warning: port_password should not be used with server_port and password. "
            return logging.WARNING, f"{text}server_port and password will be ignored"
        return NOTE, str(problem)

    def error(self, problem: Problem, given: Mapping[str, Member]) -> str:
        """Return what it said of a problem: its own words for a wrong network, ours for all others."""
        value = given["forbidden_ip"].node.value if problem.where == "--forbidden-ip" else None
        for item in str(value or "").split(","):
            try:
                parse_network(item.strip())
            except ValueError:
                if item.strip():
                    return f"Not a valid CIDR notation: {item.strip()}"
        return str(problem)

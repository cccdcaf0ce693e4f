"""A change of a port that a command wants, in a form that goes from process to process.

What is sent is what was said, not what came of it: every process makes the servers from the words by its own config,
which is the same everywhere, and no server with its keys is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...config.manager import added_server
from ...core.address import Address

if TYPE_CHECKING:
    from ...config.model import Config, ServerConfig


@dataclass(frozen=True, slots=True)
class Change:
    """A port as it is to be."""

    port: int
    keys: Mapping[str, Any] | None = field(default=None, repr=False)
    """Of an `add`, with port and password; None: the port is to go."""
    hosts: tuple[str, ...] = ()
    """Where it is to listen; empty: where the words say."""
    cuts: bool = False
    """Whether the connections end of what was there."""

    def servers(self, config: Config) -> list[ServerConfig]:
        """Return what is to listen.

        Raises:
            ConfigError: it may not be.
        """
        if self.keys is None:
            return []
        server, _ = added_server(config, self.keys)
        return [replace(server, address=Address(host, self.port)) for host in self.hosts] or [server]

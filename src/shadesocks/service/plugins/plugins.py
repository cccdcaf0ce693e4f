"""The plugins of a service: one for each server that has one, opened and released with it.

check_plugins -> Plugins -> open (of a client's server), serve (of a server's port) -> release -> stop
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ...core.errors import ConfigError, Problem
from ...wire.plugin_options import loopback_of

if TYPE_CHECKING:
    from ...config.model import Config, ServerConfig
    from ...core.address import Address
    from ...net.crowd import Crowd
    from .errand import Errand
    from .plugin import Plugin


class Plugins:
    """Those of one service. What is released ends by itself, and is waited for in `settle` and `stop`."""

    def __init__(self, crowd: Crowd | None = None) -> None:
        """Have none; the crowd has the sessions whose datagrams go through some."""
        self._crowd: Final = crowd
        self._plugins: dict[Hashable, Plugin] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self._plugins.values())

    def of(self, server: ServerConfig) -> Plugin | None:
        """Return the plugin that leads to a server, if it was opened."""
        return self._plugins.get(server)

    def before(self, server: ServerConfig) -> Plugin | None:
        """Return the plugin that listens where a server would, if it has one."""
        return next(
            (plugin for key, plugin in self._plugins.items() if isinstance(key, tuple) and key[0] == server), None
        )

    def open(self, server: ServerConfig) -> Plugin:
        """Return the plugin that leads to a server, the same one each time until it is released; start it once."""
        plugin = self._plugins.get(server)
        if plugin is None:
            assert server.plugin is not None, "a server without one is reached directly"
            from .errand import ClientErrand  # for those who have some

            plugin = self._start(server, ClientErrand(server.plugin, server.address, loopback_of(server.address.host)))
        return plugin

    def serve(self, server: ServerConfig, behind: Address) -> Plugin:
        """Start the plugin that listens where a server would, and leads to where the server listens behind it."""
        assert server.plugin is not None, "a server without one listens itself"
        assert behind.port, "the plugin is told where the server listens"
        from .errand import ServerErrand

        return self._start((server, behind), ServerErrand(server.plugin, server.address, behind))

    def _start(self, key: Hashable, errand: Errand) -> Plugin:
        from .plugin import Plugin

        plugin = self._plugins[key] = Plugin(errand, self._leave)
        plugin.start()
        return plugin

    def release(self, which: ServerConfig | Plugin) -> None:
        """End the plugin of a server; nothing happens where it has none, or was released."""
        for key, plugin in list(self._plugins.items()):
            if which in (key, plugin):
                del self._plugins[key]
                task = asyncio.get_running_loop().create_task(plugin.stop())
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    def _leave(self, address: Address) -> None:
        """Take their sockets from sessions whose datagrams go to a port that a plugin has left."""
        for relay in () if self._crowd is None else self._crowd.relays:
            for session in list(relay.sessions.values()):
                if session.outlet is None:
                    continue
                with suppress(OSError):
                    if session.outlet.sock.getpeername()[:2] == (address.host, address.port):
                        relay.close_outlet(session)

    async def settle(self) -> None:
        """Wait for those that were released: until then they have their ports."""
        if self._ending:
            await asyncio.wait(set(self._ending))

    async def stop(self) -> None:
        """End all of them at once."""
        for plugin in list(self):
            self.release(plugin)
        await self.settle()


def check_plugins(config: Config) -> None:
    """See that every plugin can be started.

    Raises:
        ConfigError: programs are not found: all of them.
    """
    problems: list[Problem] = []
    for server in config.servers:
        try:
            check_plugin(server)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def check_plugin(server: ServerConfig, *, alone: bool = True) -> None:
    """See that the plugin of a server, if it has one, can be started; raises as `check_plugins`.

    Not beside other processes that serve the same ports: each would start one, and they would fight for its port.
    """
    if server.plugin is None:
        return
    if not alone:
        text = "the plugin of a server leads to one process, and several are running; restart to have one"
        raise ConfigError([Problem("config", None, "plugin", text)])
    from .programs import find_program

    if find_program(server.plugin.name) is not None:
        return
    text = f"{server.plugin.name} is no program that can be started here; install it, or give its absolute path"
    raise ConfigError([Problem("config", None, "plugin", text)])

"""Several processes instead of one: the master's start, as `run` starts a service, and its end.

limits and rules judged -> every port bound -> the process says that it listens -> workers, until a signal
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from ..process.activation import given_sockets
from ..process.commanded import Commanded
from ..process.notify import notifier
from ..process.orders import Orders
from ..process.slots import Slots
from ..process.supervisor import Supervisor
from ..service.limits import raise_nofile
from ..service.manager.kept import KeptPorts
from ..service.rules import AclShelf
from ..service.sockets import check_sockets
from ..service.speaker import Speaker
from ..service.voices import voice_of
from .exits import OK
from .logs import set_level

if TYPE_CHECKING:
    from ..config.model import Config
    from .run import Host

log = logging.getLogger("shadesocks.cli")


def run_workers(config: Config, reread: Callable[[], Config] | None, host: Host) -> int:
    """Run the workers of a config until a signal ends them, and return the exit code.

    Raises:
        ConfigError: an address cannot be listened on, or something that workers need is missing.
    """
    raise_nofile(config.nofile)
    config = _gathered(config)  # the workers have the ports that are bound here
    given = given_sockets()
    slots = Slots(config.workers, given)
    supervisor = notifier()
    try:
        check_sockets(config)
        AclShelf(config)
        _, problems = slots.bind(config)
        if problems:
            raise ConfigError(problems)
        commanded = Commanded(slots)
        if config.manager_listen is not None:
            slots.bind_manager(config.manager_listen)
            if config.manager_keep:
                commanded.restore(config, KeptPorts(config.manager_keep).read())
        for text in given.close_unused():
            log.warning("%s was given to this process, and the config does not listen there; it is closed", text)
        host.listening()
        speaker = Speaker(voice_of(config.log_style, "server"), shows_time=not config.log_without_time)
        orders = Orders(
            speaker,
            supervisor,
            reread,
            _gathered,
            host.hangup,
            host.at_once,
            host.leaving,
            lambda config: set_level(config.log_level, config.log_style),
        )
        code = Supervisor(config, slots, orders, commanded).run()
    finally:
        slots.close()
        supervisor.close()
    if code == OK:
        log.info("stopped")
    return code


def _gathered(config: Config) -> Config:
    if config.store is None:
        return config
    from ..service.users.gathering import gathered

    return gathered(config)

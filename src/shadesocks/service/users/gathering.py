"""The users of a store for a process that binds ports for others: read once, before anything runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ...config.stored import with_stored
from ...config.user import name_shown
from ...core.errors import ConfigError, Problem
from ..store.choose import open_store
from ..store.roll import Roll, call_roll
from ..store.store import StoreError

if TYPE_CHECKING:
    from ...config.model import Config

log = logging.getLogger(__name__)


def gathered(config: Config) -> Config:
    """Return a configuration with the users of its store beside those of its file; who is left out is told.

    Raises:
        ConfigError: the store cannot be used.
    """
    if config.store is None:
        return config
    try:
        store = open_store(config.store.reveal())
        store.open()
        try:
            roll = call_roll(store)
        finally:
            store.close()
    except StoreError as error:
        raise unusable(error) from None
    for note in store.notes:
        log.warning("%s", note)
    return joined(config, roll)


def unusable(error: StoreError) -> ConfigError:
    """Return what is wrong with a config whose store cannot be used."""
    return ConfigError([Problem("config", None, "store", str(error))])


def joined(config: Config, roll: Roll) -> Config:
    """Return a configuration with those on a roll; who is left out is told."""
    peopled, problems = with_stored(config, list(roll.users.values()))
    for name, text in [
        *((name_shown(name), text) for name, text in roll.faults.items()),
        *((problem.key, problem.text) for problem in problems),
    ]:
        log.warning("store: %s is left out: %s", name, text)
    return peopled

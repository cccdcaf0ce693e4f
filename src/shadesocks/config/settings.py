"""The one table of settings: every key, flag, default and unit, and what each is for.

Made from it: the walk of `load.py`, the defaults of `model.py`, the rows of
`options.py` that the command line turns into its options, the hints for unknown
keys, `docs/config.md` and `docs/config.schema.json`. A setting that is not in
this table does not exist; nothing else may name a default.

The rows themselves stand in the files `rows_*.py`, by topic.
"""

from __future__ import annotations

from typing import Final

from . import (
    rows_balance,
    rows_entries,
    rows_legacy,
    rows_manager,
    rows_names,
    rows_online,
    rows_outbound,
    rows_plugins,
    rows_process,
    rows_rules,
    rows_sockets,
    rows_state,
    rows_times,
    rows_workers,
)
from .setting import Place, Setting

TABLE: Final[tuple[Setting, ...]] = (
    *rows_entries.ROWS,
    *rows_balance.ROWS,
    *rows_online.ROWS,
    *rows_times.ROWS,
    *rows_names.ROWS,
    *rows_outbound.ROWS,
    *rows_plugins.ROWS,
    *rows_sockets.ROWS,
    *rows_rules.ROWS,
    *rows_legacy.ROWS,
    *rows_manager.ROWS,
    *rows_state.ROWS,
    *rows_process.ROWS,
    *rows_workers.ROWS,
)

SETTINGS: Final[dict[str, Setting]] = {setting.name: setting for setting in TABLE}

LISTS: Final[dict[str, Place]] = {"servers": Place.SERVER, "shadowsocks": Place.SERVER, "locals": Place.LOCAL}
"""Keys of the top level that hold a list of objects; `shadowsocks` is shadowsocks-rust's other name of `servers`."""


def known_keys(place: Place) -> dict[str, Setting]:
    """Return every key and alias that may stand in that place, and its row."""
    return {key: setting for setting in TABLE if place in setting.places for key in (setting.path, *setting.aliases)}

"""Rows of the table: servers from subscriptions."""

from __future__ import annotations

from typing import Final

from .setting import LOCAL_END, RUST, YEAR, Kind, Setting

ROWS: Final = (
    Setting(
        "online_urls",
        Kind.URLS,
        "Where a document of servers is fetched: SIP008, an access key of Outline, or a list of ss:// links. "
        "ssconf:// is Outline's word for https://.",
        key="online_config.config_url",
        roles=LOCAL_END,
        default_text="none",
        flags=("--online-config-url",),
        source=RUST,
        since="0.3",
    ),
    Setting(
        "online_interval",
        Kind.SECONDS,
        "How often it is asked whether the document changed.",
        key="online_config.update_interval",
        roles=LOCAL_END,
        default=3600.0,
        unit="s",
        low=10,
        high=YEAR,
        flags=("--online-config-update-interval",),
        source=RUST,
        since="0.3",
    ),
)

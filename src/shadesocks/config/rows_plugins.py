"""Rows of the table: plugins (SIP003, SIP003u), the programs that carry what goes between a client and its server."""

from __future__ import annotations

from typing import Final

from .setting import RUST, SERVERS, Kind, Setting

ROWS: Final = (
    Setting(
        "plugin",
        Kind.TEXT,
        "Program (SIP003) through which clients and server reach each other: a name to be found in PATH, or an "
        "absolute path.",
        places=SERVERS,
        default="",
        default_text="none",
        flags=("--plugin",),
        source=RUST,
        since="0.3",
    ),
    Setting(
        "plugin_opts",
        Kind.TEXT,
        "What the plugin is told, as in `obfs=http;obfs-host=example.org`; it may hold keys, so it is kept as a "
        "password is.",
        places=SERVERS,
        default="",
        default_text="none",
        flags=("--plugin-opts",),
        source=RUST,
        since="0.3",
    ),
    Setting(
        "plugin_args",
        Kind.TEXTS,
        "Words of the plugin's command line, for plugins that want some. Whoever lists processes sees them.",
        places=SERVERS,
        default=(),
        default_text="none",
        source=RUST,
        since="0.3",
    ),
    Setting(
        "plugin_mode",
        Kind.CHOICE,
        "What goes through the plugin (SIP003u); what does not goes straight to the server's port.",
        places=SERVERS,
        default="tcp_only",
        choices=("tcp_only", "tcp_and_udp", "udp_only"),
        flags=("--plugin-mode",),
        source=RUST,
        since="0.3",
    ),
    Setting(
        "allowed_plugins",
        Kind.NAMES,
        "Plugins that links, documents and subscriptions may start, since they come from others: by name, or by path "
        "where they say that very path. What `plugin` says needs no leave.",
        default_text="the known ones for a link or a file, none for a subscription",
        flags=("--allow-plugin", "--online-config-allowed-plugin"),
        aliases=("online_config.allowed_plugins",),
        source=RUST,
        since="0.3",
    ),
)

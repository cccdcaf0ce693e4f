"""`shadesocks user`: the group of the commands that manage users, one file of `users/` for each kind of them."""

from __future__ import annotations

from typing import Final

from .command import LazyGroup

_COMMANDS: Final = {
    "list": (".users.showing", "Show all users, what they used, and who is refused."),
    "show": (".users.showing", "Show one user: limits, what was used, the last 30 days."),
    "add": (".users.adding", "Make a user, and print the link of its own; or many from a file."),
    "set": (".users.changing", "Change what is named of a user: limits, passwords, note."),
    "reset": (".users.changing", "Let the quota of a user count from now on."),
    "del": (".users.changing", "Delete a user, and end what is live of it."),
    "link": (".users.linking", "Print the link of a user, with -q also as a QR code."),
    "export": (".users.exporting", "Print what passed for users, by day or hour, as CSV or JSON."),
    "move": (".users.moving", "Copy all users, and what passed, into a database."),
}

_MEANT: Final = {
    **dict.fromkeys(("remove", "delete", "rm"), "del"),
    **dict.fromkeys(("info", "get"), "show"),
    **dict.fromkeys(("edit", "modify", "change", "update"), "set"),
    **dict.fromkeys(("new", "create"), "add"),
    "ls": "list",
    "qr": "link",
    "traffic": "export",
    **dict.fromkeys(("rename", "mv"), "a new name is a new user: add him, and delete the old one"),
    **dict.fromkeys(("enable", "disable"), "it is `shadesocks user set NAME --enable`, or --disable"),
    "kick": "it is `shadesocks kick --user NAME`",
}

_HELP = """Manage the users of a server, in its store.

The store is the one that the config names, which is found as `shadesocks server` finds it; -c FILE names another
config, --store FILE a store without one. A server that runs on this store serves a change at once, and nobody is
dropped but whom it concerns. Users that stand in the config itself are shown, and changed there.
"""

command_user = LazyGroup(
    _COMMANDS,
    _MEANT,
    name="user",
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

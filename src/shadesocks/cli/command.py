"""A click command whose usage, text and examples are literals, as a person would write them.

Only the list of options is made by click: it knows them, and they change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_WIDTH: Final = 100
"""Columns of help at most: longer lines are hard to read."""


class Command(click.Command):
    """A command with a literal `usage` (what follows the program's name) and literal `examples`."""

    def __init__(self, name: str, *, usage: str, examples: str, strangers: dict[str, str] | None = None, **rest: Any):
        rest.setdefault("context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH})
        super().__init__(name, **rest)
        self.usage: Final = usage
        self.examples: Final = examples
        self.strangers: Final = strangers or {}
        """Flags that other programs have and this one does not, each with the sentence to answer."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, self.usage)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            formatter.write("".join(f"  {line}\n" for line in self.examples.strip("\n").splitlines()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            self._refuse(error, ctx)

    def _refuse(self, error: click.NoSuchOption, ctx: click.Context) -> NoReturn:
        sentence = self.strangers.get(error.option_name)
        if sentence is None:
            raise error
        raise click.UsageError(f"{error.option_name}: {sentence}", ctx) from None


def command(name: str, *, usage: str, examples: str, **rest: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a `Command` of a function, as `click.command` does; its docstring is the text of the help."""

    def decorate(function: Callable[..., Any]) -> Command:
        params: list[click.Parameter] = getattr(function, "__click_params__", [])
        made = rest.pop("params", []) + params[::-1]
        return Command(
            name, usage=usage, examples=examples, callback=function, help=function.__doc__, params=made, **rest
        )

    return decorate


class HelpWanted(click.UsageError):
    """A program was called without a word; the text is its help."""


class LazyGroup(click.Group):
    """A group that imports the file of a command when the command is called.

    `table` maps a name to its module and its line in the list of commands; the
    module holds the command under the name `command_` followed by its own.
    `meant` has what people write in the place of one: which one that is, or a sentence.
    """

    def __init__(self, table: dict[str, tuple[str, str]], meant: dict[str, str] | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self._table: Final = table
        self._meant: Final = meant or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise HelpWanted(ctx.get_help())
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        module = importlib.import_module(self._table[cmd_name][0], __package__)
        found: click.Command = getattr(module, f"command_{cmd_name}")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self._table:
            raise click.UsageError(f"no such command '{args[0]}'; {self._hint(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def _hint(self, word: str) -> str:
        from difflib import get_close_matches

        meant = self._meant.get(word, "")
        near = [meant] if meant in self._table else get_close_matches(word, self._table, 1, 0.5)
        if meant and meant not in self._table:
            return meant
        return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(self._table)}"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])

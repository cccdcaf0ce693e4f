"""Writes what is made from the table of settings: `python -m shadesocks.config DIRECTORY`.

A developer's tool; a test fails when the files in `docs/` are not what it writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .reference import reference
from .schema import json_schema


def generated() -> dict[str, str]:
    """Return the files by name."""
    return {
        "config.md": reference(),
        "config.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def main(arguments: list[str]) -> int:
    """Write the files into the directory that is named; return an exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m shadesocks.config DIRECTORY\n")
        return 64  # EX_USAGE
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in generated().items():
        directory.joinpath(name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

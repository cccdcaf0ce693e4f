"""`python -m tests.vectors [DIR]`: run every vector of a directory, by default the ones kept here."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from tests.vectors.runner import HERE, Verdict, run_directory


def main(arguments: list[str]) -> int:
    """Print the report; return 1 when a vector failed, 2 when there was nothing to run."""
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        sys.stderr.write("usage: python -m tests.vectors [DIR]\n")
        return 2
    logging.getLogger("shadesocks").addHandler(logging.NullHandler())  # what is wrong in a vector is meant to be
    directory = Path(arguments[0]) if arguments else HERE
    report = run_directory(directory)
    if not report.outcomes:
        sys.stderr.write(f"{directory}: no vectors there; a directory of *.json files is wanted\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 1 if report.count(Verdict.FAILED) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

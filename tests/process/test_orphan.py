from __future__ import annotations

import signal
import time

import pytest

from .children import child

HANG = """
import sys, time
from shadesocks.process.line import make_line
from shadesocks.process.orphan import die_behind
ours, theirs = make_line()
die_behind(theirs, float(sys.argv[1]))
ours.send(b"T")
print("there", flush=True)
sys.stdin.readline()
ours.close()
while True:
    time.sleep(0.01) if sys.argv[2] == "waits" else sum(range(1000))
"""


@pytest.mark.parametrize("how", ["waits", "works"])
def test_a_process_that_hangs_ends_behind_its_line(how: str) -> None:
    with child(HANG, 0.2, how) as process:
        time.sleep(0.3)
        assert process.poll() is None, "a message is no end"
        assert process.stdin is not None
        process.stdin.write("end\n")
        process.stdin.flush()
        assert process.wait(20) == -signal.SIGKILL

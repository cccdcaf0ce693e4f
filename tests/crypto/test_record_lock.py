"""Locks of forked processes: they keep each other out, number by number, and a killed one keeps nobody out."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

COUNTED: Final = """
import os, sys
from mmap import mmap
from shadesocks.crypto.record_lock import RecordLock

lock, table = RecordLock(), mmap(-1, 4096)
children = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        for _ in range(2000):
            with lock.at(7):
                table[:4] = (int.from_bytes(table[:4]) + 1).to_bytes(4)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
print(int.from_bytes(table[:4]))
"""

KILLED: Final = """
import os, signal
from shadesocks.crypto.record_lock import RecordLock

lock = RecordLock()
reading, writing = os.pipe()
pid = os.fork()
if not pid:
    with lock.at(1):
        os.write(writing, b"1")
        signal.pause()
os.read(reading, 1)
with lock.at(2):
    print("another number")
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
with lock.at(1):
    print("its number, once it is gone")
lock.close()
"""


HELD: Final = """
import os, signal
from shadesocks.crypto.record_lock import RecordLock

lock = RecordLock()
reading, writing = os.pipe()
pid = os.fork()
if not pid:
    taken = lock.take(3) and lock.take(3)
    with lock.at(4):
        pass
    os.write(writing, b"1" if taken else b"0")
    signal.pause()
print(os.read(reading, 1), lock.take(3), lock.take(4))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print(lock.take(3))
if not os.fork():
    os._exit(lock.take(3))
print(os.wait()[1])
lock.give(3)
if not os.fork():
    os._exit(lock.take(3))
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def said(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_nothing_is_lost_of_what_three_processes_count() -> None:
    assert said(COUNTED) == "6000\n"


def test_a_killed_process_keeps_nobody_out() -> None:
    assert said(KILLED) == "another number\nits number, once it is gone\n"


def test_a_lock_is_held_to_the_end_of_its_process() -> None:
    assert said(HELD).splitlines() == ["b'1' False True", "True", "0", "1"]

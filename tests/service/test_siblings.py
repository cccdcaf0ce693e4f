"""What forked processes share: salts of datagrams, of stream ciphers, and the files of the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from shadesocks.crypto.methods import Edition
from shadesocks.service.siblings import Siblings
from shadesocks.service.state import SaltMemory

FORKED: Final = """
import os, sys
from shadesocks.crypto.methods import Edition
from shadesocks.service.siblings import Siblings
from shadesocks.service.state import SaltMemory

siblings = Siblings()
salt = bytes(range(32))
def insert():
    memory = SaltMemory(sys.argv[1], lambda: 0.0, siblings)
    stores = [memory.of(edition) for edition in (Edition.STREAM, Edition.AEAD, Edition.AEAD2022)]
    return [siblings.packet_salts.insert(salt), *(store.insert(salt, 1) for store in stores)]

pid = os.fork()
if not pid:
    os._exit(0 if all(insert()) else 1)
print(os.waitpid(pid, 0)[1], *insert())
"""


def test_what_one_process_recorded_all_refuse(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FORKED, str(tmp_path)]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == "0 False False False False\n"
    assert not told.stderr


def test_a_worker_whose_files_cannot_be_opened_says_that_it_remembers_alone() -> None:
    siblings = Siblings()
    memory = SaltMemory("/proc/no-such-directory", lambda: 0.0, siblings)
    store = memory._open(Edition.AEAD)
    assert [note for note in store.notes if "workers" in note or "worker" in note]
    assert not memory._open(Edition.STREAM).notes, "its memory is shared without a file"
    store.close()
    siblings.close()

"""Two workers beside one: what a connection and a gigabyte cost when the kernel spreads them over two processes.

All of them have the same core, so that what is compared is work and not how many cores there are.
"""

from __future__ import annotations

from typing import Final

from .beside import Variants

WORK: Final = "workers"
VARIANTS: Final = Variants(
    WORK,
    {"1 worker": {"workers": 1}, "2 workers": {"workers": 2}},
    ("aes-256-gcm", "2022-blake3-aes-256-gcm"),
    (16, 64),
    "cpu_growth",
)

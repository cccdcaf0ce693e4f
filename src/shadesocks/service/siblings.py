"""What processes have in common that serve the same ports: the memory of datagrams, so that none is taken twice.

Made by the master before it forks. The stores of streams' salts lie in files, which each process opens for itself
(`SaltMemory`, `shared`); a process that cannot open them says so, and remembers for itself alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..crypto.replay_packets import PacketSalts
from ..crypto.window_shared import SharedWindows


@dataclass(frozen=True, slots=True)
class Siblings:
    """The memory that forked processes share. Pages that nobody writes are not resident."""

    packet_salts: PacketSalts = field(default_factory=lambda: PacketSalts(shared=True))
    """Of AEAD datagrams."""
    stream_salts: PacketSalts = field(default_factory=lambda: PacketSalts(shared=True))
    """Of stream ciphers, where repeats are refused."""
    windows: SharedWindows = field(default_factory=SharedWindows)
    """Of 2022 sessions."""
    speaks: bool = True
    """Whether this process tells of its life; of several that live alike, one does."""

    def close(self) -> None:
        """Give the memory back."""
        self.packet_salts.close()
        self.stream_salts.close()
        self.windows.close()

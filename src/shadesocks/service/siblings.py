"""What processes have in common that serve the same ports: the memory of datagrams, so that none is taken twice, and
the board, where each says what passed for users.

Made by the master before it forks. The stores of streams' salts lie in files, which each process opens for itself
(`SaltMemory`, `shared`); a process that cannot open them says so, and remembers for itself alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from socket import SocketType
from typing import TYPE_CHECKING, Any

from ..crypto.replay_packets import PacketSalts
from ..crypto.window_shared import SharedWindows
from .users.board import Board

if TYPE_CHECKING:
    from ..config.model import ServerConfig
    from .manager.hands import Ask
    from .manager.tally import Share, Tally


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker needs to have the manager of all."""

    sock: SocketType
    """Where commands come in: the master's, who keeps it."""
    kept: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """The ports that commands added, and their words."""
    ask: Ask | None = None
    """Lets all workers change ports."""


@dataclass(frozen=True, slots=True)
class Siblings:
    """The memory that forked processes share. Pages that nobody writes are not resident."""

    packet_salts: PacketSalts = field(default_factory=lambda: PacketSalts(shared=True))
    """Of AEAD datagrams."""
    stream_salts: PacketSalts = field(default_factory=lambda: PacketSalts(shared=True))
    """Of stream ciphers, where repeats are refused."""
    windows: SharedWindows = field(default_factory=SharedWindows)
    """Of 2022 sessions."""
    board: Board | None = None
    """What each counts of users. None: nobody else serves these ports."""
    slot: int = 0
    """Which of the workers this is."""
    speaks: bool = True
    """Whether this process tells of its life; of several that live alike, one does."""
    tally: Tally | None = None
    """What each says that passed through its ports. None: nobody wants to know."""
    share: Share | None = None
    """What this process says of that."""
    beside: tuple[ServerConfig, ...] = ()
    """Servers that came beside the configuration before this process."""
    desk: Desk | None = None
    """Of the process that has the manager, what it takes over from the one before it."""

    def close(self) -> None:
        """Give the memory back, but for the tally: the last word comes after the end."""
        self.packet_salts.close()
        self.stream_salts.close()
        self.windows.close()
        if self.board is not None:
            self.board.close()

"""The sliding window over packet ids: what a datagram session has seen (SIP022 §3.2.4, after RFC 6479).

Kept are the highest id and, as the bits of one integer, which of the 8,128 below it are still missing. Packets that
come in order leave no bit set, so the common case shifts a zero; the worst one is an integer of 1,016 bytes.

Who calls it: `fresh` before a packet is opened, `accept` once it proved to be whole, authentic and of today.
"""

from __future__ import annotations

from typing import Final

WINDOW_SIZE: Final = 8128
"""How far below the highest id one may still come: WireGuard's and shadowsocks-rust's (protocol §7.7)."""

_ALL: Final = (1 << WINDOW_SIZE + 1) - 1


class Window:
    """One direction of one session; fresh, it has seen nothing."""

    __slots__ = ("_highest", "_missing")

    def __init__(self) -> None:
        self._highest = -1
        self._missing = 0
        """Bit k: the id that is k below the highest was not seen."""

    def fresh(self, packet_id: int) -> bool:
        """True when the id was not seen and is not too old. Changes nothing."""
        behind = self._highest - packet_id
        return behind < 0 or (behind <= WINDOW_SIZE and bool(self._missing >> behind & 1))

    @property
    def highest(self) -> int:
        """The highest id it has seen; -1 before the first."""
        return self._highest

    def close_until(self, packet_id: int) -> None:
        """Count that id and all below it as seen: another process may have seen any of them."""
        ahead = self._highest - packet_id
        if ahead <= 0:
            self._highest, self._missing = packet_id, 0
        else:
            self._missing &= (1 << ahead) - 1

    def accept(self, packet_id: int) -> None:
        """Record an id that is `fresh`."""
        ahead = packet_id - self._highest
        if ahead == 1:  # in order: no new gap
            if self._missing:
                self._missing = self._missing << 1 & _ALL
            self._highest = packet_id
        elif ahead <= 0:
            self._missing &= ~(1 << -ahead)
        else:
            # the ids between are missing: bits 1 to ahead-1; all of the window, if it was left behind
            self._missing = (self._missing << ahead | (1 << ahead) - 2) & _ALL if ahead <= WINDOW_SIZE else _ALL - 1
            self._highest = packet_id

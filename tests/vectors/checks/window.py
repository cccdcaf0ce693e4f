"""window.json: packet ids, in order, on one fresh window."""

from __future__ import annotations

from shadesocks.crypto.window import Window
from tests.vectors.vector import Vector, same


def sliding(vector: Vector) -> str:
    """Each id is fresh or not, as its step says; asking twice changes nothing, taking it does."""
    window = Window()
    for number, step in enumerate(vector.items("steps"), 1):
        packet_id, what = int(step["packet_id"]), f"step {number}, id {step['packet_id']}"
        for _ in range(2):
            same(window.fresh(packet_id), step["accept"], what)
        if step["accept"]:
            window.accept(packet_id)
            same(window.fresh(packet_id), False, f"{what} again")
    return ""

"""The memory of IVs: nothing before it is needed, and then every one."""

from __future__ import annotations

import os

from shadesocks.crypto.methods import Edition
from shadesocks.crypto.replay import open_salts
from shadesocks.crypto.replay_stream import StreamSalts


def test_the_store_of_its_edition_is_in_memory(tmp_path: object) -> None:
    store = open_salts(str(tmp_path), Edition.STREAM, clock=float)
    assert isinstance(store, StreamSalts)
    assert os.listdir(str(tmp_path)) == []
    assert store.notes == []
    store.close()


def test_an_iv_of_any_size_is_known_after_it_was_recorded() -> None:
    store = StreamSalts()
    for size in (6, 8, 12, 16, 24):
        ivs = [os.urandom(size) for _ in range(50)]
        assert not any(store.known(iv) for iv in ivs)
        assert all(store.insert(iv) for iv in ivs)
        assert all(store.known(iv) for iv in ivs)
        assert not any(store.insert(iv, 7) for iv in ivs)
    store.close()


def test_ours_are_known_once_anybodys_are() -> None:
    """A server that takes repeats records nothing, and need not have the memory."""
    store = StreamSalts()
    assert store.fresh(8, lambda size: b"a" * size) == b"a" * 8
    assert not store.known(b"a" * 8)
    store.insert(b"client's")
    assert store.fresh(8, lambda size: b"b" * size) == b"b" * 8
    assert store.known(b"b" * 8)
    store.close()
    assert not store.known(b"b" * 8)
    store.close()

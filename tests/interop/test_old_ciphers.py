"""libev's stream ciphers against ours, streams and datagrams, either of us at either end.

One test for each cell of server x client x method, with what `test_interop.py` and `test_udp.py` send through theirs.
`make test` runs a sample: each construction of a cipher once, from both ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.peers import LIBEV_STREAM, run_pair

from .test_interop import EDGES, download, duplex, silent_client, upload
from .test_udp import MODE, burst, empty_down, full_cone, names, sizes

PAIRS: Final = (("ours", "libev"), ("libev", "ours"))
"""Server, then client."""
SAMPLE: Final = frozenset(("aes-256-cfb", "aes-128-ctr", "bf-cfb", "rc4-md5", "salsa20", "chacha20-ietf"))
DUPLEX, DUPLEX_SAMPLE = 8 << 20, 1 << 20


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", LIBEV_STREAM)
@pytest.mark.parametrize(("server", "local"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_cell(server: str, local: str, method: str, tmp_path: Path, whole: bool) -> None:
    if not whole and method not in SAMPLE:
        pytest.skip("sampled; make interop runs every method")
    with run_pair(server, local, method, tmp_path, settings={**MODE, "allow_legacy": True}) as pair:
        silent_client(pair)
        for size in EDGES:
            upload(pair, size)
            download(pair, size)
        download(pair, 0)
        duplex(pair, DUPLEX if whole else DUPLEX_SAMPLE)
        sizes(pair, empty_up=True)
        burst(pair)
        empty_down(pair)
        names(pair)
        full_cone(pair)

"""The PostgreSQL of the tests: it comes, it crashes, it comes again, and nothing of it is left."""

from __future__ import annotations

import pytest

from tests.postgres import running


def test_it_comes_and_goes() -> None:
    with running() as server:
        name = server.new_schema()
        server.execute("CREATE TABLE t AS SELECT 7 AS n", name)
        server.kill()
        with pytest.raises(ConnectionError):
            server.execute("SELECT 1")
        server.start()
        assert server.execute("SELECT n FROM t", name) == [(7,)]
        server.stop()
        server.start()
        assert server.execute("SELECT n FROM t", name) == [(7,)]
    assert not server.folder.exists()

"""Modules that are loaded when they are used: functions of ours, and modules that others import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shadesocks.core.later import later


def said(code: str) -> list[str]:
    """Return the lines that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_function_is_found_when_it_is_called() -> None:
    nowhere = later("shadesocks.core", ".nowhere", "nothing")
    with pytest.raises(ModuleNotFoundError):
        nowhere()
    assert later("shadesocks.core", ".address", "pack_ip")("127.0.0.1") == b"\x7f\0\0\1"


def test_a_module_is_put_off_until_something_of_it_is_used() -> None:
    code = """
import sys
from shadesocks.core.later import put_off
put_off("ssl", "asyncio.sslproto")
import asyncio, ssl
assert not hasattr(ssl, "__nothing__")
print("_ssl" in sys.modules)
print(ssl.SSLContext.__name__, asyncio.sslproto.SSLProtocol.__name__)
print("_ssl" in sys.modules)
assert not hasattr(ssl, "nothing")
"""
    assert said(code) == ["False", "SSLContext SSLProtocol", "True"]


def test_asyncio_speaks_tls_when_it_is_asked_to() -> None:
    code = """
import asyncio, socket
from shadesocks.core.later import put_off
put_off("asyncio", "ssl", "asyncio.sslproto")  # the first is there
assert asyncio.run.__name__
"""
    assert said(code) == []
    code = """
from shadesocks.core.later import put_off
put_off("ssl", "asyncio.sslproto")
import asyncio, socket, ssl
async def main():
    mine, other = socket.socketpair()
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context()
    shaking = loop.create_task(loop.create_connection(asyncio.Protocol, sock=mine, ssl=context, server_hostname="a.b"))
    other.setblocking(False)
    print((await loop.sock_recv(other, 1)).hex())
    shaking.cancel()
    await asyncio.wait([shaking])
    other.close()
asyncio.run(main())
"""
    assert said(code) == ["16"]  # a handshake record


def test_several_threads_may_be_the_first() -> None:
    code = """
from threading import Barrier, Thread
from shadesocks.core.later import put_off
put_off("decimal")
import decimal
barrier, found = Barrier(8), []
def look():
    barrier.wait()
    found.append(decimal.Decimal)
threads = [Thread(target=look) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), len(set(found)))
"""
    assert said(code) == ["8 1"]


def test_what_is_there_or_nowhere_stays_as_it_is() -> None:
    code = """
import json
from shadesocks.core.later import put_off
put_off("json", "surely_nowhere")
import json as again
print(again is json, json.dumps([1]))
try:
    import surely_nowhere
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert said(code) == ["True [1]", "surely_nowhere"]

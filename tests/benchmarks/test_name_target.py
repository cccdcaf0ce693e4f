"""The bench's name server, asked directly."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from benchmarks.name_target import DELAY, TTL
from benchmarks.process import NameTargetProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bench runs on Linux")


@pytest.fixture(scope="module")
def asker() -> Iterator[socket.socket]:
    """A socket connected to a name server."""
    with NameTargetProcess() as names, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", names.port))
        yield sock


def ask(asker: socket.socket, name: str, kind: str) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=True)
    asker.send(query.to_wire())
    response = dns.message.from_wire(asker.recv(2048))
    assert query.is_response(response)
    assert response.rcode() == dns.rcode.NOERROR
    return response


def test_a_name_has_an_address(asker: socket.socket) -> None:
    (found,) = ask(asker, "N1.test", "A").answer
    assert found.to_text() == f"N1.test. {TTL} IN A 127.0.0.1"


def test_it_has_no_other_record_and_that_is_good_for_as_long(asker: socket.socket) -> None:
    response = ask(asker, "n1.test", "AAAA")
    assert not response.answer
    (soa,) = response.authority
    assert (soa.name.to_text(), soa.rdtype, soa.ttl, soa[0].minimum) == ("test.", dns.rdatatype.SOA, TTL, TTL)


def test_a_slow_name_is_answered_after_its_delay_and_others_meanwhile(asker: socket.socket) -> None:
    began = time.monotonic()
    asker.send(dns.message.make_query("slow1.test", "A", id=1).to_wire())
    assert ask(asker, "n2.test", "A").answer
    assert dns.message.from_wire(asker.recv(2048)).id == 1
    assert time.monotonic() - began >= DELAY


@pytest.mark.parametrize("message", [b"", b"\x00" * 11, b"\x00" * 12 + b"\x3f", b"\x00" * 12 + b"\x01a\x00"])
def test_what_is_no_question_is_passed_over(asker: socket.socket, message: bytes) -> None:
    asker.send(message)
    assert ask(asker, "n3.test", "A").answer

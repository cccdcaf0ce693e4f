"""A question of DNS, as another implementation reads it, and what is an answer to it."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rdatatype
import pytest

from shadesocks.core.errors import LocalProtocolError
from shadesocks.wire.dns_question import is_answer, pack_question

NUMBER = b"\xca\xfe"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("firefox.com", "firefox.com."),
        ("Example.COM.", "example.com."),
        ("bücher.example", "xn--bcher-kva.example."),
        (".".join(["a" * 63] * 3 + ["b" * 61]), ".".join(["a" * 63] * 3 + ["b" * 61]) + "."),
    ],
)
def test_what_is_asked(name: str, asked: str) -> None:
    message = dns.message.from_wire(pack_question(NUMBER, name))
    [question] = message.question
    assert (question.name.to_text(), question.rdtype) == (asked, dns.rdatatype.A)
    assert message.id == 0xCAFE
    assert message.flags == dns.flags.RD


@pytest.mark.parametrize("name", ["", ".", "a..b", "a b", "x" * 64, ".".join(["a" * 63] * 4)])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(LocalProtocolError) as refused:
        pack_question(NUMBER, name)
    assert refused.value.code == "bad_domain"


def test_what_is_an_answer() -> None:
    question = dns.message.from_wire(pack_question(NUMBER, "firefox.com"))
    answer = dns.message.make_response(question).to_wire()
    assert is_answer(answer, NUMBER)
    assert is_answer(answer[:12], NUMBER)
    assert not is_answer(answer[:11], NUMBER)
    assert not is_answer(answer, b"\xca\xff")
    assert not is_answer(question.to_wire(), NUMBER), "an echo"
    assert not is_answer(b"", NUMBER)

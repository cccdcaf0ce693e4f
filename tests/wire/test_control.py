"""The lines of a control socket, in any pieces."""

from __future__ import annotations

import json

import pytest

from shadesocks.wire.control import (
    LINE_MAX,
    PIECE,
    ControlError,
    Lines,
    Request,
    pack_error,
    pack_request,
    pack_result,
    parse_answer,
    parse_request,
    result_pieces,
)

from .splits import bytewise

TEXT = b'{"v":1,"do":"about"}\n\n{"v":1}\r\nno end'
WHOLE = [b'{"v":1,"do":"about"}', b"", b'{"v":1}\r']


def refusal(line: bytes) -> tuple[str, object]:
    with pytest.raises(ControlError) as caught:
        parse_request(line)
    assert str(caught.value)
    return caught.value.code, caught.value.id


@pytest.mark.parametrize("at", range(len(TEXT) + 1))
def test_lines_at_every_split(at: int) -> None:
    lines = Lines()
    assert [*lines.feed(TEXT[:at]), *lines.feed(TEXT[at:])] == WHOLE
    assert [*lines.feed(b"\n")] == [b"no end"]


def test_lines_byte_by_byte() -> None:
    lines = Lines()
    assert [line for piece in bytewise(TEXT) for line in lines.feed(piece)] == WHOLE


@pytest.mark.parametrize("step", [1, 7, 100])
def test_a_line_has_a_bound_however_it_comes(step: int) -> None:
    most = 20
    lines, found = Lines(most), list[bytes]()
    text = b"x" * (most - 1) + b"\n" + b"y" * most + b"\n"

    def feed() -> None:
        for at in range(0, len(text), step):
            for line in lines.feed(text[at : at + step]):
                found.append(line)

    with pytest.raises(ControlError) as caught:
        feed()
    assert caught.value.code == "too_long"
    assert found == [b"x" * (most - 1)]


def test_no_more_is_kept_than_a_line() -> None:
    lines = Lines(20)
    assert [*lines.feed(b"z" * 20)] == []
    with pytest.raises(ControlError):
        next(lines.feed(b"z"))


def test_a_request_comes_back_as_it_was() -> None:
    for request in (Request("about"), Request("pin", {"name": "東京\n"}, 7), Request("x", {"a": [1, None]}, "id")):
        line = pack_request(request)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert parse_request(line) == request


def test_what_is_not_known_is_passed_over() -> None:
    assert parse_request(b'{"v":1,"do":"x","later":[1]}') == Request("x")


@pytest.mark.parametrize(
    ("line", "code", "of"),
    [
        (b"", "syntax", None),
        (b"servers", "syntax", None),
        (b"[1]", "syntax", None),
        (b"\xff\xfe{", "syntax", None),
        (b"\xef\xbb\xbf{}", "syntax", None),
        (b"[" * (LINE_MAX - 1), "syntax", None),
        (b'{"v":1,"do":"x","id":' + b"1" * 5000 + b"}", "syntax", None),
        (b'{"v":1,"do":"x","id":NaN}', "syntax", None),
        (b'{"v":1,"do":"x","with":{"a":1e999}}', "syntax", None),
        (b'{"v":1,"do":"x","id":1.5}', "syntax", None),
        (b'{"v":1,"do":"x","id":true}', "syntax", None),
        (b'{"v":1,"do":"x","id":[]}', "syntax", None),
        (b'{"do":"x","id":3}', "version", 3),
        (b'{"v":2,"do":"x","id":"a"}', "version", "a"),
        (b'{"v":true,"do":"x"}', "version", None),
        (b'{"v":1.0,"do":"x"}', "version", None),
        (b'{"v":"1","do":"x"}', "version", None),
        (b'{"v":1,"id":4}', "syntax", 4),
        (b'{"v":1,"do":7,"id":4}', "syntax", 4),
        (b'{"v":1,"do":"x","with":[],"id":4}', "syntax", 4),
    ],
)
def test_what_is_no_request(line: bytes, code: str, of: object) -> None:
    assert refusal(line) == (code, of)


def test_answers() -> None:
    line = pack_result("a", {"pinned": "x\ny"})
    assert json.loads(line) == {"v": 1, "id": "a", "ok": True, "result": {"pinned": "x\ny"}}
    assert line.count(b"\n") == 1
    assert parse_answer(line) == {"pinned": "x\ny"}
    refused = pack_error(ControlError("not_found", "no server is called 'x'", 7))
    assert json.loads(refused)["error"] == {"code": "not_found", "text": "no server is called 'x'"}
    with pytest.raises(ControlError) as caught:
        parse_answer(refused)
    assert (caught.value.code, str(caught.value), caught.value.id) == ("not_found", "no server is called 'x'", 7)


@pytest.mark.parametrize(
    "line", [b"", b"null", b"{}", b'{"ok":1}', b'{"ok":false}', b'{"error":{"code":1,"text":""}}', b'{"error":"x"}']
)
def test_what_is_no_answer(line: bytes) -> None:
    with pytest.raises(ControlError) as caught:
        parse_answer(line)
    assert caught.value.code == "syntax"


@pytest.mark.parametrize("count", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("rest", [{}, {"role": "server", "few": [1, 2]}])
def test_a_long_answer_comes_in_pieces_and_is_the_same(count: int, rest: dict[str, object]) -> None:
    result = {"users": [{"name": f"u\u2603{number}"} for number in range(count)], **rest}
    pieces = list(result_pieces("a", result))
    assert len(pieces) == (1 if count <= PIECE else 2 + -(-count // PIECE))
    line = b"".join(pieces)
    assert line.count(b"\n") == 1
    assert json.loads(line) == json.loads(pack_result("a", result))
    assert parse_answer(line.rstrip(b"\n")) == result


@pytest.mark.parametrize("result", [None, 5, [1], "x", {}, {"a": [1]}, {"a": {"b": [1] * 2000}}])
def test_other_answers_are_one_piece(result: object) -> None:
    assert list(result_pieces(7, result)) == [pack_result(7, result)]

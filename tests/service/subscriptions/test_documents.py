"""Documents of every form, and texts that are none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.online import Offer
from shadesocks.service.subscriptions.documents import Document, DocumentError, read_document

PASSWORD = "mVt5-kd93Qpz_0Lr2xWc"
SERVER: dict[str, Any] = {"server": "h.example", "server_port": 1, "password": PASSWORD, "method": "aes-256-gcm"}
LINK = f"ss://aes-256-gcm:{PASSWORD}@h.example:1"
OFFER = Offer("h.example", 1, "aes-256-gcm", PASSWORD)


def refusal(text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        read_document(text)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"version": 1, "servers": [SERVER]}),
        json.dumps(SERVER),
        json.dumps({**SERVER, "more": 1}),
        LINK,
        f"{LINK}\r\n",
        base64.b64encode(LINK.encode()).decode(),
    ],
)
def test_every_form(text: str) -> None:
    assert read_document(text) == Document((OFFER,))


def test_all_that_is_said_of_a_server() -> None:
    more = {"id": "i", "remarks": "r", "plugin": "p", "plugin_opts": "o"}
    (offer,) = read_document(json.dumps({"version": 1, "servers": [{**SERVER, **more}]})).offers
    assert offer == Offer("h.example", 1, "aes-256-gcm", PASSWORD, "r", "i", "p", "o")
    (offer,) = read_document(f"{LINK}/?plugin=p%3Bo#r").offers
    assert offer == Offer("h.example", 1, "aes-256-gcm", PASSWORD, "r", "", "p", "o")
    assert PASSWORD not in repr(offer)


def test_what_is_left_out_is_said() -> None:
    document = read_document(json.dumps({"version": 1, "servers": [{**SERVER, "method": "rot13"}, SERVER]}))
    assert document.offers == (OFFER,)
    assert document.notes == ("servers[0]: this server is left out: its method is none of the Shadowsocks family",)
    document = read_document(f"vmess://x\nssconf://h.example/x\nss://x\n{LINK}")
    assert document.offers == (OFFER,)
    assert [note.partition(":")[0] for note in document.notes] == [
        "lines that are no ss",
        "a document leads to no other one",
        "servers[0]",
    ]
    assert read_document(json.dumps({**SERVER, "prefix": "x"})).notes[0].startswith("prefix: has no effect")
    assert read_document(f"{LINK}/?prefix=x").notes[0].startswith("servers[0]: prefix: has no effect")


def test_no_server_may_be_the_truth() -> None:
    assert read_document('{"version": 1, "servers": []}') == Document(())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is neither"),
        ("not found", "it is neither"),
        ("[]", "it is neither"),
        (json.dumps({"error": {"message": PASSWORD}}), "it is neither"),
        (json.dumps({**SERVER, "server_port": "1"}), "it is neither"),
        (json.dumps({"version": 1, "servers": [SERVER]})[:-1], "it is neither"),
        (json.dumps({"version": 2, "servers": [SERVER]}), "its version is not 1"),
        (json.dumps({"servers": [SERVER]}), "its version is not 1"),
        ("vmess://x", "it is neither"),
        (f"proxies:\n  - password: {PASSWORD}\n", "this is YAML of Clash"),
        (f"transport:\n  secret: {PASSWORD}\n", "this is an access key of Outline"),
        (json.dumps({"transport": {"secret": PASSWORD}}), "this is an access key of Outline"),
        ("<!DOCTYPE html>", "this is a web page"),
        (f"ss://{PASSWORD}", "none of its links can be used"),
        ("\n".join([LINK] * 1001), "it holds more than 1000 servers"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    assert refusal(text).startswith(why)


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_any_text(text: str) -> None:
    try:
        read = read_document(text)
    except DocumentError:
        return
    assert isinstance(read, Document)

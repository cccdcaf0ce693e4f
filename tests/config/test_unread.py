"""Texts that no reader takes: each is called by its name, and no configuration is."""

from __future__ import annotations

import pytest

from shadesocks.config.unread import HEAD_MAX, name_form

CLASH = 'port: 7890\n# rules\nproxies:\n  - {name: a, type: ss, server: h.example, port: 1, cipher: x, password: "p"}\n'
TRANSPORT = "transport:\n  $type: tcpudp\n  tcp: &shared\n    $type: shadowsocks\n    endpoint: h.example:80\n"
FLAT = "# key of anna\nserver: h.example\nserver_port: 443\nmethod: aes-256-gcm\npassword: p\n"
SURGE = "[General]\nloglevel = notify\n\n[Proxy]\na = ss, h.example, 1, encrypt-method=aes-256-gcm, password=p\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (CLASH, "Clash"),
        (f"\ufeff{CLASH}".replace("\n", "\r\n"), "Clash"),
        ("proxy-providers:\n  a: {type: http}\n", "Clash"),
        (TRANSPORT, "Outline"),
        (f"error: {{}}\n{TRANSPORT}", "Outline"),
        (FLAT, "YAML"),
        ("server:\n  h.example", "YAML"),
        (SURGE, "Surge"),
        (SURGE.replace("\n", "\r\n"), "Surge"),
        ("\n<!DOCTYPE html>\n<html>", "web page"),
        ("<HTML><body>", "web page"),
    ],
)
def test_a_form_is_called_by_its_name(text: str, word: str) -> None:
    said = name_form(text)
    assert word in said
    assert "h.example" not in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{\nserver: 'h.example',\nproxies: [],\ntransport: {}}",
        "# server: old\n// method: x\n/*\npassword: y\n*/ {\nserver: 'h.example'\n}",
        "\ufeff{}",
        '[{"server": "h.example"}]',
        "ss://YWVzLTI1Ni1nY206cHc@h.example:1",
        "<key>",
        "transport",
        "  server: h.example",
    ],
)
def test_nothing_is_said_of_another_text(text: str) -> None:
    assert name_form(text) == ""


def test_no_more_than_the_head_is_looked_at() -> None:
    assert name_form("x\n" * (HEAD_MAX // 2) + CLASH) == ""
    assert name_form("x\n" * (HEAD_MAX // 4) + CLASH) != ""


def test_comments_without_end_are_looked_at_once() -> None:
    assert name_form("#//" * HEAD_MAX) == ""
    assert name_form("#//\n" * HEAD_MAX) == ""
    assert name_form("/*//" * HEAD_MAX) == ""

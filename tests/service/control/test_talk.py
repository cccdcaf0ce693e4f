"""One program at a control socket: what it sends, in any pieces, and what it hears."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shadesocks.service.control import talk as control_talk
from shadesocks.service.control.socket import Commands
from shadesocks.service.control.talk import answer_to, refuse, talk
from shadesocks.wire.control import LINE_MAX, NOT_FOUND, ControlError

from ..rig import run


async def _late(args: Mapping[str, Any]) -> Any:
    await asyncio.sleep(0)
    return {"late": dict(args)}


def _none(_args: Mapping[str, Any]) -> Any:
    raise ControlError(NOT_FOUND, "nobody has that name")


def _crash(_args: Mapping[str, Any]) -> Any:
    raise ZeroDivisionError("secret")


COMMANDS: Commands = {
    "echo": dict,
    "late": _late,
    "none": _none,
    "crash": _crash,
    "odd": lambda _args: object(),
    "much": lambda args: "x" * int(args["size"]),
}
ASKED = b'{"v":1,"id":1,"do":"echo","with":{"a":"\xc3\xa9"}}\n \n{"v":1,"id":2,"do":"late","with":{"b":1}}\n'
TOLD = [
    {"v": 1, "id": 1, "ok": True, "result": {"a": "é"}},
    {"v": 1, "id": 2, "ok": True, "result": {"late": {"b": 1}}},
]


@asynccontextmanager
async def talking(commands: Commands = COMMANDS) -> AsyncIterator[tuple[socket.socket, asyncio.Task[None]]]:
    """Talk over a pair of sockets, and close ours as the talk ends; it must when the other side goes."""
    near, far = socket.socketpair()
    for sock in (near, far):
        sock.setblocking(False)
    task = asyncio.create_task(talk(far, commands))
    task.add_done_callback(lambda _: far.close())
    with near:
        yield near, task
    await task


async def lines(sock: socket.socket, count: int) -> list[Any]:
    data = b""
    while data.count(b"\n") < count:
        piece = await asyncio.get_running_loop().sock_recv(sock, 65536)
        assert piece, data
        data += piece
    return [json.loads(line) for line in data.splitlines()]


async def rest(sock: socket.socket) -> bytes:
    data = b""
    while piece := await asyncio.get_running_loop().sock_recv(sock, 65536):
        data += piece
    return data


def test_every_split_is_the_same() -> None:
    async def story() -> None:
        for at in range(1, len(ASKED)):
            async with talking() as (sock, _):
                sock.send(ASKED[:at])
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                sock.send(ASKED[at:])
                assert await lines(sock, 2) == TOLD

    run(story())


def test_garbage_is_answered_and_the_talk_goes_on() -> None:
    async def story() -> None:
        async with talking() as (sock, _):
            sock.send(b"hello\n\x00\xff\n{}\n" + ASKED)
            heard = await lines(sock, 5)
            assert [line["error"]["code"] for line in heard[:3]] == ["syntax", "syntax", "version"]
            assert heard[3:] == TOLD

    run(story())


def test_a_line_without_end_ends_the_talk() -> None:
    async def story() -> None:
        async with talking() as (sock, task):
            await asyncio.get_running_loop().sock_sendall(sock, b"x" * (LINE_MAX + 1))
            assert json.loads(await rest(sock))["error"]["code"] == "too_long"
            await task

    run(story())


def test_what_handlers_do() -> None:
    async def story() -> None:
        def ask(word: str) -> bytes:
            return json.dumps({"v": 1, "id": word, "do": word}).encode()

        heard = {word: json.loads(await answer_to(ask(word), COMMANDS)) for word in ("none", "crash", "odd", "users")}
        assert {word: (line["id"], line["error"]["code"]) for word, line in heard.items()} == {
            "none": ("none", "not_found"),
            "crash": ("crash", "failed"),
            "odd": ("odd", "failed"),
            "users": ("users", "unknown"),
        }
        assert "secret" not in str(heard)
        assert heard["users"]["error"]["text"].endswith("echo, late, none, crash, odd, much")

    run(story())


def test_who_is_slow_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_talk, "SLOW_LIMIT", 0.05)

    async def story() -> None:
        async with talking() as (sock, task):
            sock.send(b'{"v":1,"do":"much","with":{"size":4000000}}\n' * 3)
            await task
            assert len(await rest(sock)) < 4_000_000

    run(story())


def test_who_is_silent_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_talk, "QUIET_LIMIT", 0.05)

    async def story() -> None:
        async with talking() as (sock, task):
            sock.send(b'{"v":1')
            await task
            assert await rest(sock) == b""

    run(story())


def test_a_flood_lets_the_loop_turn() -> None:
    """However many commands come at once, others have their turn after each."""

    async def story() -> None:
        turns, count = 0, 200
        done = asyncio.Event()

        async def others() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await asyncio.sleep(0)

        async with talking() as (sock, _):
            other = asyncio.create_task(others())
            await asyncio.get_running_loop().sock_sendall(sock, b'{"v":1,"do":"echo"}\n' * count)
            assert len(await lines(sock, count)) == count
            done.set()
            await other
        assert turns >= count

    run(story())


def test_who_is_not_heard_is_told_so() -> None:
    near, far = socket.socketpair()
    with near:
        refuse(far, "busy", "come back later")
        assert json.loads(near.recv(1000))["error"] == {"code": "busy", "text": "come back later"}
        assert near.recv(1) == b""
    near, far = socket.socketpair()
    near.close()
    refuse(far, "busy", "nobody hears it")
    assert far.fileno() < 0

"""One program at the control socket: a line, its answer, the next line, until it goes.

Nothing is read while an answer waits to be taken, and nothing is kept but one line. Between two commands the loop
turns: however many come, connections go on.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, Final

from ...wire.control import (
    FAILED,
    UNKNOWN,
    ControlError,
    Id,
    Lines,
    pack_error,
    parse_request,
    result_pieces,
)

if TYPE_CHECKING:
    from .socket import Commands

log = logging.getLogger(__name__)

QUIET_LIMIT: Final = 60.0
"""Seconds for which a program may be silent: then its place is another's."""
SLOW_LIMIT: Final = 10.0
"""Seconds in which it takes an answer: then it has stopped to read."""
READ_SIZE: Final = 16 * 1024


def refuse(sock: socket.socket, code: str, text: str) -> None:
    """Answer somebody who is not heard, and hang up."""
    with sock, suppress(OSError):
        sock.send(pack_error(ControlError(code, text)))


async def talk(sock: socket.socket, commands: Commands) -> None:
    """Answer one program until its end, or until it is slow, silent, or says what is no line; the caller hangs up."""
    loop = asyncio.get_running_loop()
    lines = Lines()

    async def send(answer: bytes) -> None:
        async with asyncio.timeout(SLOW_LIMIT):
            await loop.sock_sendall(sock, answer)

    try:
        while True:
            async with asyncio.timeout(QUIET_LIMIT):
                data = await loop.sock_recv(sock, READ_SIZE)
            if not data:
                return
            try:
                for line in lines.feed(data):
                    if line.strip():
                        await send(await answer_to(line, commands))
                    await asyncio.sleep(0)
            except ControlError as error:
                await send(pack_error(error))
                return
    except (TimeoutError, OSError):
        return


async def answer_to(line: bytes, commands: Commands) -> bytes:
    """Return the answer to a line, whatever that is."""
    of: Id = None
    try:
        request = parse_request(line)
        of = request.id
        handler = commands.get(request.do)
        if handler is None:
            raise ControlError(UNKNOWN, f"there is no command {request.do!r} here, but {', '.join(commands)}")
        result = handler(request.args)
        pieces: list[bytes] = []
        for piece in result_pieces(of, await result if isawaitable(result) else result):
            if pieces:
                await asyncio.sleep(0)
            pieces.append(piece)
        return b"".join(pieces)
    except ControlError as error:
        return pack_error(ControlError(error.code, str(error), of if error.id is None else error.id))
    except Exception as error:
        log.error("internal error: %r", error, exc_info=error)
        return pack_error(ControlError(FAILED, "internal error; the log says more", of))

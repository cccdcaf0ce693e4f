"""Started servers with an old cipher, in every voice: whatever comes, nothing crashes, no line is forged, all go on.

Bytes of anybody, and of somebody with the key: any address, any name, one-time auth good and bad, cut anywhere. The
choice is random and told by its seed, since connections take longer than what Hypothesis tries.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from random import Random
from typing import Final

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.service.service import Service
from tests.dns_server import dns_server
from tests.heritage.rig import dns_of, left, udp_client
from tests.heritage.stream_craft import (
    HASH_SIZE,
    IV_SIZE,
    KEY,
    PASSWORD,
    Coder,
    StreamClient,
    hashed,
    opened,
    stream_config,
)
from tests.service.rig import HOST, echo, run, started, target

CONNECTIONS: Final = 60
DATAGRAMS: Final = 200
STYLES: Final = ("shadesocks", "python", "go", "lite", "node", "procurator")
NAMES: Final = (
    b"a\nb",
    b"\x1b[31mx",
    "x\u2028y".encode(),
    "\u202eabc\u200f".encode(),
    "\x85x".encode(),
    b"%s%n{client}{0}",
    b"\xff\xfe",
    b"\xed\xa0\x80.x",
    b"a b",
    b"x" * 255,
    b"\0",
    b"..",
    b"xn--" + b"a" * 50,
    "\u0130.x".encode(),
    b"127.0.0.1",
    b"0x7f.1",
    b"[::1]",
    b"1.2.3.4%eth0",
)


class Chance:
    """Draws what is sent."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret

    def noise(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(most))

    def address(self) -> bytes:
        """One that is good, or spells something odd, or is none."""
        draw = self._random.choice
        name = draw(NAMES)
        port = struct.pack("!H", draw((0, 1, 65535)))
        return draw(
            (
                bytes((3, len(name))) + name + port,
                b"\1" + draw((b"\x7f\0\0\1", bytes(4), b"\xff" * 4, b"\xe0\0\0\1")) + port,
                b"\4" + draw((bytes(15) + b"\1", bytes(10) + b"\xff\xff\x7f\0\0\1", b"\xfe\x80" + bytes(14))) + port,
                self.noise(30),
            )
        )

    def stream(self) -> bytes:
        """What a client sends, or who wants to be taken for one."""
        draw = self._random.choice
        iv = self._random.randbytes(IV_SIZE)
        head = self.address()
        kind = draw(("noise", "plain", "auth", "auth"))
        if kind == "noise":
            return self.noise(400)
        if kind == "plain" or not head:
            return iv + Coder(iv).code(head + self.noise(200))
        head = bytes((head[0] | 0x10,)) + head[1:]
        said = head + draw((hashed(iv + KEY, head), bytes(HASH_SIZE)))
        for number in range(self._random.randrange(4)):
            payload = draw((b"", self.noise(100)))
            good = hashed(iv + struct.pack("!I", number), payload)
            size = draw((len(payload), len(payload), len(payload), self._random.randrange(65536)))
            said += struct.pack("!H", size) + draw((good, good, bytes(HASH_SIZE))) + payload
        return iv + Coder(iv).code(said)

    def datagram(self) -> bytes:
        """The same in one."""
        iv = self._random.randbytes(IV_SIZE)
        body = self.address() + self.noise(50)
        kind = self._random.choice(("noise", "plain", "auth"))
        if kind == "noise":
            return self.noise(60)
        if kind == "auth" and body:
            body = bytes((body[0] | 0x10,)) + body[1:]
            body += self._random.choice((hashed(iv + KEY, body), bytes(HASH_SIZE)))
        return iv + Coder(iv).code(body)

    async def connection(self, port: int) -> None:
        """Say something in some pieces, and end in some way."""
        reader, writer = await asyncio.open_connection(HOST, port)
        data, step = self.stream(), self._random.choice((7, 1000))
        end = self._random.choice(("eof", "abort", "wait"))
        try:
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await asyncio.sleep(0)
            if end == "eof":
                writer.write_eof()
                await reader.read()
            elif end == "abort":
                writer.transport.abort()
            elif end == "wait":
                async with asyncio.timeout(0.1):
                    await reader.read()
        except (OSError, TimeoutError):
            pass
        await left(writer)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("options", [{}, {"stream_replay": "refuse", "auth": True}], ids=["allow", "refuse"])
def test_any_bytes(style: str, options: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, "shadesocks")
    options = dict(options)
    chance = Chance(f"{style} {sorted(options)}")
    server = stream_config(one_time_auth=bool(options.pop("auth", False)), dial_timeout=1.0)
    config = Config(servers=(server,), log_style=style, allow_private=True, allow_legacy=True, **options)  # type: ignore[arg-type]

    async def story() -> None:
        async with (
            dns_server() as names,
            target(echo) as to,
            started(Service.server(replace(config, dns=dns_of(names)))) as service,
        ):
            port = service.addresses[0].port
            with udp_client() as sock:
                for number in range(DATAGRAMS):
                    sock.sendto(chance.datagram(), (HOST, port))
                    if number % 20 == 0:
                        await asyncio.sleep(0)
            await asyncio.gather(*(chance.connection(port) for _ in range(CONNECTIONS)))
            await _still_serves(port, to)

    run(story())
    for record in caplog.records:
        assert record.exc_info is None, record.exc_text
        for line in record.getMessage().split("\n"):
            assert line.isprintable(), ascii(line)
            assert PASSWORD not in line


async def _still_serves(port: int, to: Address) -> None:
    client = StreamClient()
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(client.flagged(to) + client.chunk(b"there?"))
    assert opened(await reader.readexactly(IV_SIZE + 6)) == b"there?"
    await left(writer)

"""The scripts of the Python original's suite: what its commands say, a large file, the source of datagrams."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.echo import echo, hosts
from tests.interop.streams import LIMIT
from tests.peers import free_port
from tests.socks_udp import associate

from .rows import file_of
from .stage import Ports, Web, command, environment, first_port, ours, retried, see_page
from .test_conformance import OPEN

_BOTH: Final = ("ssserver", "sslocal")
_HERE: Final = ("-s", "127.0.0.1")
_ANY: Final = ("-s", "0.0.0.0")
_MD5: Final = ("-m", "rc4-md5", "-k", "testrc4")

STARTED: Final = (
    ((*_MD5, *_HERE), r"WARNING  warning: server set to listen on 127\.0\.0\.1:PORT, are you sure\?"),
    ((*_MD5, *_ANY, "-t10"), r"WARNING  warning: your timeout 10 seems too short"),
    ((*_MD5, *_ANY, "-t1000"), r"WARNING  warning: your timeout 1000 seems too long"),
    (
        ("-m", "rc4", "-k", "testrc4", *_ANY),
        r"WARNING  warning: RC4 is not safe; please use a safer cipher, like AES-256-CFB",
    ),
    (
        ("-m", "rc4-md5", "-k", "mypassword", *_ANY),
        r"ERROR    DON'T USE DEFAULT PASSWORD! Please change it in your config\.json!",
    ),
)
"""What a client is started with, and the line that the script looked for."""

REFUSED: Final = (
    ("sslocal", (), "ERROR: config not specified", True),
    ("ssserver", (), "ERROR: config not specified", True),
    ("sslocal", (*_MD5, "-p", "8388", "-d", "start"), "ERROR    server addr not specified", True),
    ("sslocal", ("-m", "rc4-md5", "-p", "8388", *_ANY, "-d", "start"), "ERROR    password not specified", True),
    (
        "ssserver",
        ("-m", "rc4-md5", "-p", "8388", *_ANY, "-d", "start"),
        "ERROR    password or port_password not specified",
        True,
    ),
    (
        "ssserver",
        ("--forbidden-ip", "127.0.0.1/4a", "-m", "rc4-md5", "-k", "12345", "-p", "8388", *_ANY, "-d", "start"),
        "ERROR    Not a valid CIDR notation: 127.0.0.1/4a",
        False,
    ),
)
"""What does not start: its line, and whether usage follows. All end with 2. The words are those of 3.0.0."""

LARGE: Final = 10 << 20


def said(name: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start a program where nothing is to be found, both its outputs in one."""
    return subprocess.Popen(
        (*command(name), *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment(folder),
    )


@pytest.mark.parametrize("name", _BOTH)
def test_command_sh_version(name: str, tmp_path: Path) -> None:
    with said(name, tmp_path, "--version") as process:
        out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert any(line.split()[:1] == ["Shadowsocks"] for line in out.splitlines())


@pytest.mark.parametrize(("words", "line"), STARTED, ids=[line.split()[-1] for _, line in STARTED])
def test_command_sh_started(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    """A client that starts, and what it warns of: in the foreground, which says the same."""
    port = free_port()
    wanted = re.compile(rf"^[-\d]+ [:\d]+ {line.replace('PORT', str(port))}$")
    with said("sslocal", tmp_path, *words, "-p", str(port), "-l", str(free_port())) as process:
        try:
            seen = []
            assert process.stdout is not None
            for text in process.stdout:
                seen.append(text)
                if wanted.match(text):
                    break
            else:
                pytest.fail("".join(seen))
        finally:
            process.terminate()


@pytest.mark.parametrize(("name", "words", "line", "usage"), REFUSED, ids=[row[2].split()[-1] for row in REFUSED])
def test_command_sh_refused(name: str, words: tuple[str, ...], line: str, usage: bool, tmp_path: Path) -> None:
    """What does not start, in its words."""
    with said(name, tmp_path, *words) as process:
        out, _ = process.communicate(timeout=LIMIT)
    lines = out.splitlines()
    assert any(text.endswith(line) for text in lines), out
    assert any(text.startswith(f"usage: {name}") for text in lines) == usage, out
    assert process.returncode == 2


def test_large_file(tmp_path: Path) -> None:
    """10 MiB come as they are."""

    def story() -> None:
        ports = Ports()
        keys = ports.in_file(file_of("aes"))
        with (
            Web(os.urandom(LARGE)) as web,
            ours("ssserver", tmp_path, first_port(keys, ports), *OPEN, keys=keys),
            ours("sslocal", tmp_path, ports[1081], keys=keys) as near,
        ):
            see_page(near, web)

    retried(story)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_udp_src(host: str, tmp_path: Path) -> None:
    """Two targets see one source port, of one socket, whatever is sent first."""
    if host not in hosts():
        pytest.skip("not here: this machine has no IPv6")

    def story() -> None:
        ports = Ports()
        keys = ports.in_file(file_of("aes"))
        with (
            ours("ssserver", tmp_path, first_port(keys, ports), *OPEN, keys=keys),
            ours("sslocal", tmp_path, ports[1081], keys=keys) as near,
            echo(host) as one,
            echo(host) as other,
            associate(near.address) as client,
        ):
            sources = set()
            for target in (one, other, one):
                client.send(b"data", target.address)
                assert client.receive() == (b"data", target.address)
                sources.add(target.next()[1])
            assert len(sources) == 1

    retried(story)

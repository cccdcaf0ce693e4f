"""Units: what packages get is what the templates say, and as closed as is promised."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Final

import pytest

from shadesocks.process.unit import UnfitPathError, Unit, escape, main, packaged, quote

PACKAGING: Final = Path(__file__).parent.parent.parent / "packaging" / "systemd"
EXPOSURE_MAX: Final = 1.5
"""What `systemd-analyze security` may find at most."""
ANALYZE: Final = shutil.which("systemd-analyze")

analyzed = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed (Debian: systemd)")


def parsed(text: str) -> ConfigParser:
    unit = ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the names as they are
    unit.read_string(text)
    return unit


def system_units() -> dict[str, str]:
    """Every unit for the system that there is: as packages have it, and as `install` may write it."""
    made = Unit("shadesocks-server-x", "server", "/srv/a b/50%.json", ("/opt/py thon", "-m", "shadesocks"))
    at_home = Unit("shadesocks-local", "local", "/c.json", ("/home/u/.local/bin/shadesocks",), sees_home=True)
    own = {name: text for name, text in packaged().items() if name.endswith(".service") and "/" not in name}
    return {**own, "shadesocks-server-x.service": made.service(), "shadesocks-local.service": at_home.service()}


def test_the_files_of_packaging_are_those_of_the_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    written = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.*") if path.is_file()}
    there = {path.relative_to(PACKAGING): path.read_text() for path in PACKAGING.rglob("*.*") if path.is_file()}
    assert there == written, "run: python -m shadesocks.process.unit packaging/systemd"
    assert {path.as_posix() for path in there} == {
        "shadesocks.service",
        *(f"shadesocks-{role}@.{kind}" for role in ("server", "local") for kind in ("service", "socket")),
        *(f"user/shadesocks-{role}@.service" for role in ("server", "local")),
    }
    assert main([]) == 64
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("name", packaged())
def test_nothing_is_left_to_fill_in(name: str) -> None:
    text = packaged()[name]
    assert not re.findall(r"@[A-Z]+@", text)
    assert parsed(text).has_section("Install")


@analyzed
@pytest.mark.parametrize("name", system_units())
def test_a_system_unit_is_closed(name: str, tmp_path: Path) -> None:
    assert ANALYZE is not None
    file = tmp_path / name
    file.write_text(system_units()[name])
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
    )
    if "Unknown" in done.stderr and "offline" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a file (before 251)")
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= EXPOSURE_MAX, done.stdout


@pytest.mark.parametrize("name", system_units())
def test_a_system_unit_has_one_right_and_no_key_in_it(name: str) -> None:
    service = parsed(system_units()[name])["Service"]
    assert service["Type"] == "notify"
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"
    assert service["DynamicUser"] == "yes"
    assert "${CREDENTIALS_DIRECTORY}/config.json" in service["ExecStart"]
    assert service["LoadCredential"].startswith("config.json:/")
    assert service["RestartPreventExitStatus"] == "64 78"
    assert int(service["TimeoutStopSec"]) > 10, "the drain limit by default"
    assert parsed(system_units()[name])["Unit"]["StartLimitIntervalSec"] == "0", "it is never given up"


def test_only_what_reads_its_config_again_is_told_to() -> None:
    for name, text in packaged().items():
        if name.endswith(".service"):
            assert ("kill -HUP" in text) == ("local" not in name), name


def test_the_copy_of_a_config_is_looked_at_where_it_is_at_a_reload() -> None:
    """Not in the directory of credentials: what systemd runs at a reload sees none there."""
    text = packaged()["shadesocks.service"]
    assert re.search(
        r"\[ .* \].* /etc/shadesocks/config\.json /proc/\$\{MAINPID\}/root%d/config\.json\n", text, re.DOTALL
    )


def test_instances_share_nothing() -> None:
    texts = packaged()
    states = [
        "".join({parsed(texts[name])["Service"][f"{kind}Directory"] for kind in ("State", "Runtime", "Logs")})
        for name in ("shadesocks.service", "shadesocks-server@.service", "shadesocks-local@.service")
    ]
    assert states == ["shadesocks-main", "shadesocks-server-%i", "shadesocks-local-%i"]


def test_paths_are_words_whatever_they_hold() -> None:
    unit = Unit("x", "server", '/a b/$c"%.json', ("/opt/p y", "-m", "shadesocks"))
    service = parsed(unit.service())["Service"]
    assert service["ExecStart"].startswith('"/opt/p y" -m shadesocks server -c $')
    assert service["LoadCredential"] == 'config.json:/a b/$c"%%.json'
    users = Unit("x", "server", '/a b/$c"%.json', is_users=True)
    assert '-c "/a b/$$c\\"%%.json" ' in parsed(users.service())["Service"]["ExecStart"]
    assert quote("/usr/bin/shadesocks") == "/usr/bin/shadesocks"
    assert quote("") == '""'
    for bad in ("/a\nExecStart=/bin/sh", "/\udcff", "/\x1b"):
        with pytest.raises(UnfitPathError, match="no place in a unit"):
            escape(bad)


def test_a_socket_listens_where_the_config_does() -> None:
    unit = Unit("x", "server", "/c", listens=(("Stream", "[::]:8388"), ("Datagram", "0.0.0.0:8388")))
    text = unit.socket()
    assert "ListenStream=[::]:8388\nListenDatagram=0.0.0.0:8388\n" in text
    assert parsed(text)["Socket"]["Accept"] == "no"

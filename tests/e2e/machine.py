"""A machine with a systemd of its own: the first process of namespaces that end with it, on a copy of this machine.

Called by `test_systemd.py`. Processes, mounts, names and cgroups are its own; its files are this machine's, and what is
written to them is written into memory. The network is this machine's, so that tests can ask what it serves. None of
the units that are enabled here starts there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.peers import ROOT

LIMIT: Final = 60.0
PROGRAM: Final = Path(sys.executable).with_name("shadesocks")
UID: Final = 54_321
"""Who has a service manager there; nobody here."""
HOME: Final = "/home/somebody"
RUNTIME: Final = f"/run/user/{UID}"

_SYSTEMD: Final = "/usr/lib/systemd/systemd", "/lib/systemd/systemd"
_TOOLS: Final = ("unshare", "nsenter", "mount", "umount", "pivot_root", "setpriv", "systemctl")
# What a container's manager prepares, and systemd asks of it (systemd.io/CONTAINER_INTERFACE): proc and sys that
# change nothing, cgroups of its own, devices that are none, mounts that spread to what it starts.
_BOOT: Final = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o size=512m tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay root
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $place; done
chmod 1777 tmp
for device in null zero full random urandom tty; do
    : > dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/shm dev/pts run/old
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for place in etc/systemd usr/lib/systemd lib/systemd usr/local/lib/systemd; do
    for hidden in $place/*-generators $place/system/*.wants $place/user/*.wants; do
        [ ! -d $hidden ] || mount -t tmpfs tmpfs $hidden
    done
done
mkdir -p etc/systemd/system etc/systemd/user
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs etc/systemd/user
mkdir etc/systemd/system/sockets.target.wants
for socket in systemd-journald.socket systemd-journald-dev-log.socket; do
    ln -s /lib/systemd/system/$socket etc/systemd/system/sockets.target.wants/$socket
done
echo "$3" >> etc/passwd
pivot_root . run/old
umount -l run/old
rmdir run/old
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin "$2" --system --unit=basic.target --log-target=journal
"""
_MANAGER: Final = """
[Service]
Type=notify
User=somebody
Environment=HOME={home} XDG_RUNTIME_DIR={runtime}
Delegate=yes
ExecStart={systemd} --user --unit=basic.target
"""


class NoMachineError(Exception):
    """There can be no such machine here; the text says why."""


class Machine:
    """One that runs: commands in it, files of it, what its systemd says."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.root = Path(f"/proc/{pid}/root")

    def run(self, *words: str, as_user: bool = False, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command there; with `as_user` as who has a service manager."""
        environment = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        if as_user:
            environment |= {"HOME": HOME, "XDG_RUNTIME_DIR": RUNTIME}
            words = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *words)
        line = ("nsenter", f"--target={self._pid}", "--all", *words)
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            env=environment,
        )
        assert not check or done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}\n{self.log()}"
        return done

    def shadesocks(self, *words: str, as_user: bool = False, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `shadesocks service`."""
        return self.run(str(PROGRAM), "service", *words, as_user=as_user, check=check)

    def systemctl(self, *words: str, as_user: bool = False, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *(("--user",) if as_user else ()), *words, as_user=as_user, check=check)

    def show(self, unit: str, name: str, *, as_user: bool = False) -> str:
        """Return a property of a unit."""
        return self.systemctl("show", f"--property={name}", "--value", unit, as_user=as_user).stdout.strip()

    def log(self, *words: str) -> str:
        """Return what was written into the journal."""
        return self.run("journalctl", "--no-pager", "-q", "-n", "200", "-o", "cat", *words, check=False).stdout

    def write(self, path: str, text: str, *, mode: int = 0o644, as_user: bool = False) -> Path:
        """Write a file there; return the path by which it is reached from here."""
        file = self.path(path)
        made = [parent for parent in reversed(file.parents) if not parent.exists()]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        for owned in (*made, file) if as_user else ():
            os.chown(owned, UID, UID)
        return file

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def start_user(self, systemd: str) -> None:
        """Start the service manager of a user, which a log-in would start."""
        for path in (HOME, RUNTIME):
            self.path(path).mkdir(parents=True)
            os.chown(self.path(path), UID, UID)
        text = _MANAGER.format(home=HOME, runtime=RUNTIME, systemd=systemd)
        self.write("/etc/systemd/system/manager.service", text)
        self.systemctl("daemon-reload")
        self.systemctl("start", "manager.service")

    def open_program(self) -> None:
        """Let everybody reach the program, wherever it lies: a tree in root's home is not for all."""
        for place in (PROGRAM, Path(sys.executable).resolve(), Path(sys.base_prefix).resolve(), ROOT / "src"):
            if not self.path(str(place)).exists():
                raise NoMachineError(f"{place} is on a file system of its own, which is not there")
            for directory in place.parents:
                there = self.path(str(directory))
                there.chmod(there.stat().st_mode | 0o111)


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Boot a machine, and end it with the block.

    Raises:
        NoMachineError: this is no place for one.
    """
    systemd = next((path for path in _SYSTEMD if os.access(path, os.X_OK)), None)
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise NoMachineError("only root of a Linux can boot one")
    if systemd is None or (lacking := [tool for tool in _TOOLS if shutil.which(tool) is None]):
        raise NoMachineError(f"not installed: {'systemd' if systemd is None else ', '.join(lacking)}")
    if not PROGRAM.exists():
        raise NoMachineError(f"{PROGRAM} is not installed")
    group = _cgroup()
    console = folder / "console"
    spaces = ("--pid", "--mount", "--uts", "--ipc", "--cgroup")
    words = ("setpriv", "--pdeathsig=KILL", "unshare", "--fork", "--kill-child", *spaces, "sh", "-c", _BOOT)
    line = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    user = f"somebody:x:{UID}:{UID}::{HOME}:/bin/sh"
    (folder / "disk").mkdir()
    with console.open("wb") as out:
        process = subprocess.Popen(
            ("sh", "-c", line, "sh", *words, "sh", str(folder / "disk"), systemd, user),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        there = Machine(_booted(process, console))
        there.open_program()
        there.start_user(systemd)
        yield there
    finally:
        process.kill()  # and with it, as --kill-child says, the first process there, and with that all others
        process.wait(LIMIT)
        _remove(group)


def _cgroup() -> Path:
    """Make a cgroup below this process's own, all of which the systemd is to have."""
    mounted = next(
        (fields[4] for fields in map(str.split, _lines("/proc/self/mountinfo")) if "cgroup2" in fields[6:]), None
    )
    own = next((line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")), None)
    if mounted is None or own is None:
        raise NoMachineError("there are no cgroups of version 2")
    group = Path(mounted + own.rstrip("/")) / f"shadesocks-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise NoMachineError(f"no cgroup can be made: {error.strerror}") from None
    return group


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _booted(process: subprocess.Popen[bytes], console: Path) -> int:
    """Return the number of the first process there, once it can be asked."""
    give_up_at = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < give_up_at:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with contextlib.suppress(OSError, ValueError):
            pid = int(children.read_text())
            if Path(f"/proc/{pid}/comm").read_text() == "systemd\n" and _is_up(pid):
                return pid
        time.sleep(0.05)
    raise NoMachineError(f"systemd does not start: {console.read_text(errors='replace')[-500:]}")


def _is_up(pid: int) -> bool:
    if not Path(f"/proc/{pid}/root/run/systemd/private").exists():
        return False
    asked = ("nsenter", f"--target={pid}", "--all", "systemctl", "is-active", "basic.target")
    return subprocess.run(asked, capture_output=True, check=False, timeout=LIMIT).returncode == 0


def _remove(group: Path) -> None:
    """Remove a cgroup and those in it, once those who were in them are gone."""
    give_up_at = time.monotonic() + LIMIT
    while group.exists():
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        assert time.monotonic() < give_up_at, f"{group} is not empty"
        time.sleep(0.02)

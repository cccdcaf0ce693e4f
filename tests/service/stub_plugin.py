"""A plugin that misbehaves on demand. Run as a program: SS_PLUGIN_OPTIONS says how, in words between semicolons.

(nothing)     a plain tunnel, from where a client's plugin listens to the server
server        the same for a server: from where it would listen to where it does
udp           datagrams, too; alone with `tcp=no`
die           exit with status 3 at once;   die=0.5   after so many seconds
hang          never listen;                 late=0.5  listen after so many seconds
stubborn      ignore SIGTERM
fork          have two children that ignore SIGTERM, too
away          have a grandchild with a session of its own that ignores SIGTERM
daemon        go on in the background, as a daemon does, and exit with status 0
session       do the work in a child with a session of its own
flood         write to stderr without an end
greet, leak   write a line: a greeting, the value of the option `key`
environ=FILE  write the environment and the command line there, and pids of children to FILE.pids
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

Place = tuple[str, int]


def main() -> None:
    """Live as told."""
    options = dict(word.partition("=")[::2] for word in os.environ.get("SS_PLUGIN_OPTIONS", "").split(";"))
    if "environ" in options:
        with open(options["environ"], "w", encoding="utf-8") as file:
            json.dump({"environ": dict(os.environ), "argv": sys.argv, "sid": os.getsid(0)}, file)
    if "greet" in options:
        os.write(1, b"hello from the stub\n")
    if "leak" in options:
        os.write(2, f"the key is {options['key']}\n".encode())
    if "stubborn" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "fork" in options:
        _fork(options.get("environ"))
    if "away" in options:
        _leave(options.get("environ"))
    if "daemon" in options:
        _be_daemon(options.get("environ"))
    if "session" in options and (pid := os.fork()):
        os.waitpid(pid, 0)
        sys.exit(5)
    if "session" in options:
        os.setsid()
    if options.get("die") == "":
        sys.exit(3)
    if "die" in options:
        threading.Timer(float(options["die"]), os._exit, (4,)).start()
    if "flood" in options:
        threading.Thread(target=_flood, daemon=True).start()
    if "hang" in options:
        signal.pause()
    time.sleep(float(options.get("late") or 0))
    names = ("SS_REMOTE", "SS_LOCAL") if "server" in options else ("SS_LOCAL", "SS_REMOTE")
    here, there = ((os.environ[f"{name}_HOST"], int(os.environ[f"{name}_PORT"])) for name in names)
    streams = options.get("tcp") != "no"
    if "udp" in options and streams:
        threading.Thread(target=_carry_datagrams, args=(here, there), daemon=True).start()
    if streams:
        _carry_streams(here, there)
    else:
        _carry_datagrams(here, there)


def _fork(path: str | None) -> None:
    pids = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        pids.append(pid)
    if path is not None:
        with open(f"{path}.pids", "w", encoding="utf-8") as file:
            json.dump(pids, file)


def _leave(path: str | None) -> None:
    if not os.fork():
        os.setsid()
        if not os.fork():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _tell(path)
            while True:
                signal.pause()
        os._exit(0)
    os.wait()


def _be_daemon(path: str | None) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _tell(path)


def _tell(path: str | None) -> None:
    if path is not None:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump([os.getpid()], file)
        os.rename(f"{path}.new", f"{path}.pids")


def _flood() -> None:
    while True:
        os.write(2, b"flood\n" * 1000)


def _family(place: Place) -> int:
    return socket.AF_INET6 if ":" in place[0] else socket.AF_INET


def _carry_streams(here: Place, there: Place) -> None:
    listener = socket.socket(_family(here))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(here)
    listener.listen(64)
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(there, 5)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


def _carry_datagrams(here: Place, there: Place) -> None:
    """One socket for each sender, as SIP003u wants."""
    front = socket.socket(_family(here), socket.SOCK_DGRAM)
    front.bind(here)
    outlets: dict[Place, socket.socket] = {}
    while True:
        data, sender = front.recvfrom(65536)
        outlet = outlets.get(sender)
        if outlet is None:
            outlet = outlets[sender] = socket.socket(_family(there), socket.SOCK_DGRAM)
            outlet.connect(there)
            threading.Thread(target=_answer, args=(front, outlet, sender), daemon=True).start()
        with suppress(OSError):
            outlet.send(data)


def _answer(front: socket.socket, outlet: socket.socket, sender: Place) -> None:
    while True:
        with suppress(OSError):
            front.sendto(outlet.recv(65536), sender)


if __name__ == "__main__":
    main()

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from shadesocks.process.user import UserError, become, check_user, find_user, is_current

from .children import run

BECOME = """
import os, sys
from shadesocks.process.user import become, find_user, is_current
user = find_user(sys.argv[1])
become(user)
assert is_current(user)
become(user)
print(*os.getresuid(), *os.getresgid(), sorted(os.getgroups()) == sorted(user.groups))
for way in (os.setuid, os.seteuid, os.setgid):
    try:
        way(0)
    except PermissionError:
        print("refused")
"""
RETURN = """
import os
from shadesocks.process import user
os.setuid = lambda uid: os.seteuid(uid)
try:
    user.become(user.find_user("nobody"))
except user.UserError as error:
    print(error)
"""
NONROOT = """
import os
from shadesocks.process import user
os.setuid(pwd := __import__("pwd").getpwnam("nobody").pw_uid)
for ask in (user.check_user, user.become):
    try:
        ask(user.find_user("root"))
    except user.UserError as error:
        print(error)
"""

CLOSED = """
import os, sys
from shadesocks.process import user
nobody = user.find_user("nobody")
os.__file__ = sys.argv[1]
print(user.closed_program(nobody))
user.become(nobody)
print(user.closed_program(nobody))
"""

of_root = pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")


def test_a_user_by_name_and_by_number() -> None:
    row = pwd.getpwall()[0]
    user = find_user(row.pw_name)
    assert (user.name, user.uid, user.gid) == (row.pw_name, row.pw_uid, row.pw_gid)
    assert row.pw_gid in user.groups
    assert find_user(str(row.pw_uid)) == user


@pytest.mark.parametrize("name", ["no such user", "", "4294967294000", "-5"])
def test_there_is_no_such_user(name: str) -> None:
    with pytest.raises(UserError, match=f"^user not found: {name}$"):
        find_user(name)


def test_the_same_user_is_no_change() -> None:
    user = find_user(str(os.getuid()))
    assert is_current(user)
    check_user(user)
    become(user)


@of_root
def test_there_is_no_way_back() -> None:
    row = pwd.getpwnam("nobody")
    done = run(BECOME, "nobody")
    ids = f"{row.pw_uid} " * 3 + f"{row.pw_gid} " * 3
    assert done.stdout == f"{ids}True\nrefused\nrefused\nrefused\n", done.stderr


@of_root
def test_a_way_back_is_seen() -> None:
    done = run(RETURN)
    assert done.stdout == "cannot run as nobody: the system lets this process be root again\n", done.stderr


@of_root
def test_others_become_nobody_else() -> None:
    done = run(NONROOT)
    text = "can not set user as nonroot user; start as root to run as root, or leave the user out\n"
    assert done.stdout == text * 2, done.stderr


@of_root
def test_a_program_that_is_closed_to_its_user_is_told(tmp_path: Path) -> None:
    path = tmp_path / "closed" / "os.py"
    path.parent.mkdir(0o700)
    path.write_text("")
    before, after = run(CLOSED, path).stdout.splitlines()
    assert before == ""
    assert after.startswith(f"{path.parent} is closed to nobody, who runs this service, and parts of the program")

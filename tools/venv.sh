#!/bin/sh
# Make a virtual environment with this project in it: tools/venv.sh PYTHON DIRECTORY run|test
# With the venv and pip of that Python; with uv where it lacks them; else one line says what to install.
set -eu
python=$1 venv=$2 kind=$3
cd "$(dirname "$0")/.."

fail() { echo "shadesocks: $1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "there is no $python here; install Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" -V) is too old; install Python 3.11 or newer, then: make PYTHON=python3.11"

[ "$kind" = test ] && groups="--group dev" || groups=""
log=$(mktemp); trap 'rm -f "$log"' EXIT

quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; fail "this failed: $*"; }; }

[ -x "$venv/bin/python" ] || echo "making $venv (once)"
if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    [ -x "$venv/bin/python" ] || quietly "$python" -m venv "$venv"
    # --group is younger than the pip that many Pythons bring along.
    [ -z "$groups" ] || quietly "$venv/bin/python" -m pip install --quiet --upgrade "pip>=25.1"
    quietly "$venv/bin/python" -m pip install --quiet --editable . $groups
elif command -v uv >/dev/null 2>&1; then
    [ -x "$venv/bin/python" ] || quietly uv venv --quiet --python "$python" "$venv"
    quietly uv pip install --quiet --python "$venv/bin/python" --editable . $groups
else
    fail "$python has no venv and no uv is here; install one: apt install python3-venv   (or: pip install uv)"
fi
touch "$venv/.runs"
[ "$kind" = run ] || touch "$venv/.tests"

#!/bin/bash
# Run every test on each supported Python that is found: tools/pythons.sh [options of pytest]
# Each has an environment of its own, .venv-3.N, beside .venv. A Python that is not found is named, not passed over.
set -euo pipefail
cd "$(dirname "$0")/.."

usable() { [ -x "$1" ] && "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, int(sys.argv[1])))' "$2" 2>/dev/null; }

find_python() {
    local candidate
    for candidate in $(type -aP "python3.$1") "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$1".*/bin/python; do
        usable "$candidate" "$1" && echo "$candidate" && return
    done
    return 1
}

passed=() failed=() missing=()
for minor in 11 12 13; do
    python=$(find_python "$minor") || { missing+=("3.$minor"); continue; }
    echo "== Python 3.$minor: $python"
    venv=.venv-3.$minor
    if make --no-print-directory PYTHON="$python" VENV="$venv" "$venv/.tests" && "$venv/bin/python" -m pytest "$@"; then
        passed+=("3.$minor")
    else
        failed+=("3.$minor")
    fi
done

echo "Pythons: passed ${passed[*]:-none}; failed ${failed[*]:-none}; not found ${missing[*]:-none}"
[ ${#failed[@]} -eq 0 ] && [ ${#passed[@]} -gt 0 ]

#!/bin/bash
# Install the old programs that `tests/ancestors.py` plays against: tools/ancestors.sh
#   python   shadowsocks 2.8.2 (PyPI), for an old Python: 3.6 to 3.9 or 2.7, on PATH or below ~/.pyenv/versions
#   node     shadowsocks 1.5.3 (npm), for Node.js 22 or older
#   libev    shadowsocks-libev (Debian): tools/peers.sh installs it, here it is only named
# No package registry was found to have the others: whoever has them puts them where the last lines say. All stay in
# ~/.cache/shadesocks/ancestors (SHADESOCKS_ANCESTORS names another place) and nothing is installed twice.
# What is installed here runs unmodified. What today's libraries took away from under them is given back beside them, not in them.
set -euo pipefail
ancestors=${SHADESOCKS_ANCESTORS:-$HOME/.cache/shadesocks/ancestors}
mkdir -p "$ancestors"
ancestors=$(cd "$ancestors" && pwd) # the launchers name their place in full

works() { "$@" >/dev/null 2>&1; }
here() { echo "$1: installed"; }
absent() { echo "$1: not here: $2"; }

# A launcher is a shell script that becomes the program: one process, whose id is the one that was started.
launcher() { # PATH LINE
    mkdir -p "$(dirname "$1")"
    printf '#!/bin/sh\n%s "$@"\n' "$2" >"$1.new"
    chmod +x "$1.new"
    mv "$1.new" "$1"
}

# From 3.10 on `collections.MutableMapping` is gone, which the program needs.
old_python() {
    local minor candidate
    for minor in 3.6 3.7 3.8 3.9 2.7; do
        for candidate in $(type -aP "python$minor") "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$minor".*/bin/python; do
            works "$candidate" -c 'import collections, ctypes, ssl; collections.MutableMapping' && echo "$candidate" && return
        done
    done
    return 1
}

install_python() {
    local place=$ancestors/python python
    works "$place/bin/ssserver" --help && { here python; return; }
    python=$(old_python) || { absent python "no Python 3.6 to 3.9 or 2.7 was found"; return; }
    # Any pip will do: it is plain Python.
    works python3 -m pip install --quiet --no-deps --no-compile --upgrade --target "$place/lib" shadowsocks==2.8.2 ||
        { absent python "pip could not install shadowsocks==2.8.2"; return; }
    mkdir -p "$place/compat"
    # The program calls EVP_CIPHER_CTX_cleanup, which OpenSSL 1.1 renamed to EVP_CIPHER_CTX_reset, and some of its
    # ciphers moved to the legacy provider of OpenSSL 3. Python runs a sitecustomize before any program: it finds the
    # new name behind the old one, and loads both providers then. And from 3.7 on ctypes fails over a name that gcc
    # does not find, where it should say that there is no such library.
    cat >"$place/compat/sitecustomize.py" <<'PYTHON'
import ctypes
import ctypes.util

_find = ctypes.CDLL.__getitem__


def _find_renamed(library, name):
    try:
        return _find(library, name)
    except AttributeError:
        if name != "EVP_CIPHER_CTX_cleanup":
            raise
    try:
        load = _find(library, "OSSL_PROVIDER_load")
        load.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        for provider in (b"default", b"legacy"):
            load(None, provider)
    except AttributeError:
        pass  # OpenSSL 1.1 has its old ciphers at hand
    return _find(library, "EVP_CIPHER_CTX_reset")


ctypes.CDLL.__getitem__ = _find_renamed

_find_library = ctypes.util.find_library


def _find_library_or_none(name):
    try:
        return _find_library(name)
    except (IOError, OSError):
        return None


ctypes.util.find_library = _find_library_or_none
PYTHON
    local role
    for role in server local; do # -W: later Pythons complain of its syntax, between the lines of its log
        launcher "$place/bin/ss$role" "PYTHONPATH='$place/compat:$place/lib' exec '$python' -W ignore -m shadowsocks.$role"
    done
    works "$place/bin/ssserver" --help && here python || absent python "it is installed in $place, but does not start"
}

runs_node() { [ -x "$1/bin/ssserver" ] && grep -q "^usage: ssserver" <<<"$("$1/bin/ssserver" -h 2>/dev/null)"; } # it exits with 2

install_node() {
    local place=$ancestors/node node role
    runs_node "$place" && { here node; return; }
    node=$(command -v node) && works npm --version || { absent node "Node.js with npm was not found"; return; }
    works "$node" -e 'process.exit(require("util").log ? 0 : 1)' || { absent node "it needs Node.js 22 or older"; return; }
    mkdir -p "$place"
    works npm install --prefix "$place" --no-audit --no-fund --ignore-scripts shadowsocks@1.5.3 ||
        { absent node "npm could not install shadowsocks@1.5.3"; return; }
    for role in server local; do # the old ciphers are in the legacy provider; the warnings would stand in its log
        launcher "$place/bin/ss$role" \
            "exec '$node' --openssl-legacy-provider --no-deprecation '$place/node_modules/shadowsocks/bin/ss$role'"
    done
    runs_node "$place" && here node || absent node "it is installed in $place, but does not start"
}

named() { # NAME PROGRAM...: what only a person can put there
    local name=$1 program
    shift
    for program in "$@"; do
        [ -x "$ancestors/$name/$program" ] || { absent "$name" "no package registry was found to have it; put $* into $ancestors/$name"; return; }
    done
    here "$name"
}

install_python
install_node
[ -x /usr/bin/ss-server ] && here libev || absent libev "make peers installs it"
named go-1.1.5 shadowsocks-server shadowsocks-local
named go-1.2.2 shadowsocks-server shadowsocks-local
named procurator procurator-server procurator-local
named lite bin/sslserver bin/ssllocal

#!/bin/bash
# Install the programs that tests and benchmarks compare with: tools/peers.sh tests|all
#   tests   shadowsocks-libev and curl (Debian), shadowsocks-rust (cargo, about eight minutes the first time)
#   all     these, sing-box (go) and pproxy (pip) for the benchmarks
# What is built stays in ~/.cache/shadesocks/peers (SHADESOCKS_PEERS names another place) and is not built twice.
set -euo pipefail
peers=${SHADESOCKS_PEERS:-$HOME/.cache/shadesocks/peers}
mkdir -p "$peers"

works() { "$@" >/dev/null 2>&1; }

if ! works /usr/bin/ss-server -h || ! works /usr/bin/curl --version; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends shadowsocks-libev curl
fi

if ! works "$peers/rust/bin/ssserver" --version || ! works "$peers/rust/bin/sslocal" --version; then
    cargo install --quiet --locked --root "$peers/rust" shadowsocks-rust
fi

if [ "${1:-tests}" = all ]; then
    works "$peers/bin/sing-box" version ||
        GOBIN="$peers/bin" go install -tags with_utls github.com/sagernet/sing-box/cmd/sing-box@latest
    if ! works "$peers/pproxy/bin/pproxy" --version; then
        python3 -m venv "$peers/pproxy"
        "$peers/pproxy/bin/pip" install --quiet pproxy pycryptodome
    fi
fi
echo "the peers are in place"

#!/bin/bash
# Install the programs that tests and benchmarks compare with: tools/peers.sh tests|all
#   tests   shadowsocks-libev, curl, dig, dante, tinyproxy, simple-obfs and PostgreSQL (Debian), shadowsocks-rust (cargo, about eight minutes the first time)
#   all     these, sing-box (go) and pproxy (pip) for the benchmarks
# What is built stays in ~/.cache/shadesocks/peers (SHADESOCKS_PEERS names another place) and is not built twice.
set -euo pipefail
peers=${SHADESOCKS_PEERS:-$HOME/.cache/shadesocks/peers}
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/go/bin # where their installers put them, for shells that read no profile
mkdir -p "$peers"

works() { "$@" >/dev/null 2>&1; }
need() { command -v "$1" >/dev/null || { echo "shadesocks: $2 needs $1 here; install it: $3" >&2; exit 1; }; }

packages=()
works /usr/bin/ss-server -h || packages+=(shadowsocks-libev)
works /usr/bin/curl --version || packages+=(curl)
works /usr/bin/dig -v || packages+=(bind9-dnsutils)
works /usr/sbin/danted -v || packages+=(dante-server)
works /usr/bin/obfs-local -h || packages+=(simple-obfs)
works /usr/bin/tinyproxy -v || packages+=(tinyproxy-bin)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || works initdb --version || packages+=(postgresql)
if [ ${#packages[@]} -gt 0 ]; then
    need apt-get "${packages[*]}" "with this system's own package tool"
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    if [[ " ${packages[*]} " == *" postgresql "* ]]; then # its programs, without a server that Debian starts
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-common
        $sudo sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    fi
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

if ! works "$peers/rust/bin/ssserver" --version || ! works "$peers/rust/bin/sslocal" --version; then
    need cargo shadowsocks-rust "https://rustup.rs"
    cargo install --quiet --locked --force --root "$peers/rust" shadowsocks-rust
fi

if [ "${1:-tests}" = all ]; then
    if ! works "$peers/bin/sing-box" version; then
        need go sing-box "https://go.dev/dl"
        GOBIN="$peers/bin" go install -tags with_utls github.com/sagernet/sing-box/cmd/sing-box@latest
    fi
    if ! works "$peers/pproxy/bin/pproxy" --version; then
        python3 -m venv "$peers/pproxy"
        "$peers/pproxy/bin/pip" install --quiet pproxy pycryptodome
    fi
fi
echo "the peers are in place"

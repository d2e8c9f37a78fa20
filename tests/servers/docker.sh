#!/usr/bin/env bash
# docker.sh COMMAND…: runs the command beside a Docker engine of its own, for the tests of Traefik's labels, and
# ends the engine with it. Exit: the command's; where no engine can be had, says `MISSING` and runs it without one.
#
# The command finds LLMGUARD_DOCKER_HOST (the engine's socket) and LLMGUARD_DOCKER_IMAGE (an image that has sh,
# sleep and httpd). Containers have `--network none` or `--network host`: the engine gets no bridge and no
# firewall rules, so the machine's network stays as it is. Needs root; installs docker.io and busybox-static by apt.
set -u

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${LLMGUARD_SERVERS:=$here/../../.servers}"
folder=$(cd "$LLMGUARD_SERVERS" && pwd -P)/docker.$$
export LLMGUARD_DOCKER_HOST=unix://$folder/socket LLMGUARD_DOCKER_IMAGE=llmguard-idle:1
readonly START_SECONDS=20 STOP_SECONDS=20

without() {
    echo "MISSING LLMGUARD_DOCKER_HOST: $1"
    unset LLMGUARD_DOCKER_HOST LLMGUARD_DOCKER_IMAGE
    stop
    "${command[@]}"
    exit
}

stop() {
    if [ -n "${pid:-}" ]; then
        kill "$pid" 2>/dev/null
        local deadline=$((SECONDS + STOP_SECONDS))
        while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
        pid=
    fi
    rm -rf "$folder"
}

engine() { docker -H "$LLMGUARD_DOCKER_HOST" "$@"; }

install() {
    command -v dockerd docker /bin/busybox >/dev/null && return
    local get=(timeout 300 apt-get -qq -o DPkg::Lock::Timeout=120)
    local packages=(docker.io busybox-static)
    export DEBIAN_FRONTEND=noninteractive
    "${get[@]}" install --no-install-recommends "${packages[@]}" ||
        { "${get[@]}" update && "${get[@]}" install --no-install-recommends "${packages[@]}"; }
}

command=("$@")
[ "$(id -u)" = 0 ] || without "an engine started by hand needs root"
[ ${#folder} -lt 70 ] || without "the path $folder is too long for a socket"
mkdir -p "$folder/image/bin" "$folder/image/tmp"
install >"$folder/apt.log" 2>&1 </dev/null || without "$(tail -n 1 "$folder/apt.log")"

dockerd --host "$LLMGUARD_DOCKER_HOST" --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
    --bridge none --iptables=false --ip6tables=false --group '' >"$folder/log" 2>&1 </dev/null &
pid=$!
trap stop EXIT
deadline=$((SECONDS + START_SECONDS))
until engine version >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then without "dockerd: $(tail -n 1 "$folder/log")"; fi
    sleep 0.1
done

cp /bin/busybox "$folder/image/bin/"
for name in sh sleep httpd; do ln -s busybox "$folder/image/bin/$name"; done
tar -C "$folder/image" -c bin tmp |
    engine import --change 'ENTRYPOINT ["/bin/busybox"]' - "$LLMGUARD_DOCKER_IMAGE" >/dev/null ||
    without "the test image could not be made"
"${command[@]}"

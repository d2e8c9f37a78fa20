#!/usr/bin/env bash
# overhead.sh [ROUNDS [SECONDS [TARGET…]]]: what the rendered gateway costs, beside the same server that only forwards.
#
# Both stand in front of one nginx that answers at once, so the difference is the gateway's work for a request: an
# upper bound, as a model takes seconds. Rounds alternate between the ways, so a change of the machine's mood meets all
# alike; the table has the medians and how far the rounds lie apart. The server's own processor time for a request is
# what a busy machine changes least; the second `of bare` is by that. The policy has no rate limit (it would refuse the
# load). With and without an access log (JSON on both sides), each beside the bare server with the same.
# TARGET: nginx, caddy or traefik-file.
# Needs wrk and the servers of tests/servers/install.sh. $LLMGUARD is the program, by default built here.
set -eu
cd "$(dirname "$0")/.."
readonly rounds=${1:-5} seconds=${2:-3}
readonly targets=" ${*:3} "
readonly connections=16 key=bench-0123456789abcdefghijklmnopqrstuvwxyz
readonly bare=18080 guarded=18081 logged=18082 bare_logged=18083 upstream=18434
export BENCH_KEY=$key

command -v wrk >/dev/null || { echo "wrk is needed: apt-get install wrk" >&2; exit 2; }
tests/servers/install.sh
# shellcheck source=/dev/null
. "${LLMGUARD_SERVERS:-.servers}/env"
if [ -z "${LLMGUARD:-}" ]; then
    cargo build --quiet
    LLMGUARD=$PWD/target/debug/llmguard
fi
readonly configs=$PWD/benches/overhead
work=$(mktemp -d)
chmod 755 "$work" # nginx's workers are not root
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT

# start PORT FOLDER COMMAND…: in the folder, until the port answers.
start() {
    local port=$1 folder=$2 tries=100
    shift 2
    (cd "$folder" && exec "$@") >>"$work/servers.log" 2>&1 &
    pids+=($!)
    until curl -s -o /dev/null "http://127.0.0.1:$port/"; do
        tries=$((tries - 1))
        if [ $tries = 0 ]; then
            echo "$* does not answer on port $port:" >&2
            tail "$work/servers.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# expect PORT STATUS [HEADER]: a number is worth nothing if the answers are wrong.
expect() {
    local status tries=50
    while
        status=$(curl -s -o /dev/null -w '%{http_code}' ${3:+-H "$3"} -d '{"model":"m"}' "http://127.0.0.1:$1/v1/chat/completions")
        [ "$status" != "$2" ]
    do
        tries=$((tries - 1))
        if [ $tries = 0 ]; then echo "port $1 answers $status, not $2" >&2; exit 1; fi
        sleep 0.1 # Traefik answers 404 until its files are read
    done
}

render() { # TARGET PORT LOG-FORMAT
    local folder=$work/$3
    mkdir -p "$folder"
    cat >"$folder/llmguard.toml" <<TOML
[upstream]
kind = "ollama"
servers = ["127.0.0.1:$upstream"]
[listen]
address = "127.0.0.1:$2"
[[client]]
name = "bench"
api_key = "env:BENCH_KEY"
[limits]
rate = false
[log]
format = "$3"
TOML
    : >"$folder/.env"
    "$LLMGUARD" -q render --policy "$folder/llmguard.toml" --target "$1" --out "$folder" 2>>"$work/servers.log" ||
        { cat "$work/servers.log" >&2; exit 1; }
}

# cpu PID: microseconds of processor time of a process and its children (the kernel counts in hundredths of a second).
cpu() {
    local child files=("/proc/$1/stat")
    for child in $(pgrep -P "$1"); do files+=("/proc/$child/stat"); done
    sed 's/.*) //' "${files[@]}" | awk '{ ticks += $12 + $13 } END { print ticks * 10000 }'
}

# measure WAY PORT PID: adds a line `WAY requests/s p50 p99 cpu` (milliseconds; microseconds a request) to the results.
measure() {
    local before
    before=$(cpu "$3")
    wrk -t1 -c"$connections" -d"${seconds}s" --latency -s "$configs/chat.lua" "http://127.0.0.1:$2/v1/chat/completions" >"$work/wrk"
    if grep -q 'Non-2xx\|Socket errors' "$work/wrk"; then cat "$work/wrk" >&2; exit 1; fi
    awk -v way="$1" -v cpu="$(($(cpu "$3") - before))" '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
        $1 == "50%" { p50 = ms($2) } $1 == "99%" { p99 = ms($2) } $1 == "Requests/sec:" { rate = $2 } $2 == "requests" { n = $1 }
        END { print way, rate, p50, p99, cpu / n }' "$work/wrk" >>"$work/results"
}

median() { # WAY COLUMN
    awk -v way="$1" -v column="$2" '$1 == way { print $column }' "$work/results" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# spread WAY: half of the way from the slowest round to the fastest, in % of the median.
spread() {
    awk -v way="$1" '$1 == way { print $2 }' "$work/results" | sort -g |
        awk '{ v[NR] = $1 } END { printf "%.0f", 50 * (v[NR] - v[1]) / v[int((NR + 1) / 2)] }'
}

# bare_folder NAME: the configs of servers that only forward, each with an access log, on a port of its own.
bare_folder() {
    mkdir -p "$work/bare"
    sed -e "s/$bare/$bare_logged/" -e 's/^\([[:blank:]]*\)#log /\1/' -e '/#nolog$/d' "$configs/$1" >"$work/bare/$1"
}

# bench NAME TARGET FOLDER BARE-COMMAND -- RENDERED-COMMAND
bench() {
    local name=$1 target=$2 folder=$3 bare_command=() way base before=${#pids[@]}
    shift 3
    if [ "$targets" != "  " ] && [[ $targets != *" $target "* ]]; then return; fi
    while [ "$1" != -- ]; do bare_command+=("$1"); shift; done
    shift
    render "$target" $guarded off
    render "$target" $logged json
    : >"$work/results"
    start $bare "$configs" "${bare_command[@]}"
    start $bare_logged "$work/bare" "${bare_command[@]/#"$configs"/"$work/bare"}"
    start $guarded "$work/off/$folder" "$@"
    start $logged "$work/json/$folder" "$@"
    expect $bare 200
    expect $bare_logged 200
    for port in $guarded $logged; do
        expect "$port" 200 "Authorization: Bearer $key"
        expect "$port" 401
    done
    for _ in $(seq "$rounds"); do
        measure bare $bare "${pids[before + 0]}"
        measure guarded $guarded "${pids[before + 2]}"
        measure bare_logged $bare_logged "${pids[before + 1]}"
        measure logged $logged "${pids[before + 3]}"
    done
    for way in bare guarded bare_logged logged; do
        base=bare
        if [[ $way == *logged ]]; then base=bare_logged; fi
        awk -v name="$name" -v way="$way" -v rate="$(median $way 2)" -v base="$(median $base 2)" -v noise="$(spread $way)" \
            -v cpu="$(median $way 5)" -v base_cpu="$(median $base 5)" -v p50="$(median $way 3)" -v p99="$(median $way 4)" \
            'BEGIN { printf "%-14s %-26s %9.0f  ±%2d %% %6.0f %% %8.1f µs %6.0f %% %8.2f %8.2f\n", name, label(way), rate, noise, 100 * rate / base, cpu, 100 * base_cpu / cpu, p50, p99 }
            function label(way) { return (way ~ /bare/ ? "only forwards" : "policy") (way ~ /logged/ ? ", access log" : "") }'
    done
    for pid in "${pids[@]:$before}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=("${pids[@]:0:$before}")
}

start $upstream "$work" "$LLMGUARD_NGINX" -p "$work" -c "$configs/upstream.conf"
echo "$(nproc) cores shared by wrk, gateway and upstream; $connections connections; medians of $rounds rounds of $seconds s"
printf '%-14s %-26s %9s %6s %8s %11s %8s %8s %8s\n' server way requests/s noise 'of bare' 'CPU/req.' 'of bare' 'p50 ms' 'p99 ms'
for config in nginx.conf Caddyfile traefik.yml dynamic.yml; do bare_folder "$config"; done
for nginx in LLMGUARD_NGINX_OLD LLMGUARD_NGINX; do
    if [ -z "${!nginx:-}" ]; then continue; fi
    version=$("${!nginx}" -v 2>&1)
    bench "nginx ${version##*/}" nginx nginx "${!nginx}" -p "$work" -c "$configs/nginx.conf" -- "${!nginx}" -p . -c nginx.conf -g 'daemon off;'
done
if [ -n "${LLMGUARD_CADDY:-}" ]; then
    version=$("$LLMGUARD_CADDY" version)
    version=${version%% *}
    bench "Caddy ${version#v}" caddy caddy "$LLMGUARD_CADDY" run --config Caddyfile -- "$LLMGUARD_CADDY" run --config Caddyfile --envfile ../.env
fi
if [ -n "${LLMGUARD_TRAEFIK:-}" ]; then
    version=$("$LLMGUARD_TRAEFIK" version | awk '$1 == "Version:" { print $2 }')
    bench "Traefik $version" traefik-file traefik "$LLMGUARD_TRAEFIK" --configFile=traefik.yml -- "$LLMGUARD_TRAEFIK" --configFile=traefik.yml
fi

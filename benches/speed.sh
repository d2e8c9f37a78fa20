#!/usr/bin/env bash
# speed.sh [ROUNDS]: what the program itself costs, as a table: starting, rendering, deciding, proving.
#
# Medians of ROUNDS (default 15), each beside /bin/true, which is what starting any program costs on this machine at this moment. Targets are aims
# on a quiet machine. Needs a release build ($LLMGUARD, by default built here), and for `prove` the servers of tests/servers/install.sh.
set -eu
cd "$(dirname "$0")/.."
readonly rounds=${1:-15} clients=50 requests=2000
if [ -z "${LLMGUARD:-}" ]; then
    cargo build --quiet --release
    LLMGUARD=$PWD/target/release/llmguard
fi
tests/servers/install.sh
# shellcheck source=/dev/null
. "${LLMGUARD_SERVERS:-.servers}/env"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A policy with so many clients, each with two keys, some with a rate or endpoints of their own.
{
    printf '[upstream]\nkind = "ollama"\n[listen]\nserver_names = ["llm.example.com"]\n'
    printf '[cors]\norigins = ["https://a.example.com", "https://b.example.com"]\n'
    for n in $(seq $clients); do
        printf '[[client]]\nname = "client-%s"\napi_key = ["env:KEY_%s_A", "env:KEY_%s_B"]\n' "$n" "$n" "$n"
        case $((n % 5)) in
            0) printf 'rate = { requests = %s, per = "1m", burst = 10 }\n' $((n * 6)) ;;
            1) printf 'allow = ["chat", "models"]\n' ;;
        esac
    done
} >"$work/llmguard.toml"
for n in $(seq $clients); do
    printf 'KEY_%s_A=key-%s-a-0123456789abcdefABCDEF-xyz\nKEY_%s_B=key-%s-b-0123456789abcdefABCDEF-xyz\n' "$n" "$n" "$n" "$n"
done >"$work/.env"

# took COMMAND…: median milliseconds of its wall time, then its peak memory in MiB (at most: never below the 14 MiB of the Python that starts it).
took() {
    python3 - "$rounds" "$@" <<'PY'
import os, resource, statistics, subprocess, sys, time

rounds, command = int(sys.argv[1]), sys.argv[2:]
times = []
for _ in range(rounds):
    start = time.perf_counter()
    run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    problems = run.stderr.read()
    _, status, usage = os.wait4(run.pid, 0)
    times.append(1000 * (time.perf_counter() - start))
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)}: {problems.decode()}")
print(f"{statistics.median(times):.2f} {usage.ru_maxrss / 1024:.1f}")
PY
}

row() { # WHAT AIM NUMBER UNIT MEMORY
    printf '%-46s %10s %-12s <= %5s MiB   aim %s\n' "$1" "$3" "$4" "$5" "$2"
}

echo "$(nproc) cores; medians of $rounds rounds; $("$LLMGUARD" --version)"
read -r base memory < <(took /bin/true)
row '/bin/true' '-' "$base" ms "$memory"
read -r time memory < <(took "$LLMGUARD" --version)
row 'llmguard --version' '/bin/true + 2 ms' "$time" ms "$memory"
for target in nginx caddy traefik-file all; do
    read -r time memory < <(took "$LLMGUARD" -q render --accept-weaker --policy "$work/llmguard.toml" --target "$target" --out "$work/out")
    aim=-
    if [ "$target" = all ]; then aim='20 ms, 30 MiB'; fi
    row "render --target $target, $clients clients" "$aim" "$time" ms "$memory"
done

# Decisions: the time for so many requests, less that for none.
for n in $(seq $requests); do
    printf '{"method":"POST","target":"/v1/chat/completions","headers":[["Host","llm.example.com"],["Authorization","Bearer key-%s-a-0123456789abcdefABCDEF-xyz"]],"body":"{}"}\n' $((n % clients + 1))
done >"$work/requests.jsonl"
decide() { # FILE
    took sh -c "exec \"$LLMGUARD\" decide --policy \"$work/llmguard.toml\" <\"$1\""
}
if ! "$LLMGUARD" decide --policy "$work/llmguard.toml" <"$work/requests.jsonl" | grep -c proxied | grep -qx $requests; then
    echo "decide forwards other than $requests of $requests requests" >&2
    exit 1
fi
: >"$work/none.jsonl"
read -r none memory < <(decide "$work/none.jsonl")
read -r time memory < <(decide "$work/requests.jsonl")
row "decide, $clients clients" '-' "$(awk -v t="$time" -v n="$none" -v r=$requests 'BEGIN { printf "%.0f", 1000 * r / (t - n) }')" requests/s "$memory"

# Proofs, once each: mostly the server's and the questions' own time.
for target in nginx caddy traefik-file; do
    start=$(date +%s%N)
    if "$LLMGUARD" -q prove --policy "$work/llmguard.toml" --target "$target" >"$work/proof" 2>&1; then
        row "prove --target $target, $clients clients" '-' $((($(date +%s%N) - start) / 1000000)) ms -
    else
        echo "prove --target $target: $(tail -n 3 "$work/proof")"
    fi
done

#!/usr/bin/env bash
# configs.sh [ROUNDS]: writes docs/speed.md, what reading long configs costs (benches/configs.py), with a release build made here.
#
# Puts what it is measured beside, gixy-ng and crossplane, into .servers/bench; nginx is that of tests/servers/install.sh. $LLMGUARD and
# $LLMGUARD_LEXING are programs to measure instead of building them; $OUT is another file to write.
set -eu
cd "$(dirname "$0")/.."
tests/servers/install.sh >&2
servers=$(cd "${LLMGUARD_SERVERS:-.servers}" && pwd)
# shellcheck source=/dev/null
. "$servers/env"
tools=$servers/bench
if [ ! -x "$tools/bin/gixy" ] || [ ! -x "$tools/bin/crossplane" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check gixy-ng==0.2.59 crossplane==0.5.8 >&2
fi
if [ -z "${LLMGUARD:-}" ]; then
    cargo build --quiet --release --bin llmguard --bench lexing
    LLMGUARD=$PWD/target/release/llmguard
fi
if [ -z "${LLMGUARD_LEXING:-}" ]; then
    LLMGUARD_LEXING=$(cargo bench --quiet --bench lexing --no-run --message-format=json |
        python3 -c 'import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("target", {}).get("name") == "lexing" and made.get("executable"):
        print(made["executable"])')
fi
export LLMGUARD LLMGUARD_LEXING PATH="$tools/bin:$PATH"
page=$(mktemp)
trap 'rm -f "$page"' EXIT
benches/configs.py "${1:-5}" >"$page"
cp "$page" "${OUT:-docs/speed.md}"

#!/usr/bin/env bash
# Prints how long the release build takes from the start of its process to the first answer of /health, and how much memory
# it holds when idle. Fails over the limits: 100 ms, 25 MiB.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-10}
port=${PORT:-18765}
binary=${BINARY:-${CARGO_TARGET_DIR:-target}/release/proxbox-api}
[[ -n ${BINARY:-} ]] || cargo build --release --quiet

folder=$(mktemp -d)
pid=
stop() { [[ -z $pid ]] || kill "$pid" 2>/dev/null || true; }
trap 'stop; rm -rf "$folder"' EXIT

start() {
    PORT=$port PROXBOX_BIND_HOST=127.0.0.1 PROXBOX_DATABASE_PATH=$folder/database.db "$binary" >/dev/null &
    pid=$!
}

# Speaks HTTP by itself: another process would cost more time than what is measured.
answers() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    local line
    read -r line <&3
    exec 3>&-
    [[ $line == *' 200 '* ]]
}

microseconds() { echo "${EPOCHREALTIME/./}"; }

worst=0
for ((run = 1; run <= runs; run++)); do
    before=$(microseconds)
    start
    until answers 2>/dev/null; do :; done
    elapsed=$((($(microseconds) - before) / 1000))
    what=$([[ $run == 1 ]] && echo 'empty database' || echo 'database at hand')
    echo "start to /health: $elapsed ms ($what)"
    ((elapsed > worst)) && worst=$elapsed
    if ((run == runs)); then
        sleep 2
        memory=$(awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status")
    fi
    stop
    wait "$pid"
done

echo "worst start: $worst ms (limit 100)"
echo "idle memory: $((memory / 1024)) MiB, $memory KiB (limit 25 MiB)"
echo "binary: $(($(stat -c %s "$binary") / 1024)) KiB"
((worst <= 100 && memory <= 25 * 1024))

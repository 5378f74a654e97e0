#!/bin/sh
# Lets storms go over the program for some time: with both event sources, with and without faults, each with a seed of its
# own. Stops at the first failure and says how to repeat it. What it came to goes to tests/TRUST.md.
#   soak.sh MINUTES
set -eu

cd "$(dirname -- "$0")/.."
. scripts/session.sh

minutes=${1-}
case $minutes in
'' | *[!0-9]*)
    echo "usage: soak.sh MINUTES" >&2
    exit 2
    ;;
esac

tmp=$(mktemp -d)
running=
clean_up() {
    for session in $running; do
        end_session "$session"
    done
    wait
    # The deepest ones first.
    sed -n "s|^[^ ]* \\($tmp/[^ ]*\\) .*|\\1|p" /proc/mounts | sort -r | while read -r mounted; do
        umount -l "$mounted"
    done
    rm -rf "$tmp" 2>/dev/null || { sleep 1 && rm -rf "$tmp"; }
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# What was built is run as it is, whatever is built later.
cargo test --locked --test it --no-run 2>"$tmp/built" || {
    cat "$tmp/built" >&2
    exit 1
}
tests=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$tmp/built")
rows=$tmp/rows
: >"$rows"
mkdir -m 755 "$tmp/tmp"
chmod 755 "$tmp"

# storm SOURCE TEST SECONDS: runs one in the background, in a session of its own.
storm() {
    seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    echo "$seed" >"$tmp/seed-$1"
    printf '%s  %s, seed %s, %s s\n' "$(date +%H:%M:%S)" "$1::$2" "$seed" "$3"
    TMPDIR=$tmp/tmp SERSYNC_TRUST=$rows SERSYNC_STORM_SEED=$seed SERSYNC_STORM_SECONDS=$3 \
        setsid nice "$tests" --exact "storm::$1::$2" --nocapture >"$tmp/log-$1" 2>&1 &
    last=$!
    running="$running $last"
}

# ended SOURCE TEST SECONDS PROCESS: waits for it, and stops everything when it failed.
ended() {
    if wait "$4" && grep -q '1 passed' "$tmp/log-$1" && ! grep -q SKIPPED "$tmp/log-$1"; then
        return 0
    fi
    cat "$tmp/log-$1" >&2
    echo "FAILED. To repeat it:" >&2
    echo "SERSYNC_STORM_SEED=$(cat "$tmp/seed-$1") SERSYNC_STORM_SECONDS=$3 cargo test --test it -- --exact storm::$1::$2" >&2
    exit 1
}

# both TEST SECONDS: one with each event source.
both() {
    storm fanotify "$1" "$2"
    first=$last
    storm inotify "$1" "$2"
    second=$last
    ended fanotify "$1" "$2" "$first"
    ended inotify "$1" "$2" "$second"
    running=
    table
}

# Writes down what all of it came to so far.
table() {
    scripts/trust.sh "$rows" $((($(date +%s) - begun + 30) / 60)) >"$tmp/TRUST.md"
    cp "$tmp/TRUST.md" tests/TRUST.md
}

begun=$(date +%s)
end=$((begun + minutes * 60))

echo "every fault by itself"
if ! TMPDIR=$tmp/tmp SERSYNC_TRUST=$rows nice "$tests" storm:: >"$tmp/log" 2>&1; then
    cat "$tmp/log" >&2
    exit 1
fi
table
while [ "$(date +%s)" -lt "$end" ]; do
    both a_storm_with_faults_at_random_loses_nothing 60
    both a_storm_ends_in_equal_trees 30
    both a_storm_with_faults_at_random_loses_nothing 60
    both a_storm_ends_in_equal_trees_with_debian_12 30
done

#!/bin/sh
# How much one `watch` takes: events, directories, files in one directory, endpoints, and how soon it recovers from an outage
# of the daemon. In each case all of it has to be on every mirror in the end, or the script fails.
#   limits.sh [PROGRAM]
# LIMITS_SCALE=10 makes everything ten times as large. Lines of a Markdown table on standard output.
set -eu

program=$(realpath -- "${1-target/release/sersync}")
scale=${LIMITS_SCALE-1}
watch=
daemon=

end() {
    [ -z "$1" ] || ! kill "$1" 2>/dev/null || wait "$1" 2>/dev/null || :
}
clean_up() {
    trap '' HUP INT TERM
    end "$watch"
    end "$daemon"
    rm -rf "$tmp"
}
tmp=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' HUP INT TERM
cd "$tmp"

endpoints=$((8 * scale))
port=$((20000 + $$ % 10000))
{
    echo "address = 127.0.0.1"
    echo "port = $port"
    echo "socket options = TCP_NODELAY"
    echo "log file = $tmp/daemon.log"
    for n in $(seq 1 "$endpoints"); do
        mkdir -p "module$n"
        printf '[m%s]\npath = %s\nuse chroot = no\nmunge symlinks = no\nread only = no\nuid = %s\ngid = %s\n' \
            "$n" "$tmp/module$n" "$(id -u)" "$(id -g)"
    done
} >rsyncd.conf

# config COUNT: mirrors the tree to so many endpoints.
config() {
    printf '[watch]\ndelay = "200ms"\nmax-delay = "1s"\n'
    targets=
    for n in $(seq 1 "$1"); do
        printf '[targets.t%s]\nmodule = "m%s"\nhosts = ["127.0.0.1:%s"]\n' "$n" "$n" "$port"
        targets="$targets\"t$n\","
    done
    printf '[sources.s]\npath = "%s/src"\ntargets = [%s]\n' "$tmp" "$targets"
}

now() { date +%s.%N; }
since() { echo "$1 $(now)" | awk '{ printf "%.1f", $2 - $1 }'; }
# wait_for SECONDS COMMAND...
wait_for() {
    tries=$(($1 * 20))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "not within the time: $*" >&2; tail -n 5 watch.log >&2; exit 1; }
        sleep 0.05
    done
}
start_daemon() {
    rsync --daemon --no-detach --config=rsyncd.conf &
    daemon=$!
    wait_for 20 answers
}
answers() { rsync "rsync://127.0.0.1:$port/" >/dev/null 2>&1; }
is_ready() { [ "$(grep -c 'caught up' watch.log)" -ge "$ready" ]; }
# start COUNT: watches for so many endpoints, until all of them have what there is.
start() {
    config "$1" >config.toml
    ready=$1
    STATE_DIRECTORY=$tmp/state "$program" watch -v -c config.toml >watch.log 2>&1 &
    watch=$!
    wait_for 600 is_ready
}
stop() {
    end "$watch"
    watch=
}
# The peak of the memory of sersync itself, in MiB.
memory() { awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$watch/status"; }
count() { find "$1" -type f | wc -l; }
# has MODULE COUNT
has() { [ "$(count "$1/s")" -eq "$2" ]; }
# same MODULE: what `diff` says is the proof that nothing was lost.
same() { diff -r src "$1/s" >/dev/null || { echo "$1 differs from the source" >&2; exit 1; }; }
row() { printf '| %s | %s | %s | %s MiB |\n' "$1" "$2" "$3" "$4"; }

mkdir src
start_daemon
echo '| what | how much | figure | memory of sersync |'
echo '|---|---|---|---|'

# Events: new files as fast as they can be made, in a hundred directories.
number=$((20000 * scale))
(cd src && seq -f 'e%g' 0 99 | xargs mkdir)
start 1
begun=$(now)
(cd src && seq 1 "$number" | awk '{ print "e" $1 % 100 "/f" $1 }' | xargs -n 1000 touch)
made=$(since "$begun")
wait_for 600 has module1 "$number"
took=$(since "$begun")
same module1
row "events sustained, none lost" "$number new files, made in $made s" \
    "$(echo "$number $took" | awk '{ printf "%.0f", $1 / $2 }') files/s, all on the mirror after $took s" "$(memory)"
stop

# Directories: set up, and one change.
number=$((20000 * scale))
(cd src && seq 1 "$number" | awk '{ print "d" $1 % 100 "/" $1 }' | xargs mkdir -p)
begun=$(now)
start 1
took=$(since "$begun")
row "directories" "$number" "ready after $took s, a first comparison included" "$(memory)"
stop

# Files in one directory.
number=$((50000 * scale))
rm -rf src/[de]*
start 1
mkdir src/one
begun=$(now)
(cd src/one && seq 1 "$number" | xargs -n 1000 touch)
wait_for 600 has module1 "$number"
took=$(since "$begun")
same module1
row "files in one directory" "$number" "all on the mirror after $took s" "$(memory)"
stop

# Endpoints.
rm -rf src/one
number=1000
start "$endpoints"
begun=$(now)
(cd src && seq 1 "$number" | xargs touch)
for n in $(seq 1 "$endpoints"); do
    wait_for 600 has "module$n" "$number"
    same "module$n"
done
took=$(since "$begun")
row "endpoints of one source" "$endpoints, $number new files" "on all of them after $took s" "$(memory)"
stop

# An outage, with changes in it.
outage=$((30 * scale))
start 1
end "$daemon"
daemon=
(cd src && seq 1 10000 | awk '{ print "o" $1 }' | xargs touch)
sleep "$outage"
start_daemon
begun=$(now)
wait_for 600 has module1 $((number + 10000))
took=$(since "$begun")
same module1
row "an outage of the daemon" "$outage s, 10000 new files in it" "recovered $took s after its end" "$(memory)"
stop

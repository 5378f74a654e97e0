#!/bin/sh
# Shows sersync at work: a private rsync daemon on loopback, an example tree, a full pass, live changes, the history
# and a file that comes back from it. Argument: the sersync program. Everything happens in one temporary directory, and
# every figure that is printed was measured in this run.
set -eu

sersync=${1:?usage: demo.sh PATH-OF-SERSYNC}
case $sersync in
/*) ;;
*) sersync=$(pwd)/$sersync ;;
esac

# Longer than anything here takes, also on a busy machine: it only limits how long a failure is waited for.
PATIENCE=30

dir=
daemon=
watch=
finished=no

say() {
    printf '%s\n' "$*"
}

step() {
    printf '\n== %s\n' "$*"
}

fail() {
    printf 'The demo failed: %s\n' "$*" >&2
    exit 1
}

# Shows a command as one would type it in the temporary directory, and runs it.
run() {
    line='$'
    for word; do
        case $word in
        "$sersync") word=sersync ;;
        *[!A-Za-z0-9_./:@=,+-]*) word="'$word'" ;;
        esac
        line="$line $word"
    done
    printf '%s\n' "$line" | sed "s|$dir/||g"
    "$@"
}

# An interrupted program prints nothing, and dash ends at an arithmetic error without running the trap on EXIT. What goes
# into arithmetic is therefore looked at first.
number() {
    case $1 in
    '' | *[!0-9]*) return 1 ;;
    esac
}

milliseconds() {
    nanoseconds=$(date +%s%N)
    number "$nanoseconds" || return 1
    echo $((nanoseconds / 1000000))
}

seconds() {
    printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10))
}

# Waits until the command succeeds: wait_until WHAT COMMAND...
wait_until() {
    what=$1
    shift
    end=$(milliseconds)
    end=$((end + PATIENCE * 1000))
    until "$@" >/dev/null 2>&1; do
        [ "$(milliseconds)" -lt "$end" ] || fail "waited $PATIENCE s in vain $what"
        sleep 0.01
    done
}

# One that has ended and that nobody has asked about yet does not count: in a container nobody may ever ask.
alive() {
    kill -0 "$1" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# Ends a process that was started here, kindly at first.
end_process() {
    [ -n "$1" ] || return 0
    kill -TERM "$1" 2>/dev/null || :
    tries=0
    while alive "$1" && [ $tries -lt 1000 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
    kill -KILL "$1" 2>/dev/null || :
    wait "$1" 2>/dev/null || :
}

# The processes below a process, as far as the kernel tells.
descendants() {
    children=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || :
    for child in $children; do
        echo "$child"
        descendants "$child"
    done
}

# Ends the daemon and the processes that serve its connections. They are listed first: without the daemon nothing tells
# any more that they are its own.
end_daemon() {
    [ -n "$daemon" ] || return 0
    sessions=$(descendants "$daemon")
    end_process "$daemon"
    for session in $sessions; do
        end_process "$session"
    done
    daemon=
}

clean_up() {
    code=$?
    trap '' HUP INT TERM
    [ "$finished" = yes ] || code=$((code ? code : 1))
    end_process "$watch"
    end_daemon
    if [ -n "$dir" ]; then
        # A demo that was interrupted has not failed.
        if [ $code -gt 128 ]; then
            say "Interrupted: everything that was started is ended, and $dir is removed."
        elif [ $code -ne 0 ]; then
            for log in "$dir"/*.log; do
                [ -s "$log" ] || continue
                printf -- '--- %s\n' "${log##*/}" >&2
                tail -n 100 "$log" >&2
            done
        fi
        rm -rf "$dir"
    fi
    exit "$code"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

begun=$(milliseconds)
"$sersync" --version >/dev/null || fail "$sersync does not run"
dir=$(mktemp -d)
# Nothing of this user's own set-up shall play a part.
export SERSYNC_CONFIG="$dir/sersync.toml" STATE_DIRECTORY="$dir/state" LC_ALL=C.UTF-8
unset RSYNC_PASSWORD RSYNC_PROXY RSYNC_CONNECT_PROG JOURNAL_STREAM

# ---------------------------------------------------------------------------------------------------------------------
step "1. A private rsync daemon"

password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
# By this word the daemon that answers is known to be ours.
token=demo-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
mkdir "$dir/module" "$dir/source" "$dir/state"
(
    umask 077
    printf 'demo:%s\n' "$password" >"$dir/secrets"
    printf '%s\n' "$password" >"$dir/password"
)

write_rsyncd_conf() {
    cat >"$dir/rsyncd.conf" <<END
address = 127.0.0.1
port = $1
log file = $dir/rsyncd.log
socket options = TCP_NODELAY
reverse lookup = no
use chroot = no
[backup]
comment = $token
path = $dir/module
read only = no
munge symlinks = no
auth users = demo
secrets file = $dir/secrets
END
    # A daemon of root's would take the part of `nobody` otherwise, and could not keep the owners of files.
    if [ "$(id -u)" -eq 0 ]; then
        printf 'uid = 0\ngid = 0\n' >>"$dir/rsyncd.conf"
    fi
}

answers() {
    rsync --contimeout=5 "rsync://127.0.0.1:$port/" 2>/dev/null | grep -q "$token"
}

answers_or_is_gone() {
    answers || ! alive "$daemon"
}

# A free port is found by trying: whoever looks first and binds later may come too late.
attempt=0
until [ -n "$daemon" ]; do
    attempt=$((attempt + 1))
    [ $attempt -le 20 ] || fail "no free port found for the daemon"
    random=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
    number "$random" || fail "od gives no random number"
    port=$((10240 + random % 20000))
    write_rsyncd_conf $port
    rsync --daemon --no-detach --config="$dir/rsyncd.conf" >>"$dir/rsyncd.log" 2>&1 </dev/null &
    daemon=$!
    wait_until "for an answer of the daemon" answers_or_is_gone
    alive "$daemon" || daemon=
done
say "$(rsync --version | sed -n '1s/  */ /gp') serves the module 'backup' on 127.0.0.1:$port (process $daemon),"
say "with a password, and keeps its files in a temporary directory that this demo removes at the end."

# ---------------------------------------------------------------------------------------------------------------------
step "2. An example tree and a configuration"

(
    cd "$dir/source"
    for project in alpha beta gamma delta; do
        mkdir -p "$project/src" "$project/docs"
        i=0
        while [ $i -lt 250 ]; do
            printf '%s file %s\n' "$project" "$i" >"$project/src/file-$i.txt"
            i=$((i + 1))
        done
        ln -s ../src/file-0.txt "$project/docs/first.txt"
    done
    printf 'The first version of the report.\n' >report.txt
    printf 'Deleted by mistake later on.\n' >'budget 2026 (draft).txt'
    printf 'A name in another script.\n' >说明.txt
    printf 'A name that looks like an option.\n' >-rf
    dd if=/dev/urandom of=photo.raw bs=1024 count=4096 2>/dev/null
)
cp -p "$dir/source/report.txt" "$dir/report-first-version"
cp -p "$dir/source/budget 2026 (draft).txt" "$dir/budget-as-it-was"

count_of() {
    # One dot per entry: names may hold line breaks.
    find "$1" -mindepth 1 -type "$2" -exec printf '.%.0s' {} + | wc -c | tr -d ' '
}
say "$(count_of "$dir/source" f) files, $(count_of "$dir/source" d) directories and $(count_of "$dir/source" l) symlinks, $(du -sk "$dir/source" | cut -f1) KiB. The configuration:"
say ""
cat >"$dir/sersync.toml" <<END
[rsync]
user = "demo"
password-file = "$dir/password"

[watch]
delay = "100ms"        # send when it was quiet for this long

[targets.backup]
module = "backup"
hosts = ["127.0.0.1:$port"]

[sources.example]
path = "$dir/source"
targets = ["backup"]
END
sed "s|$dir/|.../|; s/^/    /" "$dir/sersync.toml"
say ""
run "$sersync" config check

# ---------------------------------------------------------------------------------------------------------------------
step "3. A full pass: everything is compared, what differs is sent"

mirror=$dir/module/example
same_trees() {
    diff -rq --no-dereference "$dir/source" "$mirror" >"$dir/diff.log" 2>&1
}

run "$sersync" full-sync -v
same_trees || fail "source and mirror differ"
say "diff -r finds no difference between source and mirror: $(count_of "$mirror" f) files on the daemon's side."
say "The same again, with nothing to do:"
run "$sersync" full-sync -v

# ---------------------------------------------------------------------------------------------------------------------
step "4. Live: 'watch' sends changes as they happen"

"$sersync" watch -v >"$dir/watch.log" 2>&1 </dev/null &
watch=$!
say "\$ sersync watch &     (process $watch)"
caught_up() {
    alive "$watch" || fail "watch has ended"
    grep -q 'caught up' "$dir/watch.log"
}
wait_until "for watch to catch up" caught_up
say "It has compared everything once and now waits for events. Time from each change to its arrival:"

# Measures a change: arrives WHAT COMMAND... is true when the change, made just before, is there.
arrives() {
    changed=$(milliseconds)
    name=$1
    shift
    wait_until "for $name to arrive" "$@"
    say "    $(seconds $(($(milliseconds) - changed)))  $name"
}
gone() {
    [ ! -e "$1" ]
}

printf 'Hello from the demo.\n' >"$dir/source/new.txt"
arrives "a new file" cmp -s "$dir/source/new.txt" "$mirror/new.txt"
printf 'The second version of the report.\n' >"$dir/source/report.txt"
arrives "a changed file" cmp -s "$dir/source/report.txt" "$mirror/report.txt"
printf 'The third version of the report.\n' >"$dir/source/report.txt"
arrives "the same file, changed once more" cmp -s "$dir/source/report.txt" "$mirror/report.txt"
rm "$dir/source/budget 2026 (draft).txt"
arrives "a deleted file" gone "$mirror/budget 2026 (draft).txt"
mkdir -p "$dir/source/epsilon/src"
i=0
while [ $i -lt 200 ]; do
    printf 'epsilon file %s\n' $i >"$dir/source/epsilon/src/file-$i.txt"
    i=$((i + 1))
done
arrives "a new directory with 200 files" diff -r "$dir/source/epsilon" "$mirror/epsilon"
say "(The delay of 100 ms that the configuration asks for is part of each. This shell looks every 10 ms.)"

# ---------------------------------------------------------------------------------------------------------------------
step "5. The history: every version that was replaced or deleted is still there"

(cd "$dir/module" && find history-backup -type f | sort | sed 's/^/    /')

# ---------------------------------------------------------------------------------------------------------------------
step "6. Getting files back"

first=$("$sersync" history list --json | sed -n '1s/.*"path":"\([^"]*\)".*/\1/p')
[ -n "$first" ] || fail "the history has no bucket"
# restore NAME ORIGINAL: brings back NAME as it was when the history began, and compares it with what it was.
restore() {
    run "$sersync" restore example "$1" --at "$first" --to "$dir/restored"
    cmp "$dir/restored/$(basename "$1")" "$2" || fail "what came back of $1 is not what it was"
    say "cmp: identical to what it was before. It reads: $(cat "$dir/restored/$(basename "$1")")"
}
restore report.txt "$dir/report-first-version"
restore 'budget 2026 (draft).txt' "$dir/budget-as-it-was"

# ---------------------------------------------------------------------------------------------------------------------
step "7. The end"

code=0
kill -TERM "$watch"
wait "$watch" 2>/dev/null || code=$?
watch=
[ $code -eq 143 ] || fail "watch ended with $code instead of by the signal"
same_trees || fail "source and mirror differ at the end"
say "watch was told to end (SIGTERM) and did; source and mirror are still the same, $(count_of "$mirror" f) files each."
end_daemon
rm -rf "$dir"
[ ! -e "$dir" ] || fail "$dir is still there"
say "The daemon is stopped and $dir is removed. All of it took $(seconds $(($(milliseconds) - begun)))."
dir=
finished=yes

#!/bin/sh
# Makes a Debian with systemd and rsync in target/debian-base.tar, from Debian's package mirror: the containers of the tests
# are made of it. Where it is already, nothing is done.
set -eu
cd "$(dirname -- "$0")/../.."

out=target/debian-base.tar
[ ! -e "$out" ] || exit 0

mkdir -p target
tmp=$(mktemp -d)
working=
clean_up() {
    if [ -n "$working" ] && kill "$working" 2>/dev/null; then
        wait "$working" || :
    fi
    rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# procps is what the package depends on, tini is for the container image.
debootstrap --variant=minbase --include=systemd,systemd-sysv,rsync,procps,tini bookworm "$tmp/root" >"$tmp/log" 2>&1 &
# The shell acts on a signal at once only when it waits for a background process.
working=$!
wait $working || {
    tail -n 20 "$tmp/log" >&2
    echo "debootstrap failed" >&2
    exit 1
}
working=
# It appears under its name only when it is complete.
tar -C "$tmp/root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' -cf "$tmp/base.tar" .
mv "$tmp/base.tar" "$out.new"
mv "$out.new" "$out"

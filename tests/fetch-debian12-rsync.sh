#!/bin/sh
# Unpacks the rsync of plain Debian 12 into target/debian12-rsync (or into the directory that is given): its daemon
# cannot do --delete-missing-args, and the tests run against it beside the installed one. Nothing is installed.
set -eu

version=3.2.7-1+deb12u6
dest=${1:-$(dirname "$0")/../target/debian12-rsync}

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# The directory appears under its name only when it is complete, so its presence is enough.
[ ! -x "$dest/usr/bin/rsync" ] || exit 0

for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null ||
        fail "needs $tool (Debian or Ubuntu); elsewhere unpack rsync $version yourself and set SERSYNC_TEST_RSYNC_OLD to its binary"
done

parent=$(dirname "$dest")
mkdir -p "$parent"
# Beside the destination, so that the last step is one rename within a file system.
tmp=$(mktemp -d "$parent/.debian12-rsync.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
# apt gives up its privileges for the download and has to reach the directory then.
chmod 755 "$tmp"
chown _apt "$tmp" 2>/dev/null || :

(cd "$tmp" && apt-get -q download "rsync=$version") >"$tmp/log" 2>&1 || {
    cat "$tmp/log" >&2
    fail "apt-get cannot get rsync=$version: it is in Debian 12's main archive; is that a source here, and is 'apt-get update' recent?"
}
mkdir "$tmp/root"
dpkg -x "$tmp"/rsync_*.deb "$tmp/root"
[ -x "$tmp/root/usr/bin/rsync" ] || fail "the package holds no usr/bin/rsync"

# Two may have unpacked at the same time: the first one wins, and -T keeps the second from moving into it.
mv -T "$tmp/root" "$dest" 2>/dev/null || [ -x "$dest/usr/bin/rsync" ] || fail "cannot move the unpacked tree to $dest"

#!/bin/sh
# Unpacks the rsync of plain Debian 12 into target/debian12-rsync (or into the directory that is given): its daemon
# cannot do --delete-missing-args, and the tests run against it beside the installed one. Nothing is installed.
set -eu

here=$(dirname "$0")
# shellcheck source=tests/fetch-lib.sh
. "$here/fetch-lib.sh"
# It is in Debian 12's main archive.
version=3.2.7-1+deb12u6
dest=${1:-$here/../target/debian12-rsync}

[ ! -x "$dest/usr/bin/rsync" ] || exit 0

unpack "rsync=$version" "$dest" "unpack rsync $version yourself and set SERSYNC_TEST_RSYNC_OLD to its binary"
[ -x "$tmp/root/usr/bin/rsync" ] || fail "the package holds no usr/bin/rsync"
place "$tmp/root" "$dest" usr/bin/rsync

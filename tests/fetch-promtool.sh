#!/bin/sh
# Unpacks promtool out of the distribution's package of Prometheus into target/promtool (or into the directory that is
# given): the tests let it judge metrics and alerting rules. Nothing is installed, and no service is started.
set -eu

dest=${1:-$(dirname "$0")/../target/promtool}

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# The directory appears under its name only when it is complete, so its presence is enough.
[ ! -x "$dest/promtool" ] || exit 0

for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null ||
        fail "needs $tool (Debian or Ubuntu); elsewhere install promtool yourself and set SERSYNC_TEST_PROMTOOL to it"
done

parent=$(dirname "$dest")
mkdir -p "$parent"
# Beside the destination, so that the last step is one rename within a file system.
tmp=$(mktemp -d "$parent/.promtool.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
# apt gives up its privileges for the download and has to reach the directory then.
chmod 755 "$tmp"
chown _apt "$tmp" 2>/dev/null || :

(cd "$tmp" && apt-get -q download prometheus) >"$tmp/log" 2>&1 || {
    cat "$tmp/log" >&2
    fail "apt-get cannot get prometheus; is 'apt-get update' recent?"
}
mkdir "$tmp/root" "$tmp/tool"
dpkg -x "$tmp"/prometheus_*.deb "$tmp/root"
mv "$tmp/root/usr/bin/promtool" "$tmp/tool/" || fail "the package holds no usr/bin/promtool"

# Two may have unpacked at the same time: the first one wins, and -T keeps the second from moving into it.
mv -T "$tmp/tool" "$dest" 2>/dev/null || [ -x "$dest/promtool" ] || fail "cannot move the tool to $dest"

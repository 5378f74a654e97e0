#!/bin/sh
# Unpacks Prometheus and its promtool out of the distribution's package into target/promtool (or into the directory that is
# given): the tests let them judge metrics and alerting rules. Nothing is installed, and no service is started.
set -eu

here=$(dirname "$0")
# shellcheck source=tests/fetch-lib.sh
. "$here/fetch-lib.sh"
dest=${1:-$here/../target/promtool}

[ ! -x "$dest/prometheus" ] || exit 0
# One that an earlier version of this made has less in it.
rm -rf "$dest"

unpack prometheus "$dest" "install promtool yourself and set SERSYNC_TEST_PROMTOOL to it"
mkdir "$tmp/tool"
mv "$tmp/root/usr/bin/promtool" "$tmp/root/usr/bin/prometheus" "$tmp/tool/" ||
    fail "the package holds no usr/bin/promtool and usr/bin/prometheus"
place "$tmp/tool" "$dest" promtool

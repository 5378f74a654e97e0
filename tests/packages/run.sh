#!/bin/sh
# Tests the packages and the container image: builds them, makes a Debian to install them in, runs everything in this
# directory, and says at the end how long each took. Needs root and docker. Where CI is set nothing may be skipped.
#   run.sh [TEST...]   only these, such as `deb`
set -eu
cd "$(dirname -- "$0")/../.."

here=tests/packages
[ $# -gt 0 ] || set -- files source rpm deb containers

if [ "$(id -u)" -ne 0 ] || ! docker version >/dev/null 2>&1; then
    echo "SKIPPED: the tests of the packages need root and a docker daemon" >&2
    [ -z "${CI-}" ] || exit 1
    exit 0
fi

base=
BASE=
clean_up() {
    trap '' HUP INT TERM
    if [ -n "$base" ] && kill "$base" 2>/dev/null; then
        wait "$base" || :
    fi
    [ -z "$BASE" ] || docker rmi "$BASE" >/dev/null || :
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

table=
begun=$(date +%s)
# took NAME RESULT
took() {
    table="$table$(printf '%6d s  %-6s  %s' $(($(date +%s) - begun)) "$2" "$1")
"
    begun=$(date +%s)
}

# The one waits for the network, the other for the processors.
$here/base.sh &
base=$!
# The second one is what an upgrade brings.
scripts/package.sh
mkdir -p target/package-next
rm -f target/package-next/*
target/tools/bin/cargo-deb --no-build -q --fast --deb-revision 2 -o target/package-next/ >/dev/null
took "packages" ok
wait "$base"
base=
# It has a name, so that it stays when an image that is made of it is removed.
BASE=sersync-test-base:$$
docker import --change 'CMD ["/bin/sh"]' target/debian-base.tar $BASE >/dev/null
export BASE
took "Debian" ok

passed=0
failed=0
for test in "$@"; do
    printf '\n==> %s\n' "$test"
    if "$here/$test.sh"; then
        passed=$((passed + 1))
        took "$test" ok
    else
        failed=$((failed + 1))
        took "$test" FAILED
    fi
done

printf '\n%s' "$table"
echo "packages: $passed passed, $failed failed"
[ $failed -eq 0 ]

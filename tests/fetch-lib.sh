# shellcheck shell=sh
# What the scripts that fetch a package of the distribution stand on; each of them reads this file. A package is unpacked, and
# never installed. The directory it becomes appears under its name only when it is complete, so its presence is enough.

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# unpack PACKAGE DESTINATION OTHERWISE: puts what is in the package into $tmp/root, beside the destination, so that the last
# step is one rename within a file system. Where there is no apt, it says what to do otherwise.
unpack() {
    for tool in apt-get dpkg; do
        command -v "$tool" >/dev/null || fail "needs $tool (Debian or Ubuntu); elsewhere $3"
    done
    parent=$(dirname "$2")
    mkdir -p "$parent"
    tmp=$(mktemp -d "$parent/.$(basename "$2").XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 1' HUP INT TERM
    # apt gives up its privileges for the download and has to reach the directory then.
    chmod 755 "$tmp"
    chown _apt "$tmp" 2>/dev/null || :
    (cd "$tmp" && apt-get -q download "$1") >"$tmp/log" 2>&1 || {
        cat "$tmp/log" >&2
        fail "apt-get cannot get $1; is it in a package source of this host, and is 'apt-get update' recent?"
    }
    mkdir "$tmp/root"
    dpkg -x "$tmp"/*.deb "$tmp/root"
}

# place DIRECTORY DESTINATION PROGRAM: renames the one to the other. Two may have unpacked at the same time: the first one wins,
# and -T keeps the second from moving into it.
place() {
    mv -T "$1" "$2" 2>/dev/null || [ -x "$2/$3" ] || fail "cannot move what was unpacked to $2"
}

#!/bin/sh
# Installs what a target of the Makefile needs and the machine does not have; the argument is its name: demo, test, bench,
# package or package-test.
# It asks the package manager for nothing when nothing is missing, so that it can stand before everything else.
set -eu

# Where some distributions keep programs that others than root need as well.
PATH=$PATH:/usr/sbin:/sbin

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

say() {
    printf '%s\n' "$*"
}

tmp=
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
tmp=$(mktemp -d)

fail() {
    printf 'install-deps: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Whether a compiler is not only there but also finds the headers and the start-up files of the C library, which are in
# a package of their own.
links() {
    printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$tmp/program.c"
    cc -o "$tmp/program" "$tmp/program.c" >/dev/null 2>&1
}

# Whether a command is there and fit for use.
works() {
    have "$1" || return 1
    case $1 in
    cc) links ;;
    python3) python3 -c 'import yaml' >/dev/null 2>&1 ;;
    esac
}

# Each line: the command that is looked for, its package on Debian and Ubuntu, its package on Fedora and its kin.
demo_needs='
cc gcc,libc6-dev gcc,glibc-devel
rsync rsync rsync
find findutils findutils
cmp diffutils diffutils
diff diffutils diffutils
'
test_needs="$demo_needs
git git git
setsid util-linux util-linux
script bsdutils util-linux-script
setfacl acl acl
ip iproute2 iproute
systemd-analyze systemd systemd
logrotate logrotate logrotate
shellcheck shellcheck ShellCheck
mandoc mandoc mandoc
"

bench_needs='
cc gcc,libc6-dev gcc
rsync rsync rsync
fpsync fpart fpart
lsyncd lsyncd lsyncd
inotifywait inotify-tools inotify-tools
'

package_needs='
cc gcc,libc6-dev gcc,glibc-devel
gzip gzip gzip
xz xz-utils xz
'

# bash-completion is not among it: the completion has to work without.
package_test_needs="$package_needs
dpkg-deb dpkg dpkg
debootstrap debootstrap debootstrap
docker docker.io moby-engine
docker-compose docker-compose docker-compose
lintian lintian lintian
rpm rpm rpm
rpmlint rpmlint rpmlint
mandoc mandoc mandoc
bash bash bash
zsh zsh zsh
fish fish fish
rsync rsync rsync
python3 python3,python3-yaml python3,python3-pyyaml
"

[ $# -le 1 ] || fail "one of them at a time, not '$*'"
case ${1-} in
demo) needs=$demo_needs ;;
test) needs=$test_needs ;;
bench) needs=$bench_needs ;;
package) needs=$package_needs ;;
package-test) needs=$package_test_needs ;;
*) fail "say what for: demo, test, bench, package or package-test" ;;
esac

# There is no package for this that fits everywhere: distributions ship compilers that are too old.
have cargo || fail "cargo is not in PATH: install a Rust toolchain, 1.89 or newer"

if have apt-get; then
    manager=apt
elif have dnf; then
    manager=dnf
else
    manager=none
fi

packages=
commands=
while read -r command debian fedora; do
    [ -n "$command" ] || continue
    works "$command" && continue
    commands="$commands $command"
    case $manager in
    dnf) package=$fedora ;;
    *) package=$debian ;;
    esac
    for name in $(printf '%s' "$package" | tr ',' ' '); do
        case " $packages " in
        *" $name "*) ;;
        *) packages="$packages $name" ;;
        esac
    done
done <<END
$needs
END
packages=${packages# }

can_be_root() {
    [ "$(id -u)" -eq 0 ] || have sudo
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Standard input is closed to it: a prompt in an unattended run would wait for ever. Another run of the package manager,
# such as the one that a fresh machine does by itself, is waited for.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# Fetches the package lists. One source of several that does not answer is no reason not to try with the rest.
apt_update() {
    apt update || say "apt-get update failed; trying with the package lists that are there."
}

if [ -n "$packages" ]; then
    case $manager in
    apt) by_hand="apt-get update && apt-get install $packages" ;;
    dnf) by_hand="dnf install $packages" ;;
    none) fail "missing:$commands; there is neither apt-get nor dnf. Debian's packages for them are: $packages" ;;
    esac
    # The last line says what to do, whatever it was that failed.
    not_installed() {
        fail "missing:$commands; $1. Please run as root: $by_hand"
    }
    can_be_root || not_installed "not root, and no sudo"
    as_root true </dev/null || not_installed "not root, and sudo cannot be used"
    say "Missing:$commands. Installing: $packages"
    case $manager in
    apt)
        apt_update
        # shellcheck disable=SC2086 # The names are words of one list.
        apt install --no-install-recommends $packages || not_installed "apt-get cannot install that"
        ;;
    dnf)
        # shellcheck disable=SC2086 # As above.
        as_root dnf -q -y install $packages </dev/null || not_installed "dnf cannot install that"
        ;;
    esac
    for command in $commands; do
        works "$command" || not_installed "$command still does not work after its packages were installed"
    done
fi

[ "$1" = test ] || exit 0

cargo fmt --version >/dev/null 2>&1 || fail "cargo fmt is missing: rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || fail "cargo clippy is missing: rustup component add clippy"

# Fetches something that is unpacked for the tests but not installed: $1 is the script that does it, $2 what it is.
fetch() {
    log=$tmp/log
    "$here/../tests/$1" 2>"$log" && return 0
    # On a fresh machine the package lists are not there yet.
    if [ "$manager" != apt ] || ! can_be_root || ! apt_update || ! "$here/../tests/$1" 2>"$log"; then
        cat "$log" >&2
        [ -z "${CI-}" ] || fail "$2 cannot be fetched, and nothing may be skipped where CI is set"
        say "Going on without $2: the tests that need it are skipped, and say so."
    fi
}

# The tests also run against the daemon of plain Debian 12, which has a fault that is common in the field. They take
# what is named in these variables, if anything.
[ -n "${SERSYNC_TEST_RSYNC_OLD-}" ] || fetch fetch-debian12-rsync.sh "the rsync of Debian 12"
[ -n "${SERSYNC_TEST_PROMTOOL-}" ] || fetch fetch-promtool.sh "promtool"

#!/bin/sh
# Installs what `make demo` (argument: demo) or `make test` (argument: test) needs and the machine does not have.
# It asks the package manager for nothing when nothing is missing, so that it can stand before everything else.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'install-deps: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Each line: the command that is looked for, its package on Debian and Ubuntu, its package on Fedora and its kin.
demo_needs='
cc gcc,libc6-dev gcc
rsync rsync rsync
find findutils findutils
cmp diffutils diffutils
diff diffutils diffutils
'
test_needs="$demo_needs
git git git
shellcheck shellcheck ShellCheck
mandoc mandoc mandoc
"

case ${1-} in
demo) needs=$demo_needs ;;
test) needs=$test_needs ;;
*) fail "say what for: demo or test" ;;
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
    have "$command" && continue
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

# Standard input is closed to it: a prompt in an unattended run would wait for ever.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" </dev/null
}

if [ -n "$packages" ]; then
    case $manager in
    apt) by_hand="apt-get update && apt-get install $packages" ;;
    dnf) by_hand="dnf install $packages" ;;
    none) fail "missing:$commands; there is neither apt-get nor dnf. Debian's packages for them are: $packages" ;;
    esac
    can_be_root || fail "missing:$commands; not root, and no sudo. Please run as root: $by_hand"
    say "Missing:$commands. Installing: $packages"
    case $manager in
    apt)
        apt update
        # shellcheck disable=SC2086 # The names are words of one list.
        apt install --no-install-recommends $packages
        ;;
    dnf)
        # shellcheck disable=SC2086 # As above.
        as_root dnf -q -y install $packages </dev/null
        ;;
    esac
    for command in $commands; do
        have "$command" || fail "$command is still missing after its package was installed"
    done
fi

[ "$1" = test ] || exit 0

cargo fmt --version >/dev/null 2>&1 || fail "cargo fmt is missing: rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || fail "cargo clippy is missing: rustup component add clippy"

# The tests also run against the daemon of plain Debian 12, which has a fault that is common in the field. They take
# the one that is named here, if any.
[ -z "${SERSYNC_TEST_RSYNC_OLD-}" ] || exit 0
fetch=$here/../tests/fetch-debian12-rsync.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM
if ! "$fetch" 2>"$log"; then
    # On a fresh machine the package lists are not there yet.
    if [ "$manager" != apt ] || ! can_be_root || ! apt update || ! "$fetch" 2>"$log"; then
        cat "$log" >&2
        [ -z "${CI-}" ] || fail "the rsync of Debian 12 cannot be fetched, and nothing may be skipped where CI is set"
        say "Going on without the rsync of Debian 12: the tests that need it are skipped, and say so."
    fi
fi

#!/bin/sh
# Runs the checks, all of them even when one fails, and says how long each took.
#   check.sh lint   everything but the tests
#   check.sh all    everything
# Where CI is set nothing may be skipped.
set -eu

cd "$(dirname -- "$0")/.."

case ${1-} in
lint | all) what=$1 ;;
*)
    echo "usage: check.sh lint|all" >&2
    exit 2
    ;;
esac

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

failed=0
: >"$tmp/table"

# check NAME COMMAND...: runs the command and notes its result and duration.
check() {
    name=$1
    shift
    printf '\n==> %s\n' "$name"
    begun=$(date +%s)
    if "$@"; then
        result=ok
    else
        result=FAILED
        failed=$((failed + 1))
    fi
    printf '%6d s  %-6s  %s\n' $(($(date +%s) - begun)) $result "$name" >>"$tmp/table"
}

documentation() {
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
}

# Every shell script, whatever it is called.
shell_scripts() {
    git ls-files --cached --others --exclude-standard >"$tmp/files" || return 1
    set --
    while read -r file; do
        if [ -f "$file" ] && head -n 1 "$file" | grep -q '^#!/bin/sh'; then
            set -- "$@" "$file"
        fi
    done <"$tmp/files"
    [ $# -gt 0 ] && shellcheck "$@"
}

# What mandoc does not mind is no output at all.
manual() {
    mandoc -T lint -W warning man/*.[58]
}

# cargo's own output, and one line with the sums at the end.
tests() {
    {
        code=0
        cargo test --locked --no-fail-fast || code=$?
        echo "$code" >"$tmp/code"
    } 2>&1 | tee "$tmp/log"
    count() {
        sed -n "s/^test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$tmp/log" | awk '{ n += $1 } END { print n + 0 }'
    }
    ignored=$(count ignored)
    skipped=$(grep -c 'SKIPPED: ' "$tmp/log" || :)
    sums="tests: $(count passed) passed, $(count failed) failed"
    [ $((skipped + ignored)) -eq 0 ] || sums="$sums, $((skipped + ignored)) skipped"
    if [ -n "${CI-}" ] && [ $((skipped + ignored)) -gt 0 ]; then
        echo "nothing may be skipped where CI is set"
        return 1
    fi
    [ "$(cat "$tmp/code")" = 0 ]
}

sums=
check "formatting" cargo fmt --check
check "shell scripts" shell_scripts
check "clippy" cargo clippy --locked --all-targets --all-features -- -D warnings
check "documentation" documentation
check "manual" manual
[ "$what" = lint ] || check "tests" tests

printf '\n'
cat "$tmp/table"
[ -z "$sums" ] || echo "$sums"
[ "$failed" -eq 0 ]

#!/bin/sh
# Runs the checks, all of them even when one fails, and says how long each took.
#   check.sh lint   everything but the tests
#   check.sh all    everything
# Where CI is set nothing may be skipped.
set -eu

cd "$(dirname -- "$0")/.."
. scripts/session.sh

case ${1-} in
lint | all) what=$1 ;;
*)
    echo "usage: check.sh lint|all" >&2
    exit 2
    ;;
esac

tmp=
tee=
running=

# Ends the tests and what they have started.
end_tests() {
    [ -z "$tee" ] || kill -TERM "$tee" 2>/dev/null || :
    [ -z "$running" ] || end_session "$running"
}

clean_up() {
    trap '' HUP INT TERM
    end_tests
    [ -n "$tmp" ] || return 0
    # What is only just ending may still have made a file meanwhile.
    rm -rf "$tmp" 2>/dev/null || { sleep 1 && rm -rf "$tmp"; }
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
tmp=$(mktemp -d)

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
    [ $# -gt 0 ] && shellcheck -x "$@"
}

# What mandoc does not mind is no output at all.
manual() {
    mandoc -T lint -W warning man/*.[58]
}

# cargo's own output, and one line with the sums at the end.
tests() {
    # Their temporary directories are inside ours, so that nothing stays behind when they are interrupted. Some tests run
    # the program as a user without rights, who has to get there, whatever the umask is.
    mkdir "$tmp/tmp" && chmod 755 "$tmp" "$tmp/tmp" && mkfifo "$tmp/output" || return 1
    tee "$tmp/log" <"$tmp/output" &
    tee=$!
    # The shell acts on a signal at once only when it waits for a background process. Those ignore the signals of the
    # keyboard, which the tests shall not inherit: env undoes it where it can.
    set -- env
    ! env --default-signal=INT,QUIT true 2>/dev/null || set -- env --default-signal=INT,QUIT
    # Most tests wait for somebody most of the time: with as many threads as processors these idle for two thirds of it.
    : "${RUST_TEST_THREADS:=$((2 * $(nproc)))}"
    export RUST_TEST_THREADS
    TMPDIR="$tmp/tmp" setsid "$@" cargo test --locked --no-fail-fast >"$tmp/output" 2>&1 </dev/null &
    running=$!
    code=0
    wait "$running" || code=$?
    running=
    wait "$tee" || :
    tee=
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
    [ "$code" -eq 0 ]
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

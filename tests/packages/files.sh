#!/bin/sh
# What is in the packages, and whether the tools that judge packages, manuals and completions find fault with it.
# shellcheck source=tests/packages/lib.sh
. "$(dirname -- "$0")/lib.sh"

deb=$(echo "$packages"/*.deb)
rpm=$(echo "$packages"/*.rpm)

# Modes and names; what a list of files cannot say is compared as text.
dpkg-deb -c "$deb" | awk '{ print $1, $6, $7, $8 }' | sed 's/ *$//' | sort -k 2 >"$tmp/deb"
same "$tmp/deb" tests/packages/deb-files.txt
rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES} %{FILEFLAGS:fflags}\n]' "$rpm" | sed 's/ *$//' | sort -k 2 >"$tmp/rpm"
same "$tmp/rpm" tests/packages/rpm-files.txt

# What is argued for stands in packaging/deb/lintian-overrides and packaging/rpm/rpmlint.toml.
check "lintian finds no fault" lintian --allow-root --fail-on error,warning,info --tag-display-limit 0 "$deb"
check "rpmlint finds no fault" rpmlint -c packaging/rpm/rpmlint.toml "$rpm"

root=$tmp/root
dpkg-deb -x "$deb" "$root"
share=$root/usr/share

gunzip -k "$share"/man/man?/*.gz
check "mandoc finds no fault in the manual" mandoc -T lint -W warning "$share"/man/man?/*.[58]
[ ! -s "$tmp/output" ] || fail "mandoc: $(cat "$tmp/output")"

"$root/usr/bin/sersync" --version >/dev/null || fail "the program does not run"
case $(ldd "$root/usr/bin/sersync") in
*"not found"*) fail "a library is missing" ;;
esac

# Where Rust's target for musl is installed, there is a static program as well; elsewhere `make package` says that there is none.
musl=$(rustc --print target-libdir --target x86_64-unknown-linux-musl 2>/dev/null || :)
if [ -d "$musl" ]; then
    mkdir "$tmp/static"
    tar -C "$tmp/static" -xzf "$(echo "$packages"/*-musl.tar.gz)"
    check "the static program runs" "$tmp/static/usr/local/bin/sersync" --version
    not ldd "$tmp/static/usr/local/bin/sersync" >/dev/null 2>&1 || fail "the static program needs libraries"
else
    not test -e "$(echo "$packages"/*-musl.tar.gz)" || fail "there is a tarball of something else"
    say "skipped: no static program, since Rust's target for musl is not installed"
fi

# Each shell loads its completion from where the package has it, and then knows the commands.
cat >"$tmp/complete.bash" <<'END'
source "$1/bash-completion/completions/sersync" && complete -p sersync >/dev/null
COMP_WORDS=(sersync full) COMP_CWORD=1
_sersync sersync full sersync
printf '%s\n' "${COMPREPLY[@]}"
END
[ "$(bash --norc "$tmp/complete.bash" "$share")" = full-sync ] || fail "bash does not complete"
say "ok: bash completes"

# zsh completes only on a terminal: one is made for it, and what appears there is looked through.
cat >"$tmp/complete.zsh" <<'END'
zmodload zsh/zpty
zpty shell 'zsh -f -i'
zpty -w shell "PS1=; fpath=($1/zsh/vendor-completions \$fpath); autoload -Uz compinit; compinit -u -D; print rea''dy"
zpty -r shell text '*ready*'
zpty -w -n shell $'sersync full\t --chec\t'
zpty -r shell text '*--checksum*' && print complete
zpty -d shell
END
[ "$(timeout 60 zsh -f "$tmp/complete.zsh" "$share")" = complete ] || fail "zsh does not complete"
say "ok: zsh completes"

mkdir "$tmp/home"
HOME=$tmp/home fish --no-config -c "source $share/fish/vendor_completions.d/sersync.fish; complete -C 'sersync full'" \
    >"$tmp/fish" 2>&1 || fail "fish: $(cat "$tmp/fish")"
grep -q '^full-sync' "$tmp/fish" || fail "fish does not complete: $(cat "$tmp/fish")"
say "ok: fish completes"

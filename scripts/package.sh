#!/bin/sh
# Builds the packages into target/package: a DEB, an RPM, and a static tarball where Rust's target for musl is installed.
# What is in them is described in Cargo.toml ([package.metadata...]). REVISION=2 gives the packages another revision.
set -eu

cd "$(dirname -- "$0")/.."

deb_version=3.8.0
# 0.21 cannot pack directories: it looks for a file without a name.
rpm_version=0.20.0
musl=x86_64-unknown-linux-musl

target=${CARGO_TARGET_DIR:-${CARGO_BUILD_TARGET_DIR:-target}}
tools=target/tools
out=target/package
revision=${REVISION:-1}

say() {
    printf '%s\n' "$*"
}

# tool NAME VERSION FEATURES...: builds it once, without optimising it: it runs for a second, and takes minutes to build
# otherwise. It may be installed elsewhere already.
tool() {
    name=$1
    version=$2
    shift 2
    case "$("$tools/bin/$name" --version 2>/dev/null || :)" in
    *"$version"*) return 0 ;;
    esac
    say "Building $name $version (once)."
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install -q --locked --root "$tools" --target-dir "$tools/build" --version "=$version" "$@" "$name"
}

tool cargo-deb $deb_version --no-default-features --features gzip
tool cargo-generate-rpm $rpm_version
cargo build --release --locked

rm -rf "$out"
mkdir -p "$out/man"
cp man/*.[58] "$out/man/"
gzip -n -9 "$out"/man/*

# A fresh checkout of the same commit gives the same packages: nothing in them is newer than the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

"$tools/bin/cargo-deb" --no-build -q --deb-revision "$revision" -o "$out/"
"$tools/bin/cargo-generate-rpm" -s "release = \"$revision\"" -o "$out/"

if [ -d "$(rustc --print target-libdir --target $musl 2>/dev/null)" ]; then
    cargo build --release --locked --target $musl
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    name=sersync-$version-$musl
    make -s install PROGRAM="$target/$musl/release/sersync" DESTDIR="$PWD/$out/$name"
    # It is unpacked by `tar -C / -xzf`.
    tar -C "$out/$name" --sort=name --owner=0 --group=0 --mtime="@$SOURCE_DATE_EPOCH" -czf "$out/$name.tar.gz" usr
    rm -rf "${out:?}/$name"
else
    say "No static tarball: Rust's target $musl is not installed (rustup target add $musl)."
fi

rm -rf "$out/man"
say "In $out:"
(cd "$out" && ls)

#!/bin/sh
# The RPM, installed, upgraded and removed by rpm in a root of its own. A stand-in for systemctl notes what it is told.
# shellcheck source=tests/packages/lib.sh
. "$(dirname -- "$0")/lib.sh"

root=$tmp/root
mkdir "$root"
tar -C "$root" -xf target/debian-base.tar
# Installing is not limited to RPM systems that run systemd: what is told to it is, and this root looks as if it did.
mkdir -p "$root/run/systemd/system"
told=$root/told
rm "$root/usr/bin/systemctl" "$root/bin/systemctl" 2>/dev/null || :
cat >"$root/usr/bin/systemctl" <<'END'
#!/bin/sh
echo "$*" >>/told
END
chmod 755 "$root/usr/bin/systemctl"

# The libraries and rsync are there, but no RPM says so.
in_root() {
    rpm --root "$root" --dbpath /var/lib/rpm --nodeps "$@"
}

first=$(echo "$packages"/*.rpm)
mkdir "$tmp/next" "$packages/man"
cp man/*.[58] "$packages/man/"
gzip -n -1 "$packages"/man/*
target/tools/bin/cargo-generate-rpm --payload-compress none -s 'release = "2"' -o "$tmp/next/"
rm -r "$packages/man"
next=$(echo "$tmp"/next/*.rpm)

check "it is installed" in_root -i "$first"
check "every file is as it was packaged" in_root -V sersync
check "the program runs" chroot "$root" sersync --version
[ "$(stat -c '%a %u' "$root/etc/sersync")" = "750 0" ] || fail "others can look into /etc/sersync"
[ "$(cat "$told")" = daemon-reload ] || fail "an installation tells systemd: $(cat "$told")"
say "ok: nothing is enabled or started"

echo 'mine = true' >"$root/etc/sersync/sersync.toml"
echo '# edited' >>"$root/etc/sersync/sersync.toml.example"
mkdir -p "$root/var/lib/sersync/locks"
wants=$root/etc/systemd/system/multi-user.target.wants
mkdir -p "$wants"
ln -s /usr/lib/systemd/system/sersync-watch@.service "$wants/sersync-watch@one.service"
: >"$told"
check "it is upgraded" in_root -U "$next"
grep -q '^try-restart .*sersync-watch@\*' "$told" || fail "an upgrade does not restart what runs: $(cat "$told")"
! grep -q '^stop' "$told" || fail "an upgrade stops what runs: $(cat "$told")"
tail -n 1 "$root/etc/sersync/sersync.toml.example" | grep -q '# edited' || fail "what was edited is gone"
[ -L "$wants/sersync-watch@one.service" ] || fail "an upgrade disables"
say "ok: what runs is restarted, what was edited stays"

: >"$told"
check "it is removed" in_root -e sersync
grep -q '^stop .*sersync-watch.service' "$told" || fail "removal does not stop what runs: $(cat "$told")"
for path in "$root/usr/bin/sersync" "$wants/sersync-watch@one.service"; do
    not test -e "$path" -o -L "$path" || fail "$path is left"
done
for path in "$root/etc/sersync/sersync.toml" "$root/var/lib/sersync/locks"; do
    [ -e "$path" ] || fail "$path is gone, which is not the package's"
done
say "ok: what runs is stopped, the configuration and the state stay"

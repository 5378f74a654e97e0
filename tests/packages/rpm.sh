#!/bin/sh
# The RPM, installed, upgraded and removed by rpm in a root of its own. A stand-in for systemctl notes what it is told. Then two
# hosts with systemd that have it, set up by what the README says.
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
for dir in /etc/sersync /var/log/sersync; do
    [ "$(stat -c '%a %u' "$root$dir")" = "750 0" ] || fail "others can look into $dir"
done
# Every directory that is its own belongs to it: none is left when it goes.
rpm --root "$root" --dbpath /var/lib/rpm -ql sersync >"$tmp/owned"
sed -n 's|\(.*/sersync\(/.*\)\{0,1\}\)/[^/]*$|\1|p' "$tmp/owned" | sort -u >"$tmp/directories"
while read -r dir; do
    grep -qxF "$dir" "$tmp/owned" || fail "$dir belongs to nobody"
done <"$tmp/directories"
say "ok: its directories belong to it"
[ "$(cat "$told")" = daemon-reload ] || fail "an installation tells systemd: $(cat "$told")"
say "ok: nothing is enabled or started"

echo 'said' >"$root/var/log/sersync/watch.log"
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
for path in "$root/usr/bin/sersync" "$wants/sersync-watch@one.service" "$root/usr/share/doc/sersync" \
    "$root/usr/share/licenses/sersync"; do
    not test -e "$path" -o -L "$path" || fail "$path is left"
done
for path in "$root/etc/sersync/sersync.toml" "$root/var/lib/sersync/locks" "$root/var/log/sersync/watch.log"; do
    [ -e "$path" ] || fail "$path is gone, which is not the package's"
done
say "ok: what runs is stopped, the configuration and the state stay"

# On a host of the test the same is installed in the same way, with the unit that Fedora's package rsync-daemon has. dnf would
# do no more with the file than rpm does here.
host=$tmp/host
mkdir "$host"
tar -C "$host" -xf target/debian-base.tar
rm -f "$host"/lib/systemd/system/rsync.service "$host"/usr/lib/systemd/system/rsync.service
cat >"$host/usr/lib/systemd/system/rsyncd.service" <<'END'
[Unit]
Description=fast remote file copy program daemon
ConditionPathExists=/etc/rsyncd.conf
[Service]
ExecStart=/usr/bin/rsync --daemon --no-detach
[Install]
WantedBy=multi-user.target
END
check "it is installed on a host" rpm --root "$host" --dbpath /var/lib/rpm --nodeps -i "$first"
BOOTED=sersync-test-rpm:$$
tar -C "$host" -c . | docker import --change 'CMD ["/bin/sh"]' - $BOOTED >/dev/null
images=$BOOTED
rm -rf "$host"
new_hosts
for one in "$server" "$client"; do
    as_documented "$one" both
done
mirrors_as_documented rpm-server

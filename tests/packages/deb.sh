#!/bin/sh
# The DEB on two hosts with systemd: installed, set up, enabled, upgraded, removed, purged. What it says there is what an
# administrator would do, in the same order.
# shellcheck source=tests/packages/lib.sh
. "$(dirname -- "$0")/lib.sh"

new_network
boot server
server=$container
boot client
client=$container

# install CONTAINER DIRECTORY: the package that is in the directory.
install() {
    docker cp "$(echo "$2"/*.deb)" "$1:/root/sersync.deb" >/dev/null
    docker exec -e DEBIAN_FRONTEND=noninteractive "$1" dpkg -i /root/sersync.deb >"$tmp/dpkg" 2>&1 ||
        fail "dpkg -i: $(cat "$tmp/dpkg")"
}

state_of() {
    on "$client" systemctl show -p "$2" --value "$1"
}

is() {
    [ "$(state_of "$1" "$2")" = "$3" ]
}

install "$server" "$packages"
install "$client" "$packages"
[ "$(on "$client" stat -c %a /etc/sersync)" = 750 ] || fail "others can look into /etc/sersync"
for unit in sersync-watch.service sersync-prune-history.timer; do
    [ "$(on "$client" systemctl is-enabled $unit)" = disabled ] || fail "$unit is enabled by the installation"
    is $unit ActiveState inactive || fail "$unit is started by the installation"
done
say "ok: installed on both; nothing is enabled, nothing is started"
check "the manual is there" on "$client" test -e /usr/share/man/man8/sersync.8.gz

configuration() {
    cat <<'END'
[rsync]
user = "rsync"
password-file = "/etc/sersync/rsync.passwd"
timeout = "20s"
[watch]
delay = "100ms"
[full-sync]
every = "1s"
[targets.backup]
module = "backup"
hosts = ["server"]
[targets.backup.server]
path = "/data/backup"
[sources.files]
path = "/data/files"
targets = ["backup"]
END
}

# The server: what it needs is made from the client's configuration.
configuration | put "$server" /etc/sersync/sersync.toml
check "the server is set up by gen-rsyncd-conf" on "$server" sersync gen-rsyncd-conf --out /etc
check "the server's daemon starts" on "$server" systemctl start rsync
on "$server" cat /etc/sersync/rsync.passwd | put "$client" /etc/sersync/rsync.passwd
configuration | put "$client" /etc/sersync/sersync.toml

mirror=/data/backup/files
put "$client" /data/files/first <<END
first
END
put "$client" /data/files/private <<END
private
END
on "$client" chown 1234:4321 /data/files/private
check "the target is good" on "$client" sersync check-target

# Live, with one more line than is needed: -v says by what is watched.
put "$client" /etc/systemd/system/sersync-watch.service.d/verbose.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/sersync watch -v
END
on "$client" systemctl daemon-reload
check "sersync-watch.service starts when it is enabled" on "$client" systemctl enable -q --now sersync-watch.service
wait_until "what is there is mirrored" holds "$server" $mirror/first first
[ "$(on "$server" stat -c '%u:%g %a' $mirror/private)" = "1234:4321 600" ] || fail "owner and mode are not kept"
say "ok: owner and mode are kept"
put "$client" /data/files/live <<END
live
END
wait_until "a change is mirrored" holds "$server" $mirror/live live
log_has() {
    on "$client" journalctl -q -o cat "$@" | grep -q .
}
on "$client" journalctl -o cat -u sersync-watch -p info >"$tmp/log"
grep -q 'watching by fanotify' "$tmp/log" || fail "the sandbox keeps fanotify from working: $(cat "$tmp/log")"
say "ok: fanotify works within the sandbox"
check "status says that all is well" on "$client" sersync status
[ "$(on "$client" stat -c '%a %U' /var/lib/sersync)" = "700 root" ] || fail "others can look into the state"

# What cannot be sent is an error in the journal, of that priority; a line about what was done is information.
not log_has -u sersync-watch -p warning || fail "something is not well: $(on "$client" journalctl -u sersync-watch -p warning)"
check "the server's daemon stops" on "$server" systemctl stop rsync
put "$client" /data/files/late <<END
late
END
wait_until "the journal has a warning" log_has -u sersync-watch -p warning -t sersync
log_has -u sersync-watch -p info..info -t sersync || fail "the journal has no line of information"
check "the server's daemon starts again" on "$server" systemctl start rsync
wait_until "what changed meanwhile is mirrored" holds "$server" $mirror/late late

pid=$(state_of sersync-watch MainPID)
check "the service reloads" on "$client" systemctl reload sersync-watch
wait_until "the service is active after that" is sersync-watch ActiveState active
is sersync-watch MainPID "$pid" || fail "reloading is a new process"

# An upgrade restarts what runs, and what is enabled stays so.
install "$client" target/package-next
on "$client" dpkg -s sersync | grep -q '^Version: .*-2$' || fail "this is no upgrade"
is sersync-watch ActiveState active || fail "the service does not run after an upgrade"
not is sersync-watch MainPID "$pid" || fail "the old version still runs after an upgrade"
[ "$(on "$client" systemctl is-enabled sersync-watch)" = enabled ] || fail "it is disabled after an upgrade"
put "$client" /data/files/upgraded <<END
upgraded
END
wait_until "a change is mirrored after the upgrade" holds "$server" $mirror/upgraded upgraded

# The timers, each as soon as it is enabled instead of at night. Nothing else mirrors meanwhile.
check "the service stops" on "$client" systemctl disable -q --now sersync-watch
is sersync-watch Result success || fail "sersync-watch ended with $(state_of sersync-watch Result)"
for timer in sersync-full-sync@ sersync-verify@ sersync-prune-history; do
    put "$client" /etc/systemd/system/$timer.timer.d/now.conf <<'END'
[Timer]
OnCalendar=
RandomizedDelaySec=0
FixedRandomDelay=no
AccuracySec=1ms
OnActiveSec=1ms
END
done
on "$client" systemctl daemon-reload
put "$client" /data/files/first <<END
second
END
old=/data/backup/history-backup/files/2020-01-02/100000
on "$server" mkdir -p $old
on "$server" touch $old/first
has_run() {
    [ -n "$(state_of "$1" ExecMainExitTimestamp)" ] && is "$1" ActiveState inactive
}
fires() {
    check "$1.timer is enabled" on "$client" systemctl enable -q --now "$1.timer"
    wait_until "$1.timer has fired" has_run "$1.service"
    is "$1.service" Result success || fail "$1.service ended with $(state_of "$1.service" Result)"
}
fires sersync-full-sync@files
holds "$server" $mirror/first second || fail "full-sync has not mirrored"
fires sersync-verify@files
fires sersync-prune-history
not on "$server" test -e $old || fail "prune-history has not removed what is too old"
say "ok: full-sync has mirrored, verify has found no difference, prune-history has removed what is too old"
check "sersync-watch@files.service starts when it is enabled" on "$client" systemctl enable -q --now sersync-watch@files
is sersync-watch@files ActiveState active || fail "sersync-watch@files does not run"

# Removal stops everything; a purge removes what sersync remembered, and no data.
check "it is removed" on "$client" dpkg -r sersync
for unit in sersync-watch@files.service sersync-full-sync@files.timer sersync-prune-history.timer; do
    not is $unit ActiveState active || fail "$unit still runs after the removal"
done
not on "$client" test -e /usr/bin/sersync || fail "the program is still there"
check "the state is still there" on "$client" test -d /var/lib/sersync/mirrors
check "it is purged" on "$client" dpkg -P sersync
for path in /var/lib/sersync /etc/sersync/sersync.toml.example /etc/logrotate.d/sersync \
    /etc/systemd/system/timers.target.wants/sersync-full-sync@files.timer \
    /etc/systemd/system/multi-user.target.wants/sersync-watch@files.service; do
    not on "$client" test -e $path -o -L $path || fail "$path is left after a purge"
done
check "the source stays" holds "$client" /data/files/first second
check "the mirror stays" holds "$server" $mirror/first second
check "the configuration and the password stay" \
    on "$client" test -e /etc/sersync/sersync.toml -a -e /etc/sersync/rsync.passwd
check "the history stays" on "$server" test -d /data/backup/history-backup/files

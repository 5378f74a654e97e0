#!/bin/sh
# The DEB on two hosts with systemd: installed, set up, enabled, upgraded, removed, purged. What it says there is what an
# administrator would do, in the same order.
# shellcheck source=tests/packages/lib.sh
. "$(dirname -- "$0")/lib.sh"

new_hosts

state_of() {
    on "$client" systemctl show -p "$2" --value "$1"
}

is() {
    [ "$(state_of "$1" "$2")" = "$3" ]
}

# Whoever follows the README says yes to what apt asks.
for one in "$server" "$client"; do
    docker cp "$packages"/*.deb "$one:/root/" >/dev/null
    echo 'APT::Get::Assume-Yes "true";' | put "$one" /etc/apt/apt.conf.d/yes
    as_documented "$one" deb
    as_documented "$one" both
done
for dir in /etc/sersync /var/log/sersync; do
    [ "$(on "$client" stat -c '%a %U' $dir)" = "750 root" ] || fail "others can look into $dir"
done
for unit in sersync-watch.service sersync-prune-history.timer; do
    [ "$(on "$client" systemctl is-enabled $unit)" = disabled ] || fail "$unit is enabled by the installation"
    is $unit ActiveState inactive || fail "$unit is started by the installation"
done
say "ok: installed on both; nothing is enabled, nothing is started"
check "the manual is there" on "$client" test -e /usr/share/man/man8/sersync.8.gz

as_documented "$server" deb-server
# What scp does.
on "$server" cat /etc/sersync/rsync.passwd | put "$client" /etc/sersync/rsync.passwd

mirror=/srv/backup/files
put "$client" /data/files/first <<END
first
END
put "$client" /data/files/private <<END
private
END
on "$client" chown 1234:4321 /data/files/private
# One more line than is needed: -v says by what is watched.
put "$client" /etc/systemd/system/sersync-watch.service.d/verbose.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/sersync watch -v
END
on "$client" systemctl daemon-reload
as_documented "$client" client
for unit in sersync-watch.service sersync-full-sync@files.timer sersync-verify@files.timer sersync-prune-history.timer; do
    is $unit ActiveState active || fail "$unit is not active"
done
wait_until "what is there is mirrored" holds "$server" $mirror/first first
[ "$(on "$server" stat -c '%u:%g %a' $mirror/private)" = "1234:4321 600" ] || fail "owner and mode are not kept"
say "ok: owner and mode are kept"
put "$client" /data/files/live <<END
live
END
wait_until "a change is mirrored" holds "$server" $mirror/live live
add_source() {
    printf '[sources.%s]\npath = "%s"\ntargets = ["backup"]\n' "$1" "$2" | put "$client" /root/source.toml
    on "$client" sh -c 'cat /root/source.toml >>/etc/sersync/sersync.toml'
}
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

# From here on everything is due at once. The service takes that over without a restart.
on "$client" sh -c "printf '[watch]\ndelay = \"100ms\"\n[full-sync]\nevery = \"1s\"\n' >>/etc/sersync/sersync.toml"
pid=$(state_of sersync-watch MainPID)
check "the service reloads" on "$client" systemctl reload sersync-watch
wait_until "the service is active after that" is sersync-watch ActiveState active
is sersync-watch MainPID "$pid" || fail "reloading is a new process"

# An upgrade restarts what runs, and what is enabled stays so.
docker cp "$(echo target/package-next/*.deb)" "$client:/root/next.deb" >/dev/null
check "it is upgraded" on "$client" dpkg -i /root/next.deb
on "$client" dpkg -s sersync | grep -q '^Version: .*-2$' || fail "this is no upgrade"
is sersync-watch ActiveState active || fail "the service does not run after an upgrade"
not is sersync-watch MainPID "$pid" || fail "the old version still runs after an upgrade"
[ "$(on "$client" systemctl is-enabled sersync-watch)" = enabled ] || fail "it is disabled after an upgrade"
put "$client" /data/files/upgraded <<END
upgraded
END
wait_until "a change is mirrored after the upgrade" holds "$server" $mirror/upgraded upgraded

# The timers, each as soon as it begins instead of at night. Nothing else mirrors meanwhile.
check "the service stops" on "$client" systemctl disable -q --now sersync-watch
is sersync-watch Result success || fail "sersync-watch ended with $(state_of sersync-watch Result)"
on "$client" systemctl stop 'sersync-*.timer'
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
old=/srv/backup/history-backup/files/2020-01-02/100000
on "$server" mkdir -p $old
on "$server" touch $old/first
has_run() {
    [ -n "$(state_of "$1" ExecMainExitTimestamp)" ] && is "$1" ActiveState inactive
}
fires() {
    check "$1.timer begins" on "$client" systemctl start "$1.timer"
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

# The unit for all sources beside one for a source: neither stops the other, and each mirror is that of one of them.
put "$client" /data/other/first <<END
other
END
add_source other /data/other
check "the unit for all sources starts beside it" on "$client" systemctl enable -q --now sersync-watch
wait_until "the other source is mirrored" holds "$server" /srv/backup/other/first other
is sersync-watch@files ActiveState active || fail "sersync-watch@files was stopped"
[ "$(state_of sersync-watch@files NRestarts) $(state_of sersync-watch NRestarts)" = "0 0" ] || fail "they fight"
put "$client" /data/files/both <<END
both
END
wait_until "and what the instance mirrors still is" holds "$server" $mirror/both both
not on "$client" systemctl restart sersync-watch@files 2>"$tmp/refused" || fail "an instance starts although all is mirrored"
grep -q 'Assertion failed on job for sersync-watch@files' "$tmp/refused" || fail "systemctl says $(cat "$tmp/refused")"
is sersync-watch@files ActiveState inactive || fail "sersync-watch@files is $(state_of sersync-watch@files ActiveState)"
is sersync-watch ActiveState active || fail "sersync-watch was stopped"
say "ok: while that is enabled, no instance starts, and systemctl says so"
put "$client" /data/files/alone <<END
alone
END
wait_until "the one for all sources takes over" holds "$server" $mirror/alone alone
on "$client" systemctl disable -q --now sersync-watch
check "where it is disabled, the instance starts again" on "$client" systemctl start sersync-watch@files

# A local target needs what the example grants, and keeps owners and modes with it.
on "$client" systemctl disable -q --now sersync-watch@files
put "$client" /data/local/program <<END
program
END
on "$client" sh -c 'chown 1234:4321 /data/local/program && chmod 6750 /data/local/program && mkdir -p /mnt/usb/backup1'
put "$client" /root/local.toml <<'END'
[targets.usb]
path = "/mnt/usb/backup1"
[sources.local]
path = "/data/local"
targets = ["usb"]
END
on "$client" sh -c 'cat /root/local.toml >>/etc/sersync/sersync.toml'
not on "$client" systemctl start sersync-full-sync@local 2>/dev/null || fail "a unit writes anywhere"
log_has -u sersync-full-sync@local -g 'Read-only file system' || fail "it is not said why"
example=/usr/share/doc/sersync/examples/local-target.conf
on "$client" install -D -m 644 $example /etc/systemd/system/sersync-full-sync@.service.d/local-target.conf
on "$client" systemctl daemon-reload
check "a unit with the example writes to a local target" on "$client" systemctl start sersync-full-sync@local
[ "$(on "$client" stat -c '%u:%g %a' /mnt/usb/backup1/local/program)" = "1234:4321 6750" ] || fail "owner and mode are not kept"

# What the sandbox hides is told from what is not there, and what to do about it helps.
# sandbox_hides SOURCE DIR SETTING: a unit cannot mirror what is in that directory, and says which setting of it is why.
sandbox_hides() {
    not on "$client" systemctl start "sersync-full-sync@$1" 2>/dev/null || fail "a unit sees $2"
    log_has -u "sersync-full-sync@$1" -g "the sandbox of the unit hides what is in $2: .*$3" ||
        fail "it is not said why: $(on "$client" journalctl -o cat -u "sersync-full-sync@$1")"
    say "ok: it is said that the sandbox hides $2"
}
# sandbox_has SETTING
sandbox_has() {
    printf '[Service]\n%s\n' "$1" | put "$client" /etc/systemd/system/sersync-full-sync@.service.d/tmp.conf
    on "$client" systemctl daemon-reload
}
echo hidden | put "$client" /tmp/scratch/file
add_source scratch /tmp/scratch
sandbox_hides scratch /tmp PrivateTmp=no
sandbox_has PrivateTmp=no
check "a unit of which /tmp is not hidden mirrors it" on "$client" systemctl start sersync-full-sync@scratch
sandbox_has ProtectHome=yes
echo one | put "$client" /home/one
add_source home /home
sandbox_hides home /home ProtectHome=read-only
on "$client" rm /etc/systemd/system/sersync-full-sync@.service.d/tmp.conf
on "$client" systemctl daemon-reload

# The sandbox does not make a mount point of a directory that is none, which a guard would miss elsewhere.
check "a unit mirrors /home" on "$client" systemctl start sersync-full-sync@home
check "and so does a shell after it" on "$client" sersync full-sync home

# Without systemd: the lines of the crontab, by a shell as cron starts it. With a log file they fill /var/log/sersync, for which
# logrotate has a snippet.
as_documented "$client" deb-cron
on "$client" sed -n 's/^[^#].* root //p' /etc/cron.d/sersync | sed 's/\\%/%/; s/--for 5m/--for 1s/' >"$tmp/jobs"
[ "$(wc -l <"$tmp/jobs")" -eq 4 ] || fail "the crontab has other lines: $(cat "$tmp/jobs")"
while read -r job; do
    said=$(on "$client" env - PATH=/usr/bin:/bin HOME=/root LOGNAME=root SHELL=/bin/sh /bin/sh -c \
        "$job --log-file /var/log/sersync/cron.log" 2>&1 </dev/null) || fail "$job: $said"
    [ -z "$said" ] || fail "$job says: $said"
done <"$tmp/jobs"
say "ok: what the crontab starts is silent"
[ "$(on "$client" stat -c '%a %U' /var/log/sersync/cron.log)" = "640 root" ] || fail "there is no log, or others can read it"
check "logrotate has a snippet for it" on "$client" grep -qF "/var/log/sersync/*.log {" /etc/logrotate.d/sersync
on "$client" sh -c 'echo mine >/var/log/sersync/other.txt; cp /var/log/sersync/cron.log /var/log/sersync/cron.log.1'
on "$client" rm /etc/cron.d/sersync

# From the bash sersync, by what the README says: its service runs, and its configuration is where it was.
on "$client" systemctl disable -q --now sersync-full-sync@files.timer sersync-verify@files.timer
on "$client" rm /etc/sersync/sersync.toml
put "$client" /usr/local/sersync/etc/sersync.conf <<'END'
listen_dir=('file-backup=/data/files')
rsyncd_mod=('backup=/data/files')
rsyncd_ip=('backup=server')
rsync_user=rsync
rsync_passwd_file=/etc/sersync/rsync.passwd
extra_rsync_args="-v --partial --append-verify"
END
put "$client" /etc/systemd/system/sersync.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
on "$client" systemctl enable -q --now sersync
as_documented "$client" migrate
wait_until "what was imported mirrors" holds "$server" /srv/backup/file-backup/first second
is sersync ActiveState inactive || fail "the bash sersync still runs"
is sersync-watch ActiveState active || fail "sersync-watch does not run"

# Whoever has only the package goes through the tour of the README, as somebody else than root. Where a limit of this host calls
# for something, check-kernel says so by 3.
on "$client" useradd -m -s /bin/sh newcomer
tour() {
    blocks_of try | sed 's/^sersync check-kernel$/& || [ $? -eq 3 ]/' >"$tmp/tour"
    on -i -u newcomer -e HOME=/home/newcomer -w /home/newcomer "$client" sh -eu <"$tmp/tour"
}
check "the tour of the README works with nothing but the package" tour

# Removal stops everything; a purge removes what sersync remembered, and no data.
check "it is removed" on "$client" dpkg -r sersync
for unit in sersync-watch.service sersync-full-sync@file-backup.timer sersync-prune-history.timer; do
    not is $unit ActiveState active || fail "$unit still runs after the removal"
done
not on "$client" test -e /usr/bin/sersync || fail "the program is still there"
check "the state is still there" on "$client" test -d /var/lib/sersync/mirrors
check "it is purged" on "$client" dpkg -P sersync
for path in /var/lib/sersync /etc/sersync/sersync.toml.example /etc/logrotate.d/sersync \
    /etc/systemd/system/timers.target.wants/sersync-full-sync@file-backup.timer \
    /etc/systemd/system/multi-user.target.wants/sersync-watch.service; do
    not on "$client" test -e $path -o -L $path || fail "$path is left after a purge"
done
[ "$(on "$client" ls /var/log/sersync)" = other.txt ] || fail "of logs, a purge leaves: $(on "$client" ls /var/log/sersync)"
say "ok: the logs go, and what is none stays"
check "the source stays" holds "$client" /data/files/first second
check "the mirror stays" holds "$server" $mirror/first second
check "the configuration and the password stay" \
    on "$client" test -e /etc/sersync/sersync.toml -a -e /etc/sersync/rsync.passwd
check "the history stays" on "$server" test -d /srv/backup/history-backup/files

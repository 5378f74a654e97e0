//! What the help of each command closes with: examples, what else has to be known, and what `--json` prints.

pub(super) const FULL_SYNC_EXAMPLES: &str = "\
Examples:
  sersync full-sync                         all sources to all their targets
  sersync full-sync file-backup -n          only show what would be done for one source
  sersync full-sync --if-older-than every   for a timer that runs more often than a pass is wanted
  sersync full-sync --changed               hourly, between passes that compare everything
  sersync full-sync --shard 2/4             the second of four machines that mount the same sources
  sersync full-sync --checksum              also what changed without a new size or time
  sersync full-sync -v --log-file /var/log/sersync/full-sync.log
                                            in a crontab, with a log of its own
  sersync full-sync --from /data/file --to rsync://rsync@10.0.0.2/backup1/file-backup \\
                    --password-file /etc/sersync/rsync.passwd

What is overwritten or deleted goes to history-backup/NAME/ in the same module.

With --json each line is an object. sersync-full-sync(8) lists the fields.

";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  sersync verify                            everything, all sources on all their targets
  sersync verify file-backup --sample 5%    other files of one source each day
  sersync verify --sample 5% --seed 7       the same files each time
  sersync full-sync --checksum              to mend what differs, with the old versions kept

All files are read on both sides, or those of the sample. The time limit is `timeout` in [full-sync]. At most 100,000
differences of one mirror are listed; what is beyond is counted.

With --json each line is an object. sersync-verify(8) lists the fields.

";

pub(super) const WATCH_EXAMPLES: &str = "\
Examples:
  sersync watch                             all sources, until it is told to end
  sersync watch file-backup --for 5m        for a crontab line that starts every five minutes
  sersync watch --until-idle 30s            until everything has arrived
  systemctl enable --now sersync-watch      as a service, by the unit of the packages
  sersync watch -v --log-format json        with messages for programs

A full-sync of the same mirror may run beside it. While it runs, files that are new or changed go on being sent; what
deletes something, and what is in directories that came or went, is sent when it is over. A watch that is started while a
full-sync runs begins when that is over.

On a terminal, without -v, a line for each mirror shows what is being done, how much is pending, how far it is behind, and what
was sent; in the end there is a summary. [notify] and [metrics] in the configuration name who is told how the mirrors do.

As a service it is one of Type=notify: it says when everything is watched, that it is alive where WatchdogSec= asks for
that, when it reads its settings again, and when it ends. On SIGHUP it reads the configuration again, when it has no terminal:
what is wrong there is said and changes nothing. Nothing that happens meanwhile is missed.

With --json each line is an object. sersync-watch(8) lists the fields.

";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  sersync status                            all mirrors
  sersync status --failing                  with the paths that fail, and why
  sersync status --watch                    shown again every two seconds
  sersync status >/dev/null || echo late    as a check: ends with 3 when something is not well
  sersync status --max-lag 26h              where a full-sync runs every night and nothing else

BEHIND is how long ago everything had arrived; of a mirror that is live and has nothing to send it is nothing. A mirror is not
well when it is behind for longer than --max-lag, when a path fails, when its last pass failed, or when a safety guard refuses
it. Who runs it needs to read the state directory of the others.

With --json each line is an object. sersync-status(8) lists the fields.

";

pub(super) const PRUNE_HISTORY_EXAMPLES: &str = "\
Examples:
  sersync prune-history                     all sources on all their targets, by keep-days in [history]
  sersync prune-history -n                  only show what would be removed, and why
  sersync prune-history documents --keep-days 30
  sersync prune-history --local /backup/module1 --keep-days 7 --max-size 500G
                                            on the backup server itself, for all sources there

Names in the history are in the local time of the host that mirrors. On a server in another time zone, give --local that
zone, as in `TZ=Asia/Shanghai sersync prune-history --local ...`. --local takes no lock, and cannot tell what is in use: with
--keep-days 0 it keeps the newest bucket.

With --json each line is an object. sersync-prune-history(8) lists the fields.

";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  sersync restore documents letters/offer.odt --at 'yesterday'
  sersync restore documents letters --at '2026-11-20 14:00' --to /tmp/restored
  sersync restore documents . --at '3h ago' --to /srv/old -n
  sersync restore documents letters/offer.odt --at 14:00 --in-place --force

Times are in the local zone of this host. Files come back with the content, owner, mode and time of the version that is kept.
What the history cannot tell: a change of only the mode, owner or time of something is not kept as a version, and directories
have the attributes that they have now. Which files were new is known on the host that mirrors, by its state directory; on
another one, or where that was lost, files that were new since are there as well. Neither is known of what was mirrored
while no history was kept.

With --json each line is an object. sersync-restore(8) lists the fields.

";

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  sersync history list                       the buckets of all sources on all their targets
  sersync history find documents report.txt  every old version of a file

";

pub(super) const HISTORY_LIST_EXAMPLES: &str = "\
Examples:
  sersync history list                      all sources on all their targets
  sersync history list documents --size     also how much is in each bucket

Times are in the local time of the host that mirrors; for what another host has written, set TZ to its time zone. The time
limit is `timeout` in [full-sync].

With --json each line is an object. sersync-history-list(8) lists the fields.

";

pub(super) const HISTORY_FIND_EXAMPLES: &str = "\
Examples:
  sersync history find documents report.txt  files of this name, anywhere
  sersync history find documents 2026/june   exactly this file, or all that is in this directory
  sersync history find documents '*.txt'     all names that end so
  sersync history find documents '/2026/**.txt' --json
                                             only those in one directory, for programs

Buckets are named in the local time of the host that wrote them; other times are in that of this host, or of TZ. The time
limit is `timeout` in [full-sync].

With --json each line is an object. sersync-history-find(8) lists the fields.

";

pub(super) const GEN_RSYNCD_CONF_EXAMPLES: &str = "\
Examples:
  sersync gen-rsyncd-conf                   look at what it comes to
  sersync gen-rsyncd-conf --out /etc        on the backup server, with the clients' configuration
  sersync gen-rsyncd-conf --out /etc --diff what another run would change
  sersync gen-rsyncd-conf --host nas --module backup1=/data/backup1 --hosts-allow 10.0.0.0/24 --out ./nas --installed-in /etc
                                            for another host
  RSYNCD_MOD_NAME=data RSYNCD_PATH=/data sersync gen-rsyncd-conf --from-env --out /etc

The files in --out are rsyncd.conf, rsyncd.secrets (mode 0600), logrotate.d/rsyncd, and for each user the password file of
the clients (mode 0600), under the path that it has there below /etc. They are written all or, when one of them was written
or edited by somebody else, none: the exit status is 4 then.

";

pub(super) const CHECK_KERNEL_EXAMPLES: &str = "\
Examples:
  sersync check-kernel                      all sources
  sersync check-kernel --fix                raise what is too low, now and for every start
  sersync check-kernel --sysctl >/etc/sysctl.d/60-sersync.conf && sysctl --system
                                            the same by hand
  sersync check-kernel --json               for programs

Limits for watches and queues hold for all processes of a user together: run it as the user who runs watch.

With --json each line is an object. sersync-check-kernel(8) lists the fields.

";

pub(super) const CHECK_TARGET_EXAMPLES: &str = "\
Examples:
  sersync check-target                      all hosts of all targets, and local directories
  sersync check-target backup1 --json       one target, for programs

The result of each check is ok, hint (it works, and could be better), warn (it works, but not as it should), bad or skipped.
The exit status is that of the worst: 3 for a warning, and for what is bad what a pass would end with, or 1 when that
differs.

With --json each line is an object. sersync-check-target(8) lists the fields.

";

pub(super) const GEN_SCHEDULE_EXAMPLES: &str = "\
Examples:
  sersync gen-schedule --cron               lines for `crontab -e`
  sersync gen-schedule --cron --out /etc/cron.d
                                            a file of its own there, for root
  sersync gen-schedule --systemd --out /etc/systemd/system
                                            services and timers, which are named for `systemctl enable --now`

Passes that are due once a day or less often begin between 1 and 5 o'clock. A source that is taken out of the configuration
leaves its timer behind: disable it, and remove its two files.

";

pub(super) const CONFIG_EXAMPLES: &str = "\
Examples:
  sersync config check                      name every mistake, with its line and what to do
  sersync -c new.toml config check          before it is put in place
  sersync config show --json                what the configuration comes to, for programs
  sersync config example >sersync.toml      to begin with
  sersync config import /usr/local/sersync/etc/sersync.conf >sersync.toml
                                            from the bash sersync; read the comments in it

";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  sersync completions bash >~/.local/share/bash-completion/completions/sersync
";

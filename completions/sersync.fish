# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sersync_global_optspecs
    string join \n c/config= state-dir= v/verbose q/quiet h/help V/version
end

function __fish_sersync_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sersync_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sersync_using_subcommand
    set -l cmd (__fish_sersync_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sersync -n "__fish_sersync_needs_command" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_needs_command" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_needs_command" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_needs_command" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_needs_command" -s V -l version -d 'Print version'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "full-sync" -d 'Compare sources with their mirrors once and make them equal'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "verify" -d 'Compare mirrors with their sources, content included, and list what differs'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "watch" -d 'Mirror changes as they happen'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "prune-history" -d 'Remove what is older than `keep-days` from the history'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "restore" -d 'Bring back a file or a directory as it was'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "status" -d 'Show what is mirrored, what is late and why'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "history" -d 'List the history of mirrors, or find old versions in it'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "gen-rsyncd-conf" -d 'Write what a backup server needs: rsyncd.conf, passwords, log rotation'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "check-target" -d 'Find out whether targets can be mirrored to, and how well'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "check-kernel" -d 'Find out whether this host can watch its sources'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "gen-schedule" -d 'Write crontab lines or timers of systemd for what has to run regularly'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "config" -d 'Check or show the configuration'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "completions" -d 'Print the tab completion for a shell'
complete -c sersync -n "__fish_sersync_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l from -d 'A directory to mirror without a configuration file; needs --to' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l to -d 'Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated' -r
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l password-file -d 'The file that holds the password for --to (first line; not accessible by others)' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l log-file -d 'Write all messages to this file, with the time, and only warnings and errors to standard error as well. It may be renamed or emptied at any time, as logrotate does' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l log-format -d 'What a message looks like: text, or json for one JSON object per line' -r
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l lock-wait -d 'Wait this long for another run on the same mirror to end, such as 90s, 5m, 12h [default: not at all]' -r
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l if-older-than -d 'Do nothing for mirrors whose last good pass is not older than this, such as 12h, 3d, or `every` from the configuration' -r
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l shard -d 'Compare only one of N shares of each source, so that N machines which see the same source can divide a pass' -r
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -s n -l dry-run -d 'Show what would be done, and change nothing'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l allow-empty -d 'Mirror a source that is empty, which otherwise counts as not mounted'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l force-delete -d 'Delete as much as it takes, beyond `max-delete`, and also when a source is no mount point any more that was one'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l changed -d 'Look only at what changed in the sources since the last good pass, found without asking the mirror'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l checksum -d 'Compare the content of files instead of size and time: everything is read, here and on the mirror'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l no-progress -d 'Show no progress bars, which otherwise are shown when stderr is a terminal and neither -q, -v nor --json is given'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -l json -d 'Print one JSON object per mirror'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand full-sync" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l from -d 'A directory to mirror without a configuration file; needs --to' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l to -d 'Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated' -r
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l password-file -d 'The file that holds the password for --to (first line; not accessible by others)' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l log-file -d 'Write all messages to this file, with the time, and only warnings and errors to standard error as well. It may be renamed or emptied at any time, as logrotate does' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l log-format -d 'What a message looks like: text, or json for one JSON object per line' -r
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l sample -d 'Compare only this share of the files, chosen by chance, such as 5%; at least one. What only the mirror has is not looked for then, and neither are differences of anything but files' -r
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l seed -d 'What the choice of --sample depends on: the same number chooses the same files [default: the date as YYYYMMDD, so that each day has other files; -v shows it]' -r
complete -c sersync -n "__fish_sersync_using_subcommand verify" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l allow-empty -d 'Compare a source that is empty, which otherwise counts as not mounted'
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l no-progress -d 'Show no progress bars, which otherwise are shown when stderr is a terminal and neither -q, -v nor --json is given'
complete -c sersync -n "__fish_sersync_using_subcommand verify" -l json -d 'Print one JSON object per difference and one per mirror'
complete -c sersync -n "__fish_sersync_using_subcommand verify" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand verify" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l from -d 'A directory to mirror without a configuration file; needs --to' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l to -d 'Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated' -r
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l password-file -d 'The file that holds the password for --to (first line; not accessible by others)' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l log-file -d 'Write all messages to this file, with the time, and only warnings and errors to standard error as well. It may be renamed or emptied at any time, as logrotate does' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l log-format -d 'What a message looks like: text, or json for one JSON object per line' -r
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l lock-wait -d 'Wait this long for another run on the same mirror to end, such as 90s, 5m, 12h [default: not at all]' -r
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l for -d 'End after this time, such as 90s, 5m, 12h, in which waiting for another run counts' -r
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l batches -d 'End when each mirror was sent N batches of changes. One that cannot be reached is waited for: --for bounds that' -r
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l until-idle -d 'End when nothing changed for this long and nothing is left to send, but to what cannot be reached' -r
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l drain-timeout -d 'When ending, keep sending what is pending for at most this long' -r
complete -c sersync -n "__fish_sersync_using_subcommand watch" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand watch" -s n -l dry-run -d 'Show what would be done, and change nothing'
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l allow-empty -d 'Mirror a source that is empty, which otherwise counts as not mounted'
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l no-progress -d 'Show no line for each mirror, which otherwise is shown when stderr is a terminal and neither -q, -v nor --json is given'
complete -c sersync -n "__fish_sersync_using_subcommand watch" -l json -d 'Print one JSON object for each batch of changes that was sent, with what it took'
complete -c sersync -n "__fish_sersync_using_subcommand watch" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand watch" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l from -d 'A directory to mirror without a configuration file; needs --to' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l to -d 'Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated' -r
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l password-file -d 'The file that holds the password for --to (first line; not accessible by others)' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l log-file -d 'Write all messages to this file, with the time, and only warnings and errors to standard error as well. It may be renamed or emptied at any time, as logrotate does' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l log-format -d 'What a message looks like: text, or json for one JSON object per line' -r
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l keep-days -d 'Keep so many days of history [default: `keep-days` from the configuration]. 0 keeps nothing that is not in use; a 0 in the configuration means that no history is made, and removes nothing' -r
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l local -d 'Work on this directory of this host instead, without rsync: that of a module, which has history-backup in it. Needs no configuration file, and takes SOURCE for names in history-backup. No link is followed and no other file system entered' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l max-size -d 'Remove more, the oldest first, until the history of each source takes up no more space than this, such as 500G; the newest bucket is always kept [default: `max-size` from the configuration]' -r
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l lock-wait -d 'Wait this long for another run on the same mirror to end, such as 90s, 5m, 12h [default: not at all]' -r
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -s n -l dry-run -d 'Show what would be removed and what kept, with the reasons, and change nothing'
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -l json -d 'Print one JSON object per bucket and one per mirror'
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand prune-history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand restore" -l at -d 'As it was at this time: `2026-11-20 14:00`, `14:00` of today, `2026-11-20T14:00:00+01:00`, `yesterday` (a day ago), `3h ago`, `2 days ago`, or the name of a bucket as in `2026-11-20/140000`' -r
complete -c sersync -n "__fish_sersync_using_subcommand restore" -l to -d 'Put it into this directory, under its own name' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand restore" -l target -d 'Fetch it from this target, by its name, host or directory [default: the first one that can be asked]' -r
complete -c sersync -n "__fish_sersync_using_subcommand restore" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand restore" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand restore" -l in-place -d 'Put it in the place of the original, which is kept beside it; needs --force'
complete -c sersync -n "__fish_sersync_using_subcommand restore" -l force -d 'Do so although the original is replaced'
complete -c sersync -n "__fish_sersync_using_subcommand restore" -s n -l dry-run -d 'Only show which moment it would be, how much, and where it would go'
complete -c sersync -n "__fish_sersync_using_subcommand restore" -l json -d 'Print a JSON object'
complete -c sersync -n "__fish_sersync_using_subcommand restore" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand restore" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand status" -l from -d 'A directory to mirror without a configuration file; needs --to' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand status" -l to -d 'Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated' -r
complete -c sersync -n "__fish_sersync_using_subcommand status" -l password-file -d 'The file that holds the password for --to (first line; not accessible by others)' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand status" -l max-lag -d 'A mirror that is behind for longer than this is late' -r
complete -c sersync -n "__fish_sersync_using_subcommand status" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand status" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand status" -l failing -d 'Also list the paths that fail, and why'
complete -c sersync -n "__fish_sersync_using_subcommand status" -l watch -d 'Show it again every two seconds, until `q` or Ctrl-C'
complete -c sersync -n "__fish_sersync_using_subcommand status" -l json -d 'Print one JSON object per mirror'
complete -c sersync -n "__fish_sersync_using_subcommand status" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand status" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -f -a "list" -d 'List the buckets of each mirror\'s history'
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -f -a "find" -d 'Find the versions of files that are in the history'
complete -c sersync -n "__fish_sersync_using_subcommand history; and not __fish_seen_subcommand_from list find help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -l from -d 'A directory to mirror without a configuration file; needs --to' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -l to -d 'Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated' -r
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -l password-file -d 'The file that holds the password for --to (first line; not accessible by others)' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -l size -d 'Also show how many files are in each bucket and how big they are together, for which the endpoint lists every file'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per bucket'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -l from -d 'A directory that is mirrored without a configuration file, instead of SOURCE; needs --to' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -l to -d 'Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated' -r
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -l password-file -d 'The file that holds the password for --to (first line; not accessible by others)' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -l json -d 'Print one JSON object per version'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from find" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the buckets of each mirror\'s history'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from help" -f -a "find" -d 'Find the versions of files that are in the history'
complete -c sersync -n "__fish_sersync_using_subcommand history; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l host -d 'Only for the targets that have this host, and its port; written as in `hosts`' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l out -d 'Write the files into this directory, which is /etc or takes its place, and make the modules\' directories' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l installed-in -d 'The files of --out will be in this directory, on another host: the modules\' directories are not made' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l module -d 'The directory of a module; may be repeated [default: /srv/sersync/NAME]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l hosts-allow -d 'Who may connect: addresses, networks and names; may be repeated [default: all private networks]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l max-connections -d 'How many connections each module serves at the same time [default: from its sources and their `jobs`]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l clients -d 'How many hosts mirror with this configuration, for the number of connections' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l uid -d 'Who the files on the server belong to [default: root, which keeps the owners of files]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l gid -d 'Their group [default: root]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l address -d 'The address on which the daemon listens [default: all]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l port -d 'The port [default: that of the targets\' hosts]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l log-file -d 'Where the daemon logs' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l run-dir -d 'Where the daemon\'s lock files are' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l from-env -d 'Take the variables of the bash sersync\'s container instead of a configuration: RSYNCD_USER, RSYNCD_PASSWD, RSYNCD_MOD_NAME, RSYNCD_PATH, RSYNCD_MAX_CONN and RSYNCD_HOSTS_ALLOW'
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l diff -d 'Only show what --out would change, as a patch'
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l force -d 'Also replace files that somebody else has written or edited'
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -l show -d 'Show the passwords'
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand gen-rsyncd-conf" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand check-target" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand check-target" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand check-target" -l json -d 'Print one JSON object per check'
complete -c sersync -n "__fish_sersync_using_subcommand check-target" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand check-target" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand check-target" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -l root -d 'Look at the host whose root directory this is, with its /proc, /etc and sources' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -l sysctl -d 'Print the file for /etc/sysctl.d that raises what is too low, and nothing else'
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -l fix -d 'Raise what is too low, at once and in /etc/sysctl.d/60-sersync.conf; nothing is ever lowered. For root'
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -l json -d 'Print one JSON object per check'
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand check-kernel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l user -d 'Who runs it. In a crontab this adds the field that the files of /etc/cron.d have [default there: root]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l out -d 'Write into this directory: /etc/cron.d, or /etc/systemd/system' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l program -d 'The program that is started [default: this one]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l seed -d 'What the times depend on, so that many hosts do not begin at once [default: the name of this host]' -r
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l cron -d 'Lines of a crontab'
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l systemd -d 'Services and timers of systemd'
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l diff -d 'Only show what --out would change, as a patch'
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -l force -d 'Also replace files that somebody else has written or edited'
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand gen-schedule" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -f -a "check" -d 'Say whether the configuration is valid, and what is wrong with it'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -f -a "example" -d 'Print a configuration with every key, its default and what it means'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -f -a "import" -d 'Print the configuration that another program\'s comes to'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -f -a "show" -d 'Print the validated configuration with all defaults filled in'
complete -c sersync -n "__fish_sersync_using_subcommand config; and not __fish_seen_subcommand_from check example import show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from check" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from check" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from example" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from example" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from example" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from example" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from example" -s h -l help -d 'Print help'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from import" -l format -d 'Whose it is: bash, xml or lsyncd [default: what it looks like]' -r
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from import" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from import" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from import" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from import" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from show" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from show" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'As JSON instead of TOML'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Say whether the configuration is valid, and what is wrong with it'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "example" -d 'Print a configuration with every key, its default and what it means'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "import" -d 'Print the configuration that another program\'s comes to'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print the validated configuration with all defaults filled in'
complete -c sersync -n "__fish_sersync_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sersync -n "__fish_sersync_using_subcommand completions" -s c -l config -d 'Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand completions" -l state-dir -d 'Directory for locks and what is remembered between runs [default: /var/lib/sersync for root, ~/.local/state/sersync for others]' -r -F
complete -c sersync -n "__fish_sersync_using_subcommand completions" -s v -l verbose -d 'Say more: what is done (-v), each path (-vv), each rsync command (-vvv)'
complete -c sersync -n "__fish_sersync_using_subcommand completions" -s q -l quiet -d 'Say nothing but errors'
complete -c sersync -n "__fish_sersync_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "full-sync" -d 'Compare sources with their mirrors once and make them equal'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "verify" -d 'Compare mirrors with their sources, content included, and list what differs'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "watch" -d 'Mirror changes as they happen'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "prune-history" -d 'Remove what is older than `keep-days` from the history'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "restore" -d 'Bring back a file or a directory as it was'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "status" -d 'Show what is mirrored, what is late and why'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "history" -d 'List the history of mirrors, or find old versions in it'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "gen-rsyncd-conf" -d 'Write what a backup server needs: rsyncd.conf, passwords, log rotation'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "check-target" -d 'Find out whether targets can be mirrored to, and how well'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "check-kernel" -d 'Find out whether this host can watch its sources'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "gen-schedule" -d 'Write crontab lines or timers of systemd for what has to run regularly'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "config" -d 'Check or show the configuration'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "completions" -d 'Print the tab completion for a shell'
complete -c sersync -n "__fish_sersync_using_subcommand help; and not __fish_seen_subcommand_from full-sync verify watch prune-history restore status history gen-rsyncd-conf check-target check-kernel gen-schedule config completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sersync -n "__fish_sersync_using_subcommand help; and __fish_seen_subcommand_from history" -f -a "list" -d 'List the buckets of each mirror\'s history'
complete -c sersync -n "__fish_sersync_using_subcommand help; and __fish_seen_subcommand_from history" -f -a "find" -d 'Find the versions of files that are in the history'
complete -c sersync -n "__fish_sersync_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Say whether the configuration is valid, and what is wrong with it'
complete -c sersync -n "__fish_sersync_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "example" -d 'Print a configuration with every key, its default and what it means'
complete -c sersync -n "__fish_sersync_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "import" -d 'Print the configuration that another program\'s comes to'
complete -c sersync -n "__fish_sersync_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print the validated configuration with all defaults filled in'

#!/bin/sh
# Makes the table of what storms came to, for tests/TRUST.md, from the rows that the tests wrote.
#   trust.sh ROWS MINUTES
set -eu

rows=$1
minutes=$2

cat <<END
# What storms came to

Written by \`make soak MINUTES=60\`, which replaces it. In a storm everything that can happen to a tree happens to a source at
random: files written whole, in pieces and through mappings, appended to, truncated, rewritten in the same size, renamed, also
onto others, exchanged, moved in and out, linked, copied, unnamed ones given a name; directories made, filled, renamed, removed
with all that is in them; types, modes, owners, times and extended attributes changed; names that are hard to handle or as long
as can be. \`watch\` runs all the time, now and then a \`full-sync\` beside it. A storm is good when, at every quiet moment and
at its end,

* source and mirror were equal entry by entry: type, content, mode, owner, time, target of links;
* every version of a file that had been on the mirror was on it still or in the history, and no more often than it had been
  there (a daemon that is killed may keep one twice);
* no process was left over, and the log had said what happened, but not again and again.

The last run: $(date -u +%Y-%m-%d), $minutes minutes for both event sources at the same time, sersync \
$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1), $(rsync --version | sed -n '1s/^rsync  *version \([^ ]*\).*/rsync \1/p'), Linux \
$(uname -r | sed 's/-.*//').

## Faults

Each alone, and at random during storms, one or several at the same time. How soon the mirror was equal after the end of the
fault depends on when the next attempt is made, and on what else was the matter.

| fault | times with fanotify | longest until equal | times with inotify | longest until equal | outcome |
|---|---|---|---|---|---|
END
awk -F '\t' '
    $1 == "fault" {
        if (!($2 in names)) { names[$2]; order[++number] = $2 }
        times[$2, $3]++
        if ($5 > longest[$2, $3]) longest[$2, $3] = $5
    }
    function cell(name, source) {
        return times[name, source] ? times[name, source] " | " longest[name, source] " s" : "0 | "
    }
    END {
        for (i = 1; i <= number; i++)
            print "| " order[i] " | " cell(order[i], "fanotify") " | " cell(order[i], "inotify") " | equal, nothing lost |"
    }' "$rows" | sort

cat <<END

## Storms

| storm | event source | storms | minutes | longest | changes | versions followed | failed |
|---|---|---|---|---|---|---|---|
END
awk -F '\t' '
    $1 == "storm" {
        key = $2 " | " $3
        storms[key]++
        seconds[key] += $5
        if ($5 > longest[key]) longest[key] = $5
        changes[key] += $6
        versions[key] += $7
        total += $5
        all += $6
        seen += $7
        count++
    }
    END {
        for (key in storms)
            printf "| %s | %d | %.1f | %d s | %d | %d | 0 |\n", key, storms[key], seconds[key] / 60, longest[key], changes[key], versions[key]
        printf "| together | both | %d | %.1f | | %d | %d | 0 |\n", count, total / 60, all, seen
    }' "$rows" | sort

cat <<END

## Seeds

\`SERSYNC_STORM_SEED=7 SERSYNC_STORM_SECONDS=60 cargo test --test it -- --exact storm::fanotify::TEST\` repeats a storm: the
same changes and faults in the same order, though not at the same moments.

END
awk -F '\t' '
    $1 == "storm" { key = $2 ", " $3; seeds[key] = seeds[key] " " $4 }
    END { for (key in seeds) print "* " key ":" seeds[key] }' "$rows" | sort

//! Every metric that there is, with its meaning: the manual is made of this table, and the dashboard and the alerting rules
//! in `packaging/` are checked against it.

use super::exposition::{Family, Kind};

/// The files of a mirror, by what is written into them.
pub const FILES: [(&str, &str, &[&Family]); 5] = [
    ("pass", "written at the end of every pass over the mirror, also when that failed", &PASSES),
    ("watch", "written by watch whenever something changes", &WATCH),
    ("alive", "written by watch under a service manager with a watchdog, twice in its time", &[&ALIVE]),
    ("history", "written by prune-history", &HISTORY),
    ("pass", "with legacy-names = true: what the bash sersync called them; the label dirname is the source", &LEGACY),
];

macro_rules! families {
    ($all:ident: $($constant:ident, $name:literal, $kind:ident, $help:literal;)*) => {
        $(#[doc = $help] pub static $constant: Family = Family { name: $name, kind: Kind::$kind, help: $help };)*
        /// Those of one file, in its order.
        pub static $all: [&Family; [$($name),*].len()] = [$(&$constant),*];
    };
}

families! { PASSES:
    LAST_SUCCESS, "sersync_last_success_timestamp_seconds", Gauge,
        "When the last pass ended that did all it was to do; 0 when none ever did.";
    LAST_RUN, "sersync_last_run_timestamp_seconds", Gauge, "When the last pass ended, well or not.";
    LAST_RUN_DURATION, "sersync_last_run_duration_seconds", Gauge, "How long the last pass took.";
    LAST_RUN_EXIT_CODE, "sersync_last_run_exit_code", Gauge, "The exit code of the last pass for this mirror alone.";
    LAST_RUN_FILES, "sersync_last_run_files", Gauge, "Entries that the last pass created or updated.";
    LAST_RUN_DELETED, "sersync_last_run_deleted_files", Gauge, "Entries that the last pass deleted.";
    LAST_RUN_BYTES, "sersync_last_run_bytes", Gauge, "The size of the files that the last pass sent.";
    LAST_RUN_SENT, "sersync_last_run_sent_bytes", Gauge, "What the last pass sent over the wire.";
    LAST_RUN_ERRORS, "sersync_last_run_errors", Gauge,
        "Paths that failed in the last pass; 1 when it failed as a whole.";
    LAST_RUN_RSYNC_RUNS, "sersync_last_run_rsync_runs", Gauge, "Rsync processes of the last pass.";
}

families! { WATCH:
    STATE, "sersync_watch_state", Gauge, "1 for what the watch is doing, 0 for every other state.";
    STATE_SINCE, "sersync_watch_state_timestamp_seconds", Gauge, "Since when the watch has been doing that.";
    BEHIND_SINCE, "sersync_behind_since_timestamp_seconds", Gauge,
        "Everything that changed before this has arrived, and something that changed since has not; 0 when all has.";
    PENDING, "sersync_pending_paths", Gauge, "Paths that are still to be sent.";
    FAILING, "sersync_failing_paths", Gauge, "Paths that cannot be sent.";
    WATCHES, "sersync_inotify_watches", Gauge, "Directories of the source that have an inotify watch; 0 with fanotify.";
    BATCHES, "sersync_watch_batches_total", Counter, "Batches of changes that were sent since the watch began.";
    FILES_SENT, "sersync_watch_files_total", Counter, "Entries that were created or updated since the watch began.";
    DELETED, "sersync_watch_deleted_files_total", Counter, "Entries that were deleted since the watch began.";
    BYTES, "sersync_watch_bytes_total", Counter, "The size of the files that were sent since the watch began.";
    SENT, "sersync_watch_sent_bytes_total", Counter, "What went over the wire since the watch began.";
    RSYNC_RUNS, "sersync_watch_rsync_runs_total", Counter, "Rsync processes since the watch began.";
    ERRORS, "sersync_watch_errors_total", Counter,
        "Attempts that failed as a whole, and paths that failed in others, since the watch began.";
    RETRIES, "sersync_watch_retries_total", Counter, "Further attempts at what had failed, since the watch began.";
    OVERFLOWS, "sersync_watch_overflows_total", Counter,
        "How often the queue of the kernel was too short for all changes, since the watch began.";
    LAST_BATCH, "sersync_last_batch_timestamp_seconds", Gauge, "When the last batch was sent; 0 before the first one.";
    LAST_BATCH_DURATION, "sersync_last_batch_duration_seconds", Gauge, "How long the last batch took.";
    UNWRITTEN, "sersync_metrics_write_errors_total", Counter,
        "How often files such as this one could not be written since the watch began.";
}

/// That a watch is alive.
pub static ALIVE: Family = Family {
    name: "sersync_watch_alive_timestamp_seconds",
    kind: Kind::Gauge,
    help: "When the watch told the service manager last that it is alive; 0 after an orderly end.",
};

families! { HISTORY:
    LAST_PRUNE, "sersync_last_prune_timestamp_seconds", Gauge, "When the history was pruned last, well or not.";
    LAST_PRUNE_EXIT_CODE, "sersync_last_prune_exit_code", Gauge, "The exit code of that for this history alone.";
    BUCKETS, "sersync_history_buckets", Gauge, "Buckets that are in the history.";
    HISTORY_BYTES, "sersync_history_bytes", Gauge, "What the history takes up, where `max-size` makes that known.";
    HISTORY_LIMIT, "sersync_history_limit_bytes", Gauge, "What it may take up: `max-size`.";
    HISTORY_FREE, "sersync_history_free_bytes", Gauge,
        "What is free on the file system of the history; known on the backup server itself.";
    HISTORY_DISK, "sersync_history_disk_bytes", Gauge, "How big that file system is.";
}

families! { LEGACY:
    LEGACY_STATUS, "rsync_status", Gauge, "0 when the last pass went well, else 1.";
    LEGACY_FILES, "rsync_total_files_sum", Gauge, "Files that the last pass sent.";
    LEGACY_SIZE, "rsync_total_size_mb", Gauge, "Their size in MiB.";
    LEGACY_START, "rsync_start_time", Gauge, "When the last pass began, in seconds since 1970.";
    LEGACY_DURATION, "rsync_duration_time_sec", Gauge, "How many seconds it took.";
}

/// The states of [`STATE`], as its label has them.
pub const STATES: [&str; 6] = ["live", "degraded", "catching-up", "backing-off", "refused", "ended"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_conventions() {
        let all: Vec<&Family> = FILES.iter().flat_map(|(_, _, families)| families.iter().copied()).collect();
        let names: BTreeSet<&str> = all.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), all.len());
        for family in all {
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert!(family.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}", family.name);
        }
    }
}

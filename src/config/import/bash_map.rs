//! What `sersync.conf` of the bash sersync comes to, in both of its generations. Pure.

mod mirrors;
mod running;
mod settings;

use self::mirrors::mirrors;
use self::running::{connection, passes, programs, real_time};
use self::settings::Settings;
use super::Importer;
use super::bash::{self, Script, Skipped};
use super::draft::Draft;

pub(super) const IMPORTER: Importer = Importer {
    word: "bash",
    looks_like: |_| false,
    mirror: "`listen_dir` with a module in `rsyncd_mod` and an address in `rsyncd_ip`",
    draft: |text| Ok(map(&bash::parse(text))),
};

fn map(script: &Script) -> Draft {
    let mut draft = Draft::default();
    let mut settings = Settings::new(script);
    draft.head.push(
        "The bash sersync kept neither owners nor groups (rsync -rlptD); they are kept here where the daemon runs as root. To \
         leave them out as before, set extra-args = [\"--no-owner\", \"--no-group\"] in [rsync]."
            .to_owned(),
    );
    mirrors(&mut settings, &mut draft);
    if !draft.is_empty() {
        connection(&mut settings, &mut draft);
        passes(&mut settings, &mut draft);
        real_time(&mut settings, &mut draft);
        programs(&mut settings, &mut draft);
        for name in ["work_dir", "logs_dir"] {
            settings.explain(
                name,
                "not needed: the log goes to stderr and so to the journal, and state to /var/lib/sersync (--state-dir)",
                &mut draft.rsync,
            );
        }
    }
    for skipped in &script.skipped {
        say_skipped(&mut draft, skipped);
    }
    for (line, text) in &script.replaced {
        draft.say(&format!("Line {line}: {text}: another value replaces it further down"));
    }
    settings.leftovers(&mut draft);
    draft
}

/// Keeps what bash alone could have made something of, line by line.
fn say_skipped(draft: &mut Draft, Skipped { line, last, text, inside }: &Skipped) {
    if line == last {
        draft.say(&format!("Line {line} is not a literal assignment, and was not executed: {text}"));
    } else {
        draft.say(&format!("Lines {line} to {last} are one command, or are not reached; none was executed: {text}"));
    }
    for (at, text) in inside {
        draft.say(&format!("Line {at} is a part of that, and is not taken over: {text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::import;
    use crate::config::parse;

    const BASIS: &str = "listen_dir=('a=/data/a')\nrsyncd_mod=('m=/data/a')\nrsyncd_ip=('m=10.0.0.1:8730,10.0.0.2')\n";

    #[test]
    fn ports_schedules_and_jobs_of_the_later_generation() {
        let text = format!(
            "{BASIS}cron_exp=\"05 23 * * *\"\nparallel_rsync_enable=1\nparallel_rsync_num=6\ntextfile_collector_dir=/var/prom\n\
             real_time_sync_parallel_num=10\nreal_time_rsync_timeout=180\nrsync_bwlimit=10M\n"
        );
        let written = import(&text, "f", "bash".parse().unwrap()).unwrap();
        let settings = parse(&written, "w").unwrap();
        assert_eq!(settings.full_sync.every.as_secs(), 24 * 3600);
        assert_eq!(settings.rsync.jobs, crate::config::settings::Jobs::Fixed(6));
        assert_eq!(settings.metrics.textfile_dir.unwrap(), std::path::Path::new("/var/prom"));
        assert!(written.contains("hosts = [\"10.0.0.1:8730\", \"10.0.0.2\"]"), "{written}");
    }

    #[test]
    fn what_cannot_be_mirrored_is_an_error_or_a_comment() {
        assert!(
            import("listen_dir=('a=/data/a')\n", "f", "bash".parse().unwrap())
                .unwrap_err()
                .to_string()
                .contains("nothing to mirror")
        );
        let more = BASIS.replace("'a=/data/a'", "'a=/data/a' 'b=/data/b' 'c d=/data/a'");
        let written = import(&more, "f", "bash".parse().unwrap()).unwrap();
        assert!(written.contains("listen_dir: b=/data/b: no module"), "{written}");
        assert!(written.contains("listen_dir: c d=/data/a: left out: another source has this directory"), "{written}");
        let nested =
            BASIS.replace("'a=/data/a'", "'a=/data/a' 'b=/data/a/b'").replace("m=/data/a'", "m=/data/a,/data/a/b'");
        let error = import(&nested, "f", "bash".parse().unwrap()).unwrap_err().to_string();
        assert!(
            error.starts_with("f: what it says cannot be done here: /data/a/b is inside the source `a`"),
            "{error}"
        );
    }
}

//! What `sersync.conf` of the bash sersync comes to, in both of its generations. Pure.

mod mirrors;
mod running;
mod settings;

use self::mirrors::mirrors;
use self::running::{connection, passes, programs, real_time};
use self::settings::Settings;
use super::bash::{Script, Skipped};
use super::draft::Draft;

/// So many commands that were not executed are quoted, and so many lines of each.
const MOST: usize = 100;

pub(super) fn map(script: &Script) -> Draft {
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
    for skipped in script.skipped.iter().take(MOST) {
        say_skipped(&mut draft, skipped);
    }
    if let Some(next) = script.skipped.get(MOST) {
        draft.say(&format!("What follows from line {} on is not quoted: there are too many commands.", next.line));
    }
    for (line, text) in script.replaced.iter().take(MOST) {
        draft.say(&format!("Line {line}: {}: another value replaces it further down", cut(text)));
    }
    if let Some((line, _)) = script.replaced.get(MOST) {
        draft.say(&format!("Values that are replaced are not quoted from line {line} on: there are too many."));
    }
    settings.leftovers(&mut draft);
    draft
}

/// Keeps what bash alone could have made something of.
fn say_skipped(draft: &mut Draft, Skipped { line, last, text, inside }: &Skipped) {
    if line == last {
        draft.say(&format!("Line {line} is not a literal assignment, and was not executed: {}", cut(text)));
    } else {
        draft.say(&format!("Lines {line} to {last} are one command, which was not executed: {} ...", cut(text)));
    }
    for (at, text) in inside.iter().take(MOST) {
        draft.say(&format!("Line {at} is a part of the command of line {line}, and is not taken over: {}", cut(text)));
    }
    if let Some((next, _)) = inside.get(MOST) {
        draft.say(&format!("What follows from line {next} to line {last} is not quoted: there is too much."));
    }
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Format, import};
    use crate::config::parse;

    const BASIS: &str = "listen_dir=('a=/data/a')\nrsyncd_mod=('m=/data/a')\nrsyncd_ip=('m=10.0.0.1:8730,10.0.0.2')\n";

    #[test]
    fn ports_schedules_and_jobs_of_the_later_generation() {
        let text = format!(
            "{BASIS}cron_exp=\"05 23 * * *\"\nparallel_rsync_enable=1\nparallel_rsync_num=6\ntextfile_collector_dir=/var/prom\n\
             real_time_sync_parallel_num=10\nreal_time_rsync_timeout=180\nrsync_bwlimit=10M\n"
        );
        let written = import(&text, "f", Format::Bash).unwrap();
        let settings = parse(&written, "w").unwrap();
        assert_eq!(settings.full_sync.every.as_secs(), 24 * 3600);
        assert_eq!(settings.rsync.jobs, crate::config::settings::Jobs::Fixed(6));
        assert_eq!(settings.metrics.textfile_dir.unwrap(), std::path::Path::new("/var/prom"));
        assert!(written.contains("hosts = [\"10.0.0.1:8730\", \"10.0.0.2\"]"), "{written}");
    }

    #[test]
    fn what_cannot_be_mirrored_is_an_error_or_a_comment() {
        assert!(
            import("listen_dir=('a=/data/a')\n", "f", Format::Bash)
                .unwrap_err()
                .to_string()
                .contains("nothing to mirror")
        );
        let more = BASIS.replace("'a=/data/a'", "'a=/data/a' 'b=/data/b' 'c d=/data/a'");
        let written = import(&more, "f", Format::Bash).unwrap();
        assert!(written.contains("listen_dir: b=/data/b: no module"), "{written}");
        assert!(written.contains("listen_dir: c d=/data/a: left out: another source has this directory"), "{written}");
        let nested =
            BASIS.replace("'a=/data/a'", "'a=/data/a' 'b=/data/a/b'").replace("m=/data/a'", "m=/data/a,/data/a/b'");
        let error = import(&nested, "f", Format::Bash).unwrap_err().to_string();
        assert!(
            error.starts_with("f: what it says cannot be done here: /data/a/b is inside the source `a`"),
            "{error}"
        );
    }
}

//! Services and timers of systemd. Pure.

use super::cron::every;
use super::{Job, Tick, When};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A service and a timer for each job.
#[must_use]
pub fn units(jobs: &[Job], program: &[String], user: Option<&str>) -> Vec<Unit> {
    jobs.iter().flat_map(|job| [service(job, program, user), timer(job)]).collect()
}

fn service(job: &Job, program: &[String], user: Option<&str>) -> Unit {
    let words: Vec<String> = program.iter().chain(&job.arguments).map(|word| quoted(word)).collect();
    let user = user.map(|user| format!("User={user}\n")).unwrap_or_default();
    let text = format!(
        "[Unit]\n\
         Description={description} (sersync)\n\
         Documentation=man:{page} man:sersync.toml(5)\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         {user}ExecStart={words}\n\
         StateDirectory=sersync\n\
         StateDirectoryMode=0700\n\
         # It ends by itself before that, by `timeout` in [full-sync].\n\
         TimeoutStartSec={limit}\n\
         Nice=10\n\
         IOSchedulingClass=best-effort\n\
         IOSchedulingPriority=7\n",
        description = job.description.replace('%', "%%"),
        page = job.page,
        words = words.join(" "),
        limit = job.limit.as_secs(),
    );
    Unit { name: format!("{}.service", unit_name(&job.name)), text }
}

fn timer(job: &Job) -> Unit {
    let text = format!(
        "[Unit]\n\
         Description={} (timer)\n\
         \n\
         [Timer]\n\
         OnCalendar={}\n\
         # What was missed while the host was off is done when it is on again.\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
        job.description.replace('%', "%%"),
        calendar(job.when)
    );
    Unit { name: format!("{}.timer", unit_name(&job.name)), text }
}

/// As `systemd-analyze calendar` reads it.
fn calendar(When { tick, offset }: When) -> String {
    let (minute, hour) = (offset % 60, offset / 60);
    match tick {
        Tick::Minutes(step) => format!("*-*-* *:{}:00", every(offset % step, step, 60)),
        Tick::Hours(step) => format!("*-*-* {}:{minute:02}:00", every(hour % step, step, 24)),
        Tick::Day => format!("*-*-* {:02}:{minute:02}:00", hour % 24),
        Tick::Week => format!("Sun *-*-* {:02}:{minute:02}:00", hour % 24),
    }
}

/// The name of a unit: what cannot stand in it is written as systemd-escape(1) does.
fn unit_name(name: &str) -> String {
    let escaped = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    });
    let name = format!("sersync-{}", escaped.collect::<String>());
    // A file has at most 255 bytes for its name, with the suffix.
    if name.len() <= 240 { name } else { format!("{}-{:016x}", &name[..200], crate::hash::fnv1a(name.as_bytes())) }
}

/// A word of a command line (systemd.service(5)).
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:@,+".contains(c);
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if !word.is_empty() && word.chars().all(|c| plain(c) || c == '%') { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendars_of_every_tick() {
        let of = |tick, offset| calendar(When { tick, offset });
        assert_eq!(of(Tick::Day, 67), "*-*-* 01:07:00");
        assert_eq!(of(Tick::Week, 365), "Sun *-*-* 06:05:00");
        assert_eq!(of(Tick::Hours(12), 135), "*-*-* 2,14:15:00");
        assert_eq!(of(Tick::Minutes(30), 3), "*-*-* *:3,33:00");
        assert_eq!(of(Tick::Minutes(1), 0), "*-*-* *:*:00");
    }

    #[test]
    fn names_and_words_are_those_of_systemd() {
        assert_eq!(unit_name("full-sync-a.b_1"), "sersync-full-sync-a.b_1");
        assert_eq!(unit_name("x+é"), "sersync-x\\x2b\\xc3\\xa9");
        assert!(unit_name(&"文".repeat(33)).len() <= 240);
        assert_eq!([quoted("5%"), quoted("/a b"), quoted("a\"$x")], ["5%%", "\"/a b\"", "\"a\\\"$$x\""]);
    }
}

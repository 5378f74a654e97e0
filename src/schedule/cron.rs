//! Lines of a crontab. Pure.

use std::fmt::Write as _;

use super::{Job, Tick, When};
use crate::report::shell;

/// The lines, with a comment above each. `user` stands in every line, as in the files of /etc/cron.d.
#[must_use]
pub fn crontab(jobs: &[Job], program: &[String], user: Option<&str>) -> String {
    let mut text = String::from("# What is printed is mailed by cron; when all went well, nothing is.\n");
    for job in jobs {
        let words = program.iter().chain(&job.arguments).map(|word| quoted(word));
        let words: Vec<String> = words.collect();
        let user = user.map(|user| format!("{user} ")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n# {}.\n{} {user}{}", job.description, fields(job.when), words.join(" "));
    }
    text
}

/// The five fields.
fn fields(When { tick, offset }: When) -> String {
    let (minute, hour) = (offset % 60, offset / 60);
    match tick {
        Tick::Minutes(step) => format!("{} * * * *", every(offset % step, step, 60)),
        Tick::Hours(step) => format!("{minute} {} * * *", every(hour % step, step, 24)),
        Tick::Day => format!("{minute} {} * * *", hour % 24),
        Tick::Week => format!("{minute} {} * * 0", hour % 24),
    }
}

/// `2,8,14,20`; a star where it is all of them.
pub(super) fn every(first: u32, step: u32, end: u32) -> String {
    if step <= 1 {
        return "*".to_owned();
    }
    let all: Vec<String> = (first..end).step_by(step as usize).map(|number| number.to_string()).collect();
    all.join(",")
}

/// A word as the shell that cron starts reads it. cron itself takes a percent sign for the end of the line.
fn quoted(word: &str) -> String {
    shell::word(word.as_bytes()).replace('%', "\\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_tick() {
        let of = |tick, offset| fields(When { tick, offset });
        assert_eq!(of(Tick::Day, 67), "7 1 * * *");
        assert_eq!(of(Tick::Week, 365), "5 6 * * 0");
        assert_eq!(of(Tick::Hours(6), 135), "15 2,8,14,20 * * *");
        assert_eq!(of(Tick::Hours(1), 15), "15 * * * *");
        assert_eq!(of(Tick::Minutes(20), 3), "3,23,43 * * * *");
        assert_eq!(of(Tick::Minutes(1), 0), "* * * * *");
    }

    #[test]
    fn words_are_one_word_to_the_shell_and_percent_signs_are_kept_from_cron() {
        assert_eq!(quoted("5%"), "5\\%");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
        assert_eq!([quoted("$x"), quoted(""), quoted("a;b")], ["'$x'", "''", "'a;b'"]);
    }
}

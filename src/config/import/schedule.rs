//! How often a crontab line runs. Pure.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The longest time between two runs of the five fields of a crontab line; nothing where it is not regular.
pub(super) fn period(fields: &str) -> Option<Duration> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else { return None };
    let seconds = match (times(minute, 60)?, times(hour, 24)?, day, month, weekday) {
        (minutes, 24, "*", "*", "*") => HOUR / minutes,
        (1, hours, "*", "*", "*") => DAY / hours,
        (1, 1, "*", "*", weekday) => DAY * 7 / list(weekday)?,
        _ => return None,
    };
    Some(Duration::from_secs(seconds.max(MINUTE)))
}

/// How often a field comes true, where that is at equal distances.
fn times(field: &str, all: u64) -> Option<u64> {
    if field == "*" {
        return Some(all);
    }
    match field.strip_prefix("*/") {
        Some(step) => {
            step.parse().ok().filter(|step| *step > 0 && all.is_multiple_of(*step)).map(|step: u64| all / step)
        }
        None => list(field),
    }
}

/// How many numbers are in `3` or `3,15`.
fn list(field: &str) -> Option<u64> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    field.split(',').all(is_number).then(|| field.split(',').count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_lines_have_a_period_and_others_have_none() {
        let hours = |fields: &str| period(fields).map(|period| period.as_secs() / 60);
        assert_eq!(hours("05 23 * * *"), Some(24 * 60));
        assert_eq!(hours("0 */6 * * *"), Some(6 * 60));
        assert_eq!(hours("*/15 * * * *"), Some(15));
        assert_eq!(hours("0 3,15 * * *"), Some(12 * 60));
        assert_eq!(hours("0 3 * * 0"), Some(7 * 24 * 60));
        for fields in ["", "* * * *", "0 3 1 * *", "0-9 3 * * *", "*/7 * * * *", "*/0 * * * *", "a b * * *"] {
            assert_eq!(period(fields), None, "{fields}");
        }
    }
}

//! How often a crontab line runs. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The time between two runs of the five fields of a crontab line; nothing where it is not always the same, or where they
/// are none.
pub(super) fn period(fields: &str) -> Option<Duration> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else { return None };
    let seconds = match (times(minute, 60)?, times(hour, 24)?, day, month, weekday) {
        (minutes, 24, "*", "*", "*") => HOUR / minutes,
        (1, hours, "*", "*", "*") => DAY / hours,
        // Sunday is 0 and 7.
        (1, 1, "*", "*", weekday) => DAY * 7 / list(&weekday.replace('7', "0"), 7)?,
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
        None => list(field, all),
    }
}

/// How many numbers below `all` are in `3` or `3,15`, where they are at equal distances.
fn list(field: &str, all: u64) -> Option<u64> {
    let number = |part: &str| {
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|number| plain && *number < all)
    };
    let numbers: BTreeSet<u64> = field.split(',').map(number).collect::<Option<_>>()?;
    let next = numbers.iter().cycle().skip(1);
    let distances = numbers.iter().zip(next).map(|(at, next)| if next > at { next - at } else { next + all - at });
    let distances: BTreeSet<u64> = distances.collect();
    (distances.len() == 1).then_some(numbers.len() as u64)
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
        assert_eq!(hours("0 3 * * 7"), Some(7 * 24 * 60));
        assert_eq!(hours("5,35 * * * *"), Some(30));
        for fields in ["", "* * * *", "0 3 1 * *", "0-9 3 * * *", "*/7 * * * *", "*/0 * * * *", "a b * * *"] {
            assert_eq!(period(fields), None, "{fields}");
        }
        // No times of a day, or not at equal distances.
        for fields in [
            "61 * * * *",
            "0 24 * * *",
            "0 3 * * 8",
            "0 3 * * 1,4",
            "0 3,4 * * *",
            "0,5 * * * *",
            "99999999999999999999 * * * *",
        ] {
            assert_eq!(period(fields), None, "{fields}");
        }
    }
}

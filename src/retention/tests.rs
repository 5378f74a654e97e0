use super::names::day_of;
use super::*;
use chrono::{FixedOffset, Utc};
use proptest::prelude::*;

const NOW: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).unwrap()
}

fn at(seconds_ago: i64) -> NaiveDateTime {
    (now() - TimeDelta::seconds(seconds_ago)).naive_utc()
}

fn policy(keep_days: u32) -> Policy {
    Policy { keep_days, resolution: Duration::from_secs(60), in_use: false }
}

fn found(names: &[(&str, bool)]) -> Vec<Found> {
    names.iter().map(|(path, directory)| Found { path: path.into(), directory: *directory }).collect()
}

/// Buckets of the last hundred days, and sometimes a day without any.
fn any_history() -> impl Strategy<Value = Vec<Found>> {
    let bucket = (0..100 * 24 * HOUR, 0u32..3).prop_map(|(ago, number)| Bucket { start: at(ago), number }.to_string());
    let name = "[a-z0-9 ]{1,6}|20[0-9]{2}-1[0-2]-[0-3][0-9]|[0-9]{6}(-[0-9]{1,2})?";
    let other = (0..100 * 24 * HOUR, name).prop_map(|(ago, name)| format!("{}/{name}", at(ago).format("%Y-%m-%d")));
    let path = prop_oneof![4 => bucket, 1 => other, 1 => name];
    prop::collection::vec((path, prop::bool::weighted(0.9)), 0..30).prop_map(|entries| {
        let mut found: Vec<Found> = Vec::new();
        for (path, directory) in entries {
            if let Some((day, _)) = path.split_once('/') {
                found.push(Found { path: day.into(), directory: true });
            }
            found.push(Found { path: path.into(), directory });
        }
        found
    })
}

proptest! {
    #[test]
    fn every_expired_unit_goes_and_nothing_else(found in any_history(), keep_days in 0u32..120) {
        let Ok(plan) = plan(&found, policy(keep_days), &now()) else { return Ok(()) };
        for (unit, verdict) in &plan.decisions {
            let limit = now().naive_utc() - TimeDelta::days(keep_days.into());
            let expired = match unit {
                Unit::Bucket(bucket) => bucket.start + TimeDelta::seconds(60) <= limit,
                Unit::Day(day) => day.and_time(NaiveTime::MIN) + TimeDelta::days(1) <= limit,
            };
            prop_assert_eq!(verdict.frees(), expired, "{} {}", unit, verdict);
            // Only what was listed as a directory, in the one spelling.
            let path = PathBuf::from(unit.to_string());
            prop_assert!(found.iter().filter(|entry| entry.path == path).all(|entry| entry.directory));
            prop_assert!(found.iter().any(|entry| entry.path == path));
        }
        for entry in &found {
            let text = entry.path.to_str().unwrap();
            let is_bucket = entry.directory && text.parse::<Bucket>().is_ok();
            let is_day = entry.directory && day_of(text).is_some();
            let of_a_day = plan.decisions.iter().any(|(unit, _)| text.starts_with(&format!("{unit}/")));
            let twice = found.iter().any(|other| other.path == entry.path && !other.directory);
            let known = (is_bucket || is_day) && !twice || of_a_day;
            prop_assert!(known != plan.foreign.contains(&entry.path), "{}", text);
        }
    }

    #[test]
    fn what_is_left_alone_once_is_so_for_ever(found in any_history(), keep_days in 0u32..120) {
        let Ok(first) = plan(&found, policy(keep_days), &now()) else { return Ok(()) };
        let gone: Vec<String> = first.removed().map(|unit| unit.to_string()).collect();
        let days: Vec<String> =
            first.days().into_iter().filter(|(_, emptied)| *emptied).map(|(day, _)| Unit::Day(day).to_string()).collect();
        let left = found.into_iter().filter(|entry| {
            let text = entry.path.to_str().unwrap();
            !gone.iter().any(|unit| unit == text || text.starts_with(&format!("{unit}/"))) && !days.contains(&text.to_owned())
        });
        let left: Vec<Found> = left.collect();
        let second = plan(&left, policy(keep_days), &now()).unwrap();
        prop_assert_eq!(&second.foreign, &first.foreign);
        prop_assert_eq!(second.removed().count(), 0);
    }

    #[test]
    fn the_longer_it_is_kept_the_less_goes(found in any_history(), fewer in 0u32..60, more in 0u32..60) {
        let freed = |plan: Plan| plan.decisions.into_iter().filter(|(_, verdict)| verdict.frees()).map(|(unit, _)| unit);
        let removed = |days| plan(&found, policy(days), &now()).map(|plan| freed(plan).collect::<BTreeSet<_>>());
        let (Ok(many), Ok(few)) = (removed(fewer), removed(fewer + more)) else { return Ok(()) };
        prop_assert!(few.is_subset(&many));
    }

    #[test]
    fn a_day_is_emptied_when_nothing_is_left_in_it(found in any_history(), keep_days in 0u32..120) {
        let Ok(plan) = plan(&found, policy(keep_days), &now()) else { return Ok(()) };
        let removed: BTreeSet<String> = plan.removed().map(|unit| unit.to_string()).collect();
        for (day, emptied) in plan.days() {
            let name = Unit::Day(day).to_string();
            let below = |entry: &&Found| entry.path.to_str().unwrap().starts_with(&format!("{name}/"));
            let left = found.iter().filter(below).filter(|entry| !removed.contains(entry.path.to_str().unwrap()));
            prop_assert_eq!(emptied, removed.contains(&name) || left.count() == 0, "{}", name);
        }
    }

    #[test]
    fn the_oldest_go_until_the_rest_is_small_enough(found in any_history(), most in 0u64..40, days in 1u32..120) {
        let Ok(before) = plan(&found, policy(days), &now()) else { return Ok(()) };
        let mut after = before.clone();
        after.limit(most, |_| 2);
        let freed = |plan: &Plan| plan.decisions.clone().into_iter().filter(|(_, verdict)| verdict.frees());
        let removed = |plan: &Plan| freed(plan).map(|(unit, _)| unit).collect::<Vec<_>>();
        // Always from the oldest on, and never the newest for its size.
        let (gone, units) = (removed(&after), after.decisions.iter().map(|(unit, _)| *unit).collect::<Vec<_>>());
        prop_assert!(removed(&before).iter().all(|unit| gone.contains(unit)));
        let kept = units.len() - gone.len();
        prop_assert!(kept as u64 * 2 <= most || kept <= 1);
        if gone.len() > removed(&before).len() {
            prop_assert!((kept + 1) as u64 * 2 > most, "no more than needed");
            prop_assert!(!gone.contains(units.last().unwrap()));
        }
    }

    #[test]
    fn no_name_makes_it_panic(paths in prop::collection::vec(("\\PC{0,20}", any::<bool>()), 0..10), days: u32) {
        let found: Vec<Found> =
            paths.into_iter().map(|(path, directory)| Found { path: path.into(), directory }).collect();
        let _ = plan(&found, policy(days % 36_501), &now());
    }
}

#[test]
fn only_exact_names_of_directories_are_ours() {
    let old = "2020-01-02";
    let names = [
        (old, true),
        ("2020-01-02/100000", true),
        ("2020-01-02/110000", false),
        ("2020-01-02/120000-01", true),
        ("2020-01-02/notes", true),
        ("2020-01-03", false),
        ("2020-1-4", true),
        ("2020-13-01", true),
        ("lost+found", true),
        // A day that is listed below something that is no directory.
        ("2020-01-03/100000", true),
        ("2020-01-05", true),
        ("2020-01-05/etc/passwd", false),
    ];
    let plan = plan(&found(&names), policy(7), &now()).unwrap();
    let removed: Vec<String> = plan.removed().map(|unit| unit.to_string()).collect();
    // The name of a bucket, even if it is none, tells that the other names of that day are no original's.
    assert_eq!(removed, ["2020-01-02/100000", "2020-01-05"]);
    let foreign: Vec<&str> = plan.foreign.iter().map(|path| path.to_str().unwrap()).collect();
    let expected = [
        "2020-01-02/110000",
        "2020-01-02/120000-01",
        "2020-01-02/notes",
        "2020-01-03",
        "2020-01-03/100000",
        "2020-1-4",
        "2020-13-01",
        "lost+found",
    ];
    assert_eq!(foreign, expected);
    let days: Vec<bool> = plan.days().into_values().collect();
    assert_eq!(days, [false, true]);
}

#[test]
fn a_clock_that_is_behind_decides_nothing() {
    let ahead = Bucket { start: at(-2 * 24 * HOUR - 5), number: 0 }.to_string();
    let names = [(&ahead[..10], true), (ahead.as_str(), true), ("2020-01-02", true), ("2020-01-02/100000", true)];
    let error = plan(&found(&names), policy(7), &now()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("the clock is 2 days behind `{ahead}`")), "{error}");
    // A day without buckets counts from its beginning.
    let tomorrow = at(-24 * HOUR).format("%Y-%m-%d").to_string();
    assert!(plan(&found(&[(&tomorrow, true)]), policy(7), &now()).is_err());
}

#[test]
fn the_bucket_that_a_watch_may_be_using_stays() {
    let names = [("2020-01-02", true), ("2020-01-02/100000", true), ("2020-01-02/110000", true)];
    let in_use = Policy { in_use: true, ..policy(0) };
    let verdicts = |policy| plan(&found(&names), policy, &now()).unwrap().decisions;
    assert_eq!(verdicts(policy(0)).iter().filter(|(_, verdict)| verdict.removes()).count(), 2);
    assert_eq!(verdicts(in_use)[1].1, Verdict::InUse);
    assert!(verdicts(in_use)[0].1.removes());
}

#[test]
fn names_are_read_in_the_time_zone_of_the_clock() {
    let zone = FixedOffset::east_opt(8 * 3600).unwrap();
    let local = now().with_timezone(&zone);
    let name = Bucket { start: local.naive_local(), number: 0 }.to_string();
    let names = [(&name[..10], true), (name.as_str(), true)];
    assert!(plan(&found(&names), policy(7), &local).is_ok());
    assert!(plan(&found(&names), policy(7), &now()).is_err(), "eight hours ahead elsewhere");
}

//! The guards that stand before every deletion: a source root that may not be what it seems is not mirrored.

use std::fs;
use std::io;

use crate::bucket::HISTORY_DIR;
use crate::config::settings::{MaxDelete, Source};
use crate::exclude::Is;
use crate::exit::{Exit, Failure};
use crate::mirror::{Endpoint, Mirror};
use crate::mounted::is_mounted;
use crate::mountinfo;
use crate::report::text;

/// What the operator vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptySource {
    /// An empty source is taken for an unmounted one.
    Refused,
    /// `--allow-empty`: the source is empty on purpose, and so shall be the mirror.
    Allowed,
}

impl EmptySource {
    /// As `--allow-empty` has it.
    #[must_use]
    pub fn of(allow_empty: bool) -> EmptySource {
        if allow_empty { EmptySource::Allowed } else { EmptySource::Refused }
    }
}

/// Checks that a local mirror does not lie inside its own source, nor the source inside the mirror or its history, whatever
/// symbolic links lead there. The configuration was checked for that as well, but only by the names.
///
/// # Errors
/// [`Exit::Refused`] with both places.
pub fn check_apart(mirror: &Mirror) -> Result<(), Failure> {
    let Endpoint::Directory(root) = &mirror.endpoint else { return Ok(()) };
    // What is missing is refused elsewhere.
    let (Ok(source), Ok(root)) = (mirror.source.path.canonicalize(), root.canonicalize()) else { return Ok(()) };
    let refused = |why: &str| Failure::new(Exit::Refused, format!("{mirror}: {why}; choose another place"));
    if root.components().any(|component| component.as_os_str() == HISTORY_DIR) {
        return Err(refused("the target lies in the history of other mirrors, which would be deleted"));
    }
    let places = [root.join(&mirror.source.name), root.join(HISTORY_DIR)];
    if places.iter().any(|place| source.starts_with(place.canonicalize().as_ref().unwrap_or(place))) {
        return Err(refused("the source lies inside its own mirror or history"));
    }
    for place in places {
        let place = place.canonicalize().unwrap_or(place);
        if let Ok(inside) = place.strip_prefix(&source)
            && !mirror.excludes.excludes_within(inside, Is::Directory)
        {
            return Err(refused("it lies inside its own source, and would mirror itself"));
        }
    }
    Ok(())
}

/// Checks that a source which was mounted at the last good pass still is.
///
/// # Errors
/// [`Exit::Refused`] when it is not.
pub fn check_mounted(source: &Source, was_mounted: bool) -> Result<(), Failure> {
    if !was_mounted || is_mounted(&source.path) == Some(true) {
        return Ok(());
    }
    let why = "was a mount point at the last good pass and is none now; is it mounted? if it is meant: full-sync --force-delete";
    Err(Failure::new(Exit::Refused, format!("source `{}` ({}): {why}", source.name, text::path(&source.path))))
}

/// Whether there is nothing in the source. One that cannot be read is not empty.
#[must_use]
pub fn is_empty(source: &Source) -> bool {
    fs::read_dir(&source.path).is_ok_and(|mut entries| entries.next().is_none())
}

/// How many paths a pass may delete: a count, or a share of what the mirror has. That is what the source had at the last
/// good pass. When there was none, the mirror cannot have had more than what is there `now` and what is deleted together;
/// what makes more than the share of that is surely too much.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count, and the casts to one saturate"
)]
pub fn deletions_allowed(max: MaxDelete, at_last_pass: Option<u64>, now: u64) -> u64 {
    match max {
        MaxDelete::Count(count) => count,
        MaxDelete::Percent(percent) if percent >= 100.0 => u64::MAX,
        MaxDelete::Percent(percent) => {
            let of_now = || now as f64 * percent / (100.0 - percent);
            at_last_pass.map_or_else(of_now, |entries| entries as f64 * percent / 100.0) as u64
        }
    }
}

/// Checks that the source has not shrunk by more than a pass may delete.
///
/// # Errors
/// [`Exit::Refused`] with the numbers.
pub fn check_shrunk(max: MaxDelete, at_last_pass: u64, now: u64) -> Result<(), Failure> {
    let gone = at_last_pass.saturating_sub(now);
    if gone <= deletions_allowed(max, Some(at_last_pass), now) {
        return Ok(());
    }
    let why = format!(
        "the source has {now} entries, and had {at_last_pass} at the last good pass; {gone} fewer are more than \
         `max-delete` ({max}) lets a pass delete, so nothing was done; if it is meant: --force-delete"
    );
    Err(Failure::new(Exit::Refused, why))
}

/// Checks that the source has its marker, if it is to have one.
///
/// # Errors
/// [`Exit::Refused`] when it is not there.
fn check_marker(source: &Source) -> Result<(), Failure> {
    let Some(marker) = &source.marker else { return Ok(()) };
    fs::symlink_metadata(source.path.join(marker)).map(drop).map_err(|e| {
        let why = format!("its marker `{}` is not there ({e}); is it mounted?", text::path(marker));
        Failure::new(Exit::Refused, format!("source `{}` ({}): {why}", source.name, text::path(&source.path)))
    })
}

/// Checks that the source root is there, is a directory, has its marker and is not empty.
///
/// # Errors
/// [`Exit::Unreachable`] for a root that is missing or cannot be read, [`Exit::Refused`] for one that looks unmounted.
pub fn check_source(source: &Source, empty: EmptySource) -> Result<(), Failure> {
    let at = || format!("source `{}` ({})", source.name, text::path(&source.path));
    let unreachable = |why: &str| Failure::new(Exit::Unreachable, format!("{}: {why}{}", at(), hidden(source)));
    match fs::metadata(&source.path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(unreachable("is not a directory")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(unreachable("does not exist")),
        Err(e) => return Err(unreachable(&format!("cannot be looked at: {e}"))),
    }
    fs::read_dir(&source.path).map_err(|e| unreachable(&format!("cannot be read: {e}")))?;
    check_content(source, empty)
}

/// What to do about a source that is there, but not for this process: the sandboxes of units have places of their own.
fn hidden(source: &Source) -> String {
    let table = fs::read(mountinfo::TABLE).unwrap_or_default();
    mountinfo::hidden_by(&table, &source.path).map_or_else(String::new, |(point, setting)| {
        format!(
            "; the sandbox of the unit hides what is in {}: `systemctl edit` the unit, with `{setting}` in [Service], or \
             keep the source elsewhere",
            point.display()
        )
    })
}

/// Checks that the source has its marker and is not empty.
///
/// # Errors
/// [`Exit::Refused`] when it looks unmounted.
pub fn check_content(source: &Source, empty: EmptySource) -> Result<(), Failure> {
    check_marker(source)?;
    if empty == EmptySource::Refused && is_empty(source) {
        let why = "is empty, so mirroring it would delete everything; is it mounted? if it is meant: --allow-empty";
        let hidden = hidden(source);
        return Err(Failure::new(
            Exit::Refused,
            format!("source `{}` ({}): {why}{hidden}", source.name, text::path(&source.path)),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_and_counts() {
        let half = MaxDelete::Percent(50.0);
        assert_eq!(deletions_allowed(half, Some(1000), 600), 500);
        assert_eq!(deletions_allowed(half, Some(1000), 100), 500);
        assert_eq!(deletions_allowed(half, None, 100), 100);
        assert_eq!(deletions_allowed(MaxDelete::Percent(10.0), Some(1000), 990), 100);
        assert_eq!(deletions_allowed(MaxDelete::Percent(0.0), Some(1000), 990), 0);
        assert_eq!(deletions_allowed(MaxDelete::Percent(100.0), Some(1000), 0), u64::MAX);
        assert_eq!(deletions_allowed(MaxDelete::Count(3), Some(1000), 990), 3);
        assert!(check_shrunk(half, 1000, 500).is_ok());
        assert!(check_shrunk(half, 1000, 499).unwrap_err().message.contains("501 fewer"));
        assert!(check_shrunk(MaxDelete::Count(3), 10, 6).is_err());
        assert!(check_shrunk(half, 10, 1000).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_more_than_the_share_of_any_possible_mirror_is_never_allowed(
            percent in 0.0f64..99.0, now in 0u64..1_000_000, deleted in 0u64..1_000_000,
        ) {
            let allowed = deletions_allowed(MaxDelete::Percent(percent), None, now);
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let share = deleted as f64 * 100.0 / ((now + deleted).max(1)) as f64;
            prop_assert_eq!(deleted <= allowed, share <= percent + 1e-9, "{} of {}", share, allowed);
        }
    }
}

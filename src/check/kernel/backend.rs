//! Which interface of the kernel a watcher uses, and why. Pure.

use crate::config::settings::Backend;

/// What decides on a host that can only be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// Whether the process may mark file systems and open what is marked: `CAP_SYS_ADMIN` and `CAP_DAC_READ_SEARCH`.
    pub privileged: bool,
    /// The version of the kernel.
    pub kernel: Option<(u32, u32)>,
    /// The type of the source's file system.
    pub filesystem: Option<&'a str>,
}

/// The choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Whether it is fanotify; else it is inotify.
    pub fanotify: bool,
    /// The reason.
    pub why: String,
    /// Whether that will work.
    pub works: bool,
}

/// The first kernel whose fanotify names what changes and where.
const OLDEST: (u32, u32) = (5, 9);
/// Where a whole file system can be marked, and what is marked be found again.
const MARKABLE: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs"];

/// Decides for one source, by what is wished and what keeps fanotify from working.
#[must_use]
pub fn choose(wish: Backend, obstacle: Option<String>) -> Choice {
    let by_wish = "`backend` says so";
    let (fanotify, why, works) = match (wish, obstacle) {
        (Backend::Inotify, _) => (false, by_wish.to_owned(), true),
        (Backend::Fanotify, None) => (true, by_wish.to_owned(), true),
        (Backend::Fanotify, Some(obstacle)) => (true, format!("{by_wish}, but it will fail: {obstacle}"), false),
        (Backend::Auto, None) => (true, "it needs no watch for each directory".to_owned(), true),
        (Backend::Auto, Some(obstacle)) => (false, obstacle, true),
    };
    Choice { fanotify, why, works }
}

/// What keeps fanotify from working under these conditions, if anything does.
#[must_use]
pub fn obstacle(Conditions { privileged, kernel, filesystem }: Conditions<'_>) -> Option<String> {
    if !privileged {
        return Some("fanotify is for root".to_owned());
    }
    if kernel.is_some_and(|kernel| kernel < OLDEST) {
        return Some("fanotify needs Linux 5.9".to_owned());
    }
    let filesystem = filesystem.unwrap_or("this file system");
    (!MARKABLE.contains(&filesystem)).then(|| format!("fanotify cannot watch {filesystem} as a whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_obstacle_is_named() {
        let good = Conditions { privileged: true, kernel: Some((6, 1)), filesystem: Some("ext4") };
        assert_eq!(obstacle(good), None);
        for (conditions, why) in [
            (Conditions { privileged: false, ..good }, "fanotify is for root"),
            (Conditions { kernel: Some((5, 8)), ..good }, "fanotify needs Linux 5.9"),
            (Conditions { filesystem: Some("nfs4"), ..good }, "fanotify cannot watch nfs4 as a whole"),
            (Conditions { filesystem: None, ..good }, "fanotify cannot watch this file system as a whole"),
        ] {
            assert_eq!(obstacle(conditions).as_deref(), Some(why));
        }
    }

    #[test]
    fn a_wish_is_kept_and_else_what_works_is_taken() {
        let why = || Some("x".to_owned());
        let of = |wish, obstacle| {
            let Choice { fanotify, works, .. } = choose(wish, obstacle);
            (fanotify, works)
        };
        assert_eq!((of(Backend::Auto, None), of(Backend::Auto, why())), ((true, true), (false, true)));
        assert_eq!((of(Backend::Inotify, None), of(Backend::Inotify, why())), ((false, true), (false, true)));
        assert_eq!((of(Backend::Fanotify, None), of(Backend::Fanotify, why())), ((true, true), (true, false)));
        assert!(choose(Backend::Fanotify, why()).why.contains("will fail: x"));
    }
}

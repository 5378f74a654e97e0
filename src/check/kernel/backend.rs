//! Which interface of the kernel a watcher uses, and why. Pure.

use crate::config::settings::Backend;

/// What decides.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// What the configuration says.
    pub wish: Backend,
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
}

/// The first kernel whose fanotify names what changes and where.
const OLDEST: (u32, u32) = (5, 9);
/// Where a whole file system can be marked, and what is marked be found again.
const MARKABLE: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs"];

/// Decides for one source.
#[must_use]
pub fn choose(conditions: Conditions<'_>) -> Choice {
    let obstacle = obstacle(conditions);
    match (conditions.wish, obstacle) {
        (Backend::Inotify, _) => Choice { fanotify: false, why: "`backend` says so".to_owned() },
        (Backend::Fanotify, None) => Choice { fanotify: true, why: "`backend` says so".to_owned() },
        (Backend::Fanotify, Some(obstacle)) => {
            Choice { fanotify: true, why: format!("`backend` says so, but it will fail: {obstacle}") }
        }
        (Backend::Auto, None) => Choice { fanotify: true, why: "it needs no watch for each directory".to_owned() },
        (Backend::Auto, Some(obstacle)) => Choice { fanotify: false, why: obstacle },
    }
}

/// What keeps fanotify from working, if anything does.
#[must_use]
pub fn obstacle(Conditions { privileged, kernel, filesystem, .. }: Conditions<'_>) -> Option<String> {
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
    fn every_obstacle_is_named_and_a_wish_is_kept() {
        let good = Conditions { wish: Backend::Auto, privileged: true, kernel: Some((6, 1)), filesystem: Some("ext4") };
        assert!(choose(good).fanotify);
        for (conditions, why) in [
            (Conditions { privileged: false, ..good }, "fanotify is for root"),
            (Conditions { kernel: Some((5, 8)), ..good }, "fanotify needs Linux 5.9"),
            (Conditions { filesystem: Some("nfs4"), ..good }, "fanotify cannot watch nfs4 as a whole"),
            (Conditions { filesystem: None, ..good }, "fanotify cannot watch this file system as a whole"),
            (Conditions { wish: Backend::Inotify, ..good }, "`backend` says so"),
        ] {
            assert_eq!(choose(conditions), Choice { fanotify: false, why: why.to_owned() });
        }
        let forced = choose(Conditions { wish: Backend::Fanotify, privileged: false, ..good });
        assert!(forced.fanotify && forced.why.contains("will fail: fanotify is for root"));
    }
}

//! Which interface of the kernel a watch uses, and why. Pure.

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
    /// The interface.
    pub backend: Backend,
    /// The reason.
    pub why: String,
    /// Whether that will work.
    pub works: bool,
}

/// The first kernel whose fanotify names what changes and where.
const OLDEST: (u32, u32) = (5, 9);
/// Where a whole file system can be marked, and what is marked be found again.
const MARKABLE: &[&str] = &["ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs"];
/// It can be marked as well, but each of its subvolumes looks like a file system of its own, of which the kernel can mark none.
const WITH_SUBVOLUMES: &str = "btrfs";

/// Decides for one source, by what is wished, by what there is, best first, and by what keeps each from working.
#[must_use]
pub fn choose(
    wish: Backend,
    best_first: impl Iterator<Item = Backend>,
    obstacle: impl Fn(Backend) -> Option<String>,
) -> Choice {
    if wish != Backend::Auto {
        let by_wish = "`backend` says so";
        return match obstacle(wish) {
            None => Choice { backend: wish, why: by_wish.to_owned(), works: true },
            Some(obstacle) => Choice { backend: wish, why: format!("{by_wish}, but {obstacle}"), works: false },
        };
    }
    let mut choice = Choice { backend: wish, why: String::new(), works: false };
    for backend in best_first {
        choice.backend = backend;
        if let Some(obstacle) = obstacle(backend) {
            choice.why = obstacle;
            continue;
        }
        choice.works = true;
        if choice.why.is_empty() {
            advantage(backend).clone_into(&mut choice.why);
        }
        break;
    }
    choice
}

/// Why it is taken where nothing keeps it from working.
fn advantage(backend: Backend) -> &'static str {
    match backend {
        Backend::Fanotify => "it needs no watch for each directory",
        Backend::Inotify | Backend::Auto => "it always works",
    }
}

/// What keeps an interface from working under these conditions, if anything does.
#[must_use]
pub fn obstacle(backend: Backend, conditions: Conditions<'_>) -> Option<String> {
    match backend {
        Backend::Fanotify => obstacle_of_fanotify(conditions),
        Backend::Inotify | Backend::Auto => None,
    }
}

fn obstacle_of_fanotify(Conditions { privileged, kernel, filesystem }: Conditions<'_>) -> Option<String> {
    if !privileged {
        return Some("fanotify is for root".to_owned());
    }
    if kernel.is_some_and(|kernel| kernel < OLDEST) {
        return Some("fanotify needs Linux 5.9".to_owned());
    }
    let filesystem = filesystem.unwrap_or("this file system");
    if filesystem == WITH_SUBVOLUMES {
        // From outside it cannot be told, and without subvolumes nothing is lost by being ready for inotify.
        return Some(format!(
            "fanotify can watch {filesystem} only where it has no subvolumes, which only the host itself knows"
        ));
    }
    (!MARKABLE.contains(&filesystem)).then(|| format!("fanotify cannot watch {filesystem} as a whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_obstacle_is_named() {
        let good = Conditions { privileged: true, kernel: Some((6, 1)), filesystem: Some("ext4") };
        let on_btrfs = "fanotify can watch btrfs only where it has no subvolumes, which only the host itself knows";
        assert_eq!(obstacle(Backend::Fanotify, good), None);
        for (conditions, why) in [
            (Conditions { privileged: false, ..good }, "fanotify is for root"),
            (Conditions { kernel: Some((5, 8)), ..good }, "fanotify needs Linux 5.9"),
            (Conditions { filesystem: Some("btrfs"), ..good }, on_btrfs),
            (Conditions { filesystem: Some("nfs4"), ..good }, "fanotify cannot watch nfs4 as a whole"),
            (Conditions { filesystem: None, ..good }, "fanotify cannot watch this file system as a whole"),
        ] {
            assert_eq!(obstacle(Backend::Fanotify, conditions).as_deref(), Some(why));
            assert_eq!(obstacle(Backend::Inotify, conditions), None);
        }
    }

    #[test]
    fn a_wish_is_kept_and_else_what_works_is_taken() {
        use Backend::{Auto, Fanotify, Inotify};
        let of = |wish, cannot: &[Backend]| {
            let obstacle = |backend| cannot.contains(&backend).then(|| format!("no {}", backend.word()));
            let Choice { backend, why, works } = choose(wish, [Fanotify, Inotify].into_iter(), obstacle);
            (backend, works, why)
        };
        for (wish, cannot, expected) in [
            (Auto, &[][..], (Fanotify, true, "it needs no watch for each directory")),
            (Auto, &[Fanotify], (Inotify, true, "no fanotify")),
            (Auto, &[Fanotify, Inotify], (Inotify, false, "no inotify")),
            (Inotify, &[Fanotify], (Inotify, true, "`backend` says so")),
            (Fanotify, &[], (Fanotify, true, "`backend` says so")),
            (Fanotify, &[Fanotify], (Fanotify, false, "`backend` says so, but no fanotify")),
        ] {
            let (backend, works, why) = expected;
            assert_eq!(of(wish, cannot), (backend, works, why.to_owned()));
        }
    }
}

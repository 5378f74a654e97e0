//! What was read and not looked at yet: which names changed in which directories. Pure, and bounded.

use std::collections::HashMap;
use std::ffi::OsStr;

use super::handle::Handle;
use super::records::Change;
use super::what::What;

/// With more names than this, they are forgotten: it is cheaper to look for what changed.
const MOST: usize = 131_072;

/// With more renames than this, it is forgotten what was renamed to what: everything that arrived is sent.
const MOST_RENAMES: usize = 4_096;

/// A name in a directory.
type Place = (Box<[u8]>, Box<OsStr>);

/// A name that is another one now.
#[derive(Debug)]
struct Rename {
    from: Place,
    to: Place,
    is_dir: bool,
}

/// The same, to be looked at.
pub(super) type Renamed<'a> = ((Handle<'a>, &'a OsStr), (Handle<'a>, &'a OsStr), bool);

/// What happened to a name, once as a directory and once as anything else.
type Names = HashMap<(Box<OsStr>, bool), What>;

/// Changes, by directory.
#[derive(Debug, Default)]
pub(super) struct Pending {
    dirs: HashMap<Box<[u8]>, Names>,
    names: usize,
    /// In the order in which that happened.
    renames: Vec<Rename>,
    /// Some renames are not among those.
    unpaired: bool,
    /// Directories have moved, so that what is remembered of places is not so any more.
    moved: bool,
    lost: bool,
}

impl Pending {
    /// Takes a rename.
    pub(super) fn rename(&mut self, from: &Change<'_>, to: &Change<'_>) {
        let unpaired = self.unpaired || self.renames.len() >= MOST_RENAMES;
        self.add(from);
        self.add(to);
        self.unpaired = unpaired;
        if unpaired {
            self.renames.clear();
        } else if !self.lost {
            let place = |change: &Change<'_>| (change.dir.as_bytes().into(), change.name.into());
            self.renames.push(Rename { from: place(from), to: place(to), is_dir: to.what.is_dir() });
        }
    }

    /// Takes a change.
    pub(super) fn add(&mut self, change: &Change<'_>) {
        if self.lost {
            return;
        }
        self.moved |= change.what.moved();
        self.unpaired |= change.what.moved_here();
        let names = match self.dirs.get_mut(change.dir.as_bytes()) {
            Some(names) => names,
            None => self.dirs.entry(change.dir.as_bytes().into()).or_default(),
        };
        // It is this name that is a directory, not the one whose entry it is.
        let key = (Box::from(change.name), change.what.is_dir());
        if let Some(what) = names.get_mut(&key) {
            *what = what.and(change.what);
        } else {
            names.insert(key, change.what);
            self.names += 1;
        }
        if self.names > MOST {
            self.lose();
        }
    }

    /// Something happened, and nothing more is known.
    pub(super) fn lose(&mut self) {
        *self = Pending { lost: true, ..Pending::default() };
    }

    /// Whether something is not among the changes that happened.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether a directory may be elsewhere than before.
    pub(super) fn has_moves(&self) -> bool {
        self.moved
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names == 0 && !self.lost
    }

    /// What was renamed to what, in this order; nothing when that is not known of all.
    pub(super) fn renames<'a>(&'a self) -> Option<impl Iterator<Item = Renamed<'a>>> {
        fn place((dir, name): &Place) -> Option<(Handle<'_>, &OsStr)> {
            Some((Handle::from_bytes(dir)?, name))
        }
        let renamed = |it: &'a Rename| Some((place(&it.from)?, place(&it.to)?, it.is_dir));
        (!self.unpaired).then(|| self.renames.iter().filter_map(renamed))
    }

    /// All changes, by directory.
    pub(super) fn directories(&self) -> impl Iterator<Item = (Handle<'_>, impl Iterator<Item = (&OsStr, What)>)> {
        self.dirs.iter().filter_map(|(dir, names)| {
            Some((Handle::from_bytes(dir)?, names.iter().map(|((name, _), what)| (name.as_ref(), *what))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(number: u8) -> Vec<u8> {
        [&[0; 8][..], &1_u32.to_ne_bytes(), &1_u32.to_ne_bytes(), &[number]].concat()
    }

    fn add(pending: &mut Pending, dir: &[u8], name: &str, what: What) {
        pending.add(&Change { dir: Handle::from_bytes(dir).unwrap(), name: OsStr::new(name), what });
    }

    #[test]
    fn what_happens_to_one_name_is_put_together_and_directories_are_kept_apart() {
        let mut pending = Pending::default();
        let (one, two) = (handle(1), handle(2));
        let (arrived, written) = (What(What::CREATE), What(What::MODIFY));
        let dir = What(What::ON_DIR | What::MOVED_FROM);
        add(&mut pending, &one, "a", arrived);
        add(&mut pending, &one, "a", written);
        assert!(!pending.has_moves());
        add(&mut pending, &one, "a", dir);
        add(&mut pending, &two, "a", written);
        assert!(pending.has_moves() && !pending.is_lost());
        let mut found: Vec<_> = pending
            .directories()
            .flat_map(|(dir, names)| names.map(move |(name, what)| (dir.opaque()[0], name.to_owned(), what)))
            .collect();
        found.sort_by_key(|(dir, _, what)| (*dir, what.is_dir()));
        let both = arrived.and(written);
        assert_eq!(found, [(1, "a".into(), both), (1, "a".into(), dir), (2, "a".into(), written)]);
    }

    #[test]
    fn renames_are_told_in_their_order_or_not_at_all() {
        let mut pending = Pending::default();
        let (one, two) = (handle(1), handle(2));
        let change = |dir, name| Change {
            dir: Handle::from_bytes(dir).unwrap(),
            name: OsStr::new(name),
            what: What(What::ON_DIR | What::MOVED_FROM),
        };
        pending.rename(&change(&one, "a"), &change(&two, "b"));
        pending.rename(&change(&two, "b"), &change(&one, "c"));
        let told = |pending: &Pending| -> Option<Vec<(String, String)>> {
            let renames = pending.renames()?;
            Some(
                renames
                    .map(|((_, from), (_, to), _)| (from.to_str().unwrap().into(), to.to_str().unwrap().into()))
                    .collect(),
            )
        };
        let expected = [("a", "b"), ("b", "c")].map(|(from, to)| (from.to_owned(), to.to_owned()));
        assert_eq!(told(&pending), Some(expected.to_vec()));
        assert!(pending.has_moves());
        for _ in 0..MOST_RENAMES {
            pending.rename(&change(&one, "a"), &change(&two, "b"));
        }
        assert!(told(&pending).is_none() && !pending.is_lost());
    }

    #[test]
    fn with_too_many_names_it_is_known_that_they_are_lost() {
        let mut pending = Pending::default();
        for number in 0..=MOST {
            add(&mut pending, &handle(1), &number.to_string(), What(What::CREATE));
        }
        assert!(pending.is_lost() && !pending.is_empty());
        assert_eq!(pending.directories().count(), 0);
    }
}

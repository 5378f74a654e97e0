//! The trees that are mirrored: made from numbers, so that they are the same in every run.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::check_interrupted;

/// The size of every file, in bytes.
pub(crate) const FILE: usize = 4096;

/// When every file was changed last, in seconds since 1970. rsync looks at whole seconds, so changes are seconds apart.
const LONG_AGO: u64 = 1_600_000_000;

/// How a tree branches: `levels` directories below one another, `files` files in each of the last ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How many directories are in each directory of a level.
    pub(crate) levels: &'static [usize],
    /// The part of the second level that is left by a smaller scale.
    pub(crate) scale: f64,
    /// How many files are in each directory of the last level.
    pub(crate) files: usize,
}

impl Shape {
    /// How many directories are in each directory, level by level.
    fn widths(self) -> Vec<usize> {
        let scaled = |(level, width): (usize, &usize)| {
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small positive numbers"
            )]
            let less = (*width as f64 * self.scale).round() as usize;
            if level == 1 { less.max(1) } else { *width }
        };
        self.levels.iter().enumerate().map(scaled).collect()
    }

    /// How many directories the tree has, without its root.
    pub(crate) fn directories(self) -> usize {
        self.widths()
            .iter()
            .scan(1, |above, width| {
                Some({
                    *above *= width;
                    *above
                })
            })
            .sum()
    }

    /// How many files the tree has.
    pub(crate) fn total_files(self) -> usize {
        self.widths().iter().product::<usize>() * self.files
    }

    /// Where a file is.
    pub(crate) fn path(self, mut index: usize) -> PathBuf {
        let file = index % self.files;
        index /= self.files;
        let mut names = vec![format!("file{file:02}.dat")];
        for width in self.widths().iter().rev() {
            names.push(format!("dir{:03}", index % width));
            index /= width;
        }
        names.iter().rev().collect()
    }
}

/// A tree that was made.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Where it is.
    pub(crate) root: PathBuf,
    /// What it is like.
    pub(crate) shape: Shape,
    /// How often it was changed.
    changes: usize,
}

impl Tree {
    /// Makes a tree.
    pub(crate) fn create(root: PathBuf, shape: Shape) -> Tree {
        let tree = Tree { root, shape, changes: 0 };
        for index in 0..shape.total_files() {
            let path = tree.root.join(shape.path(index));
            if index % shape.files == 0 {
                fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            }
            write(&path, index, 0);
        }
        tree
    }

    /// Makes a tree of directories only.
    pub(crate) fn directories(root: PathBuf, shape: Shape) -> Tree {
        for index in 0..shape.total_files() {
            check_interrupted();
            let path = root.join(shape.path(index));
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        }
        Tree { root, shape, changes: 0 }
    }

    /// Gives one file of a hundred other content of the same length. Each time it is others.
    pub(crate) fn change_one_percent(&mut self) {
        self.changes += 1;
        for index in (self.changes % 100..self.shape.total_files()).step_by(100) {
            write(&self.root.join(self.shape.path(index)), index, self.changes);
        }
    }
}

fn write(path: &Path, index: usize, version: usize) {
    check_interrupted();
    let mut content = [0; FILE];
    fastrand::Rng::with_seed((version as u64) << 32 | index as u64).fill(&mut content);
    let mut file = File::create(path).expect("a file");
    file.write_all(&content).expect("write");
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(LONG_AGO + version as u64);
    file.set_modified(changed).expect("a time");
}

/// Makes a directory empty, or makes it.
pub(crate) fn clear(dir: &Path) {
    check_interrupted();
    if dir.exists() {
        fs::remove_dir_all(dir).expect("remove a directory");
    }
    fs::create_dir_all(dir).expect("a directory");
}

/// Compares two trees of directories and files: names, times of files, contents.
pub(crate) fn compare(source: &Path, mirror: &Path) -> Result<(), String> {
    check_interrupted();
    let names = |dir: &Path| -> Result<Vec<_>, String> {
        let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        Ok(names)
    };
    let here = names(source)?;
    if here != names(mirror)? {
        return Err(format!("{} has other entries", mirror.display()));
    }
    for name in here {
        let (a, b) = (source.join(&name), mirror.join(&name));
        let metadata = |path: &Path| fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()));
        let (of_a, of_b) = (metadata(&a)?, metadata(&b)?);
        if of_a.is_dir() && of_b.is_dir() {
            compare(&a, &b)?;
        } else if of_a.modified().ok() != of_b.modified().ok() || fs::read(&a).ok() != fs::read(&b).ok() {
            return Err(format!("{} differs", b.display()));
        }
    }
    Ok(())
}

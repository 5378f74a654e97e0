//! Decides which paths are left out, exactly as `rsync --exclude=PATTERN...` decides it.
//!
//! rsync applies its patterns itself in every transfer. A watch needs the same answer without running rsync, so
//! that it neither watches nor reports what rsync would not send. Each pattern is read as rsync reads it (`pattern.rs`) and
//! translated to globs (`translate.rs`), which are matched against the whole path relative to the root of the transfer.
//!
//! These patterns are refused instead of being translated ([`Reason`]):
//!
//! * what rsync would not read as a pattern: the empty one, `- ...`, `+ ...`, `!`, a NUL byte, 4096 bytes and more;
//! * what rsync silently never matches because it is malformed: brackets that are not closed, an unknown name as in
//!   `[[:foo:]]`, and an escaping backslash at the end;
//! * characters beyond ASCII in brackets: rsync compares bytes, so `[é]` is half a character, which is never meant and
//!   which a glob cannot say. Outside brackets such characters mean themselves. `?` is one byte, as in rsync.

mod pattern;
mod translate;

use std::path::Path;

use globset::{Candidate, Glob, GlobBuilder, GlobSet};

use self::translate::translate;

/// The longest pattern in bytes; rsync drops longer ones.
const MAX_PATTERN: usize = 4095;

/// A compiled list of exclude patterns. It only ever excludes, so the order of the patterns does not matter.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    /// What matches entries of every type.
    any: GlobSet,
    /// What matches directories only.
    dirs: GlobSet,
    /// Whether what is left out in a directory may depend on where the directory is.
    by_place: bool,
}

/// What stands at a path, as far as patterns ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

impl Is {
    /// A directory, if that is so.
    #[must_use]
    pub fn directory_if(is_dir: bool) -> Is {
        if is_dir { Is::Directory } else { Is::Other }
    }
}

/// A pattern that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("exclude pattern {pattern:?}: {reason}")]
pub struct PatternError {
    /// Its position in the list, from zero.
    pub index: usize,
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// No argument and no file name can hold a NUL byte.
    #[error("it contains a NUL byte")]
    Nul,
    /// rsync drops such patterns.
    #[error("it is longer than {MAX_PATTERN} bytes, and rsync would ignore it")]
    TooLong,
    /// rsync would take the sign off.
    #[error("rsync reads a leading \"- \" or \"+ \" as part of a filter rule; to match such a name write \"[-] ...\"")]
    Rule,
    /// rsync would forget all the patterns before it.
    #[error("rsync reads a lone \"!\" as the rule that clears the list; to match that name write \"[\\!]\"")]
    ClearsList,
    /// A `[` without its `]`.
    #[error("a \"[\" is not closed, and rsync would match nothing; for a literal one write \"\\[\"")]
    UnclosedClass,
    /// `[:name:]` with a name that rsync does not know.
    #[error("there is no character class \"[:{0}:]\", and rsync would match nothing")]
    UnknownClass(String),
    /// A class member that is more than one byte.
    #[error("{0:?} cannot stand in brackets: rsync compares single bytes, and this character has several")]
    NotAscii(char),
    /// An escape with nothing to escape.
    #[error("it ends in a lone backslash, and rsync would match nothing; for a literal one write \"\\\\\\\\\"")]
    DanglingEscape,
    /// The translation was refused. This is about the list as a whole when it is reported for its last pattern.
    #[error("it cannot be compiled: {0}")]
    Compile(String),
}

impl Excludes {
    /// Compiles a list of patterns.
    ///
    /// # Errors
    ///
    /// The first pattern that cannot be used, with its position and the reason.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Excludes, PatternError> {
        let mut any = Vec::new();
        let mut dirs = Vec::new();
        let error = |index: usize, reason| PatternError {
            index,
            pattern: patterns.get(index).map(|p| p.as_ref().to_owned()).unwrap_or_default(),
            reason,
        };
        for (index, pattern) in patterns.iter().enumerate() {
            let globs = translate(pattern.as_ref()).map_err(|reason| error(index, reason))?;
            for (texts, globs) in [(globs.any, &mut any), (globs.dirs, &mut dirs)] {
                for text in texts {
                    globs.push(compile(&text).map_err(|e| error(index, Reason::Compile(e.to_string())))?);
                }
            }
        }
        let set = |globs: &[Glob]| {
            // No single pattern is too large for the compiler, given the limit on its length; all together may be.
            GlobSet::new(globs).map_err(|e| error(patterns.len().saturating_sub(1), Reason::Compile(e.to_string())))
        };
        // A slash at the end only restricts a pattern to directories.
        let looks_above =
            |pattern: &str| pattern.contains("**") || pattern.strip_suffix('/').unwrap_or(pattern).contains('/');
        let by_place = patterns.iter().any(|pattern| looks_above(pattern.as_ref()));
        Ok(Excludes { any: set(&any)?, dirs: set(&dirs)?, by_place })
    }

    /// Whether nothing is ever left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.dirs.is_empty()
    }

    /// Whether what is left out in a directory may be something else when the directory is moved.
    #[must_use]
    pub fn depend_on_place(&self) -> bool {
        self.by_place
    }

    /// Whether this one entry is left out by itself: `path` is relative to the source root, without a leading `./`.
    /// Its parents are assumed to have been looked at already, since a walker does not enter excluded directories.
    /// The root itself, the empty path, is never left out.
    #[must_use]
    pub fn excludes_entry(&self, path: &Path, is: Is) -> bool {
        if self.is_empty() || path.as_os_str().is_empty() {
            return false;
        }
        let candidate = Candidate::new(path);
        self.any.is_match_candidate(&candidate) || (is == Is::Directory && self.dirs.is_match_candidate(&candidate))
    }

    /// Whether the path or any directory above it is left out.
    #[must_use]
    pub fn excludes_within(&self, path: &Path, is: Is) -> bool {
        !self.is_empty()
            && (self.excludes_entry(path, is)
                || path.ancestors().skip(1).any(|dir| self.excludes_entry(dir, Is::Directory)))
    }
}

fn compile(glob: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build()
}

#[cfg(test)]
mod tests;

//! Files that a generator writes: each begins with a line that says so and holds the sum of the rest, so that a later run
//! can tell its own work from what somebody else has written or edited. Nothing foreign is ever replaced unasked.

mod lock;
mod mark;
mod place;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use similar::TextDiff;

use crate::exit::{Exit, Failure};
use crate::report::text;

pub use lock::lock;
pub use mark::{is_ours, marked};
use place::stage;
pub use place::{clear, place, private_dir};

/// One file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
    /// Its permissions.
    pub mode: u32,
    /// Whether it holds a password, which is not shown unasked.
    pub secret: bool,
}

/// What is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Exactly what would be written, or what has to stay.
    Same,
    /// An older version of our own.
    Ours(String),
    /// What somebody else has written or edited.
    Foreign(String),
}

impl File {
    /// Looks at what is there.
    ///
    /// # Errors
    /// When there is something that cannot be read as text.
    pub fn look(&self) -> io::Result<Found> {
        Ok(match read(&self.path)? {
            None => Found::Nothing,
            Some(old) if old == self.text => Found::Same,
            // A link was put there by somebody, and would be lost.
            Some(old) if is_ours(&old) && !self.path.is_symlink() => Found::Ours(old),
            Some(old) => Found::Foreign(old),
        })
    }

    /// The difference between what is there and what would be written, as a patch; nothing when there is none. Passwords
    /// are left out unless they are to be shown.
    #[must_use]
    pub fn diff(&self, found: &Found, secrets: Secrets) -> String {
        let old = match found {
            Found::Same => return String::new(),
            Found::Nothing => "",
            Found::Ours(old) | Found::Foreign(old) => old,
        };
        let name = text::path(&self.path);
        if self.secret && secrets == Secrets::Hidden {
            return format!("{name}: would change; --show shows how, with the passwords\n");
        }
        let from = if *found == Found::Nothing { "/dev/null" } else { &name };
        let patch = TextDiff::from_lines(old, &self.text).unified_diff().header(from, &name).to_string();
        // What is there may hold anything.
        patch.lines().map(|line| text::escaped(line.as_bytes()) + "\n").collect()
    }
}

/// Whether passwords are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They are.
    Shown,
    /// They are not.
    Hidden,
}

impl Secrets {
    /// As `--show` has it.
    #[must_use]
    pub fn of(show: bool) -> Secrets {
        if show { Secrets::Shown } else { Secrets::Hidden }
    }
}

/// Refuses to go on when somebody else has written or edited one of these files, unless it is forced.
///
/// # Errors
/// One line with all of them.
pub fn refuse_foreign(files: &[(File, Found)], force: bool) -> Result<(), Failure> {
    let foreign = files.iter().filter(|(_, found)| matches!(found, Found::Foreign(_)) && !force);
    let foreign: Vec<String> = foreign.map(|(file, _)| text::path(&file.path)).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let (is, it) = if foreign.len() == 1 { ("was", "it") } else { ("were", "them") };
    let why = format!(
        "{} {is} written or edited by somebody else, and nothing is changed; --diff shows the difference, --force replaces {it}",
        foreign.join(" and ")
    );
    Err(Failure::new(Exit::Refused, why))
}

/// Puts those in place that are not there yet: all are written before the first gets its name. A line for each that was
/// dealt with is added to what is `said`, also when a later one fails.
///
/// # Errors
/// The first file that cannot be written.
pub fn write(files: &[(File, Found)], said: &mut String) -> anyhow::Result<()> {
    let cannot_write = |file: &File| text::cannot_be("written", &file.path);
    let mut all = Vec::new();
    for (file, found) in files {
        let staged = if *found == Found::Same { None } else { Some(stage(file).map_err(advised)) };
        all.push((
            file,
            staged.transpose().with_context(|| format!("{}, and no file is changed", cannot_write(file)))?,
        ));
    }
    for (file, staged) in all {
        let done = match staged {
            None => "unchanged",
            Some(staged) => {
                staged.put().map_err(advised).with_context(|| {
                    format!("{}, nor can what comes after it; what was done before is listed", cannot_write(file))
                })?;
                "written"
            }
        };
        said.push_str(&[&format!("{done:<9}"), "  ", &text::path(&file.path), "\n"].concat());
    }
    Ok(())
}

/// An error with what to do about it, where something is not permitted: most of these files are root's.
#[must_use]
pub fn advised(e: io::Error) -> io::Error {
    if e.kind() == io::ErrorKind::PermissionDenied {
        io::Error::new(e.kind(), format!("{e}; run it as root"))
    } else {
        e
    }
}

/// The text of a file; nothing when there is none. A link that leads nowhere is something, though without a text.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    // Reading a pipe might never end.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other("it is no regular file; remove it, or write into another directory"));
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.is_symlink() => Ok(Some(String::new())),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_a_failure_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| File { path: dir.path().join(name), text: name.to_owned(), mode: 0o600, secret: false };
        // A directory that appears after the look is a case that only the last step can meet.
        fs::create_dir_all(dir.path().join("b/c")).unwrap();
        let files = ["a", "b", "d"].map(|name| (file(name), Found::Nothing));
        let mut said = String::new();
        let error = format!("{:#}", write(&files, &mut said).unwrap_err());
        assert!(
            error.contains("/b cannot be written, nor can what comes after it; what was done before is listed: "),
            "{error}"
        );
        assert_eq!(said, format!("written    {}/a\n", dir.path().display()));
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }
}

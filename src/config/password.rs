//! The password file. Loading the configuration does not look at it; a command that is about to connect does, so that
//! the user gets a clear line instead of rsync's.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Uid, geteuid};

use super::error::on_one_line;
use crate::exit::{Exit, Failure};
use crate::report::shell;
use crate::report::text;

/// Checks that rsync will accept a password file and find a password in it. The content is never part of a message.
///
/// # Errors
///
/// With [`Exit::Config`], when the file is missing, is not a regular file, is accessible by others, does not belong to
/// root although root is going to use it, cannot be read, or has an empty first line.
pub fn check(path: &Path) -> Result<(), Failure> {
    let refuse = |why: String| {
        let line = format!("password-file {}: {why}", text::path(path));
        Failure::new(Exit::Config, on_one_line(&line))
    };
    let metadata = fs::metadata(path).map_err(|error| {
        let make = format!("install -D -m 600 /dev/null {}", shell::path(path));
        refuse(format!("{error}; make it by `{make}`, and put the password into it that the daemon has for `user`"))
    })?;
    check_access(path, &metadata, geteuid()).map_err(refuse)?;
    let mut first = [0];
    let read = File::open(path).and_then(|mut file| file.read(&mut first));
    match read {
        Err(error) => Err(refuse(format!("cannot be read: {error}"))),
        // rsync takes the first line, which ends at either of these.
        Ok(0) => Err(refuse("is empty; its first line must be the password".to_owned())),
        Ok(_) if matches!(first[0], b'\n' | b'\r') => {
            Err(refuse("has an empty first line; that line must be the password".to_owned()))
        }
        Ok(_) => Ok(()),
    }
}

/// The rules that rsync applies itself, except that it tolerates others who may execute the file.
fn check_access(path: &Path, metadata: &Metadata, reader: Uid) -> Result<(), String> {
    let word = shell::path(path);
    if !metadata.is_file() {
        return Err("is not a regular file; put the password into a file of its own".to_owned());
    }
    if metadata.mode() & 0o007 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(format!("is accessible by others (mode {mode:o}), which rsync refuses; run `chmod 600 {word}`"));
    }
    if reader.is_root() && metadata.uid() != 0 {
        let owner = metadata.uid();
        return Err(format!("belongs to user {owner}, and rsync as root wants root's; run `chown root {word}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn line(content: &str, mode: u32) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        check(file.path()).map_err(|failure| {
            assert_eq!(failure.exit, Exit::Config);
            assert!(!failure.message.contains("s3cret"));
            failure.message.replace(&file.path().display().to_string(), "FILE")
        })
    }

    #[test]
    fn a_private_file_with_a_password_passes() {
        assert_eq!(line("s3cret\n", 0o600), Ok(()));
        assert_eq!(line("s3cret", 0o640), Ok(()));
    }

    #[test]
    fn each_fault_has_its_line() {
        let open = "password-file FILE: is accessible by others (mode 644), which rsync refuses; run `chmod 600 FILE`";
        assert_eq!(line("s3cret\n", 0o644).unwrap_err(), open);
        assert!(line("\ns3cret\n", 0o600).unwrap_err().contains("empty first line"));
        assert!(line("", 0o600).unwrap_err().contains("is empty"));
        let directory = tempfile::tempdir().unwrap();
        assert!(check(directory.path()).unwrap_err().message.contains("not a regular file"));
        assert!(check(&directory.path().join("x")).unwrap_err().message.contains("No such file"));
    }

    #[test]
    fn root_needs_a_file_of_root() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let verdict = check_access(file.path(), &metadata, Uid::ROOT);
        assert_eq!(verdict.is_ok(), metadata.uid() == 0);
    }
}

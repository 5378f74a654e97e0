//! Settings without a configuration file: from `--from PATH --to DEST...`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::on_one_line;
use super::settings::{Host, Place, Rsync, Server, Settings, Source, Target};
use super::{names, overlap};
use crate::exit::{Exit, Failure};
use crate::report::text;

/// One `--to`, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Destination {
    user: Option<String>,
    place: Place,
    /// The directory of the mirror below the place, which is the name of the source.
    name: String,
}

/// Settings for mirroring one path. Each destination is `rsync://[USER@]HOST[:PORT]/MODULE/NAME` or a directory
/// `/ROOT/NAME`; the mirror is NAME below the module or ROOT. Relative paths start at the current directory. Everything
/// else, except user and password file, is taken from `base`, or has its default value.
///
/// # Errors
///
/// With [`Exit::Usage`], when an argument cannot be understood or the arguments do not go together.
pub fn adhoc(
    from: &Path,
    to: &[OsString],
    password_file: Option<&Path>,
    base: Option<&Settings>,
) -> Result<Settings, Failure> {
    let relative = |path: &OsStr| !matches!(path.as_bytes(), [b'/', ..] | [b'r', b's', b'y', b'n', b'c', b':', ..]);
    let needed = to.iter().map(OsString::as_os_str).chain([from.as_os_str()]).any(relative)
        || password_file.is_some_and(Path::is_relative);
    let here = match std::env::current_dir() {
        Ok(here) => here,
        Err(e) if needed => {
            let why = format!("the current directory cannot be determined: {e}; use absolute paths");
            return Err(Failure::new(Exit::Failed, why));
        }
        Err(_) => PathBuf::from("/"),
    };
    settings(&here, from, to, password_file, base).map_err(|why| Failure::new(Exit::Usage, on_one_line(&why)))
}

fn settings(
    here: &Path,
    from: &Path,
    to: &[OsString],
    password_file: Option<&Path>,
    base: Option<&Settings>,
) -> Result<Settings, String> {
    if from.as_os_str().is_empty() {
        return Err("--from: the path is empty; name the directory to mirror".to_owned());
    }
    if to.is_empty() {
        return Err("--from needs --to: rsync://HOST/MODULE/NAME or /DIRECTORY/NAME".to_owned());
    }
    let path = plain(here, from);
    let mut settings = base.cloned().unwrap_or_default();
    // Who one is for the configured targets is nobody else's business.
    settings.rsync = Rsync { user: None, password_file: None, ..settings.rsync };
    settings.targets = BTreeMap::new();
    settings.sources = BTreeMap::new();
    for argument in to {
        let Destination { user, place, name } = destination(here, argument)?;
        let password_file = match place {
            Place::Daemon { .. } => password_file.map(|file| plain(here, file)),
            Place::Directory(_) => None,
        };
        let rsync = Rsync { user, password_file, ..settings.rsync.clone() };
        let target = target_name(&place, &settings.targets);
        let server = Server::default();
        settings.targets.insert(target.clone(), Target { name: target.clone(), place, rsync, server });
        let source = settings.sources.entry(name.clone()).or_insert_with(|| Source {
            name,
            path: path.clone(),
            targets: Vec::new(),
            exclude: Vec::new(),
            watch_exclude: Vec::new(),
            marker: None,
            one_file_system: true,
        });
        source.targets.push(target);
    }
    let conflicts: Vec<String> = overlap::conflicts(&settings).into_iter().map(|conflict| conflict.message).collect();
    if conflicts.is_empty() { Ok(settings) } else { Err(conflicts.join("; ")) }
}

/// A name that the target can have in messages: that of its module or directory, with a number if there are several.
fn target_name(place: &Place, taken: &BTreeMap<String, Target>) -> String {
    let name = match place {
        Place::Daemon { module, .. } => Some(module.as_str()),
        Place::Directory(path) => path.file_name().and_then(OsStr::to_str),
    };
    let name = name.filter(|name| names::check(name).is_ok()).unwrap_or("directory");
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates.find(|candidate| !taken.contains_key(candidate)).unwrap_or_default()
}

fn destination(here: &Path, argument: &OsStr) -> Result<Destination, String> {
    let shown = text::escaped(argument.as_bytes());
    if let Some(rest) = argument.as_bytes().strip_prefix(b"rsync://") {
        let rest = str::from_utf8(rest).map_err(|_| format!("--to {shown}: the address is not UTF-8"))?;
        return daemon(rest);
    }
    if matches!(argument.as_bytes().first(), Some(b'/' | b'.')) {
        return directory(here, Path::new(argument)).map_err(|why| format!("--to {shown}: {why}"));
    }
    let text = argument.to_string_lossy();
    if let Some((host, path)) = text.split_once("::") {
        let host = host.rsplit('@').next().unwrap_or(host);
        return Err(format!("--to: write rsync://[USER@]{host}/{path} for the daemon on {host}"));
    }
    Err(format!(
        "--to {}: is neither rsync://HOST/MODULE/NAME nor a directory; start a directory with `/` or `./`",
        text.escape_debug()
    ))
}

/// What follows `rsync://`. A password in it is shown in no message.
fn daemon(rest: &str) -> Result<Destination, String> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if user.is_some_and(|user| user.contains(':')) {
        return Err(format!(
            "--to rsync://...@{host}/{path}: a password on the command line can be seen by everyone; \
             put it into a file and name that with --password-file"
        ));
    }
    let wrong = |why: String| format!("--to rsync://{}: {why}", rest.escape_debug());
    let user = user.map(names::check_user).transpose().map_err(wrong)?;
    let host: Host = host.parse().map_err(wrong)?;
    let mut parts = path.trim_end_matches('/').splitn(2, '/');
    let (module, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if module.is_empty() {
        return Err(wrong(format!("the module is missing; write rsync://{authority}/MODULE/NAME")));
    }
    names::check(module).map_err(|why| wrong(format!("module: {why}")))?;
    if name.is_empty() {
        let missing = "the name of the mirror's directory in the module is missing";
        return Err(wrong(format!("{missing}; write rsync://{authority}/{module}/NAME")));
    }
    names::check_alias(name).map_err(wrong)?;
    Ok(Destination {
        user,
        place: Place::Daemon { module: module.to_owned(), hosts: vec![host] },
        name: name.to_owned(),
    })
}

fn directory(here: &Path, argument: &Path) -> Result<Destination, String> {
    let path = plain(here, argument);
    let (Some(root), Some(name)) = (path.parent(), path.file_name()) else {
        return Err("the name of the mirror is missing; write /DIRECTORY/NAME".to_owned());
    };
    let name = name.to_str().ok_or("the name of the mirror is not UTF-8")?;
    names::check_alias(name)?;
    Ok(Destination { user: None, place: Place::Directory(root.to_owned()), name: name.to_owned() })
}

/// An absolute path without `.` and `..`, as the shell's `cd` sees it: symlinks are not looked at.
fn plain(here: &Path, path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in here.join(path).components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EXAMPLE, parse, show};

    fn make(from: &str, to: &[&str]) -> Result<Settings, String> {
        let to: Vec<OsString> = to.iter().map(OsString::from).collect();
        settings(Path::new("/home/a"), Path::new(from), &to, Some(Path::new("pw")), None)
    }

    #[test]
    fn a_daemon_and_a_directory() {
        let settings = make("../data/./x/", &["rsync://me@10.0.0.2:8730/backup1/file", "/mnt/usb/file/"]).unwrap();
        let source = &settings.sources["file"];
        assert_eq!((source.path.as_path(), source.targets.len()), (Path::new("/home/data/x"), 2));
        let target = &settings.targets["backup1"];
        assert_eq!(target.rsync.user.as_deref(), Some("me"));
        assert_eq!(target.rsync.password_file.as_deref(), Some(Path::new("/home/a/pw")));
        let hosts = vec!["10.0.0.2:8730".parse().unwrap()];
        assert_eq!(target.place, Place::Daemon { module: "backup1".to_owned(), hosts });
        assert_eq!(settings.targets["usb"].place, Place::Directory("/mnt/usb".into()));
        assert_eq!(settings.targets["usb"].rsync.password_file, None);
    }

    #[test]
    fn several_names_are_several_sources() {
        let settings = make("/data", &["rsync://h/m/a", "rsync://i/m/b", "rsync://[::1]/m/a"]).unwrap();
        assert_eq!(settings.sources["a"].targets, ["m", "m-3"]);
        assert_eq!(settings.sources["b"].targets, ["m-2"]);
        let shown = show::as_toml(&settings).unwrap();
        assert_eq!(parse(&shown, "shown").unwrap(), settings);
    }

    #[test]
    fn the_rest_comes_from_the_base_but_for_the_credentials() {
        let base = parse(EXAMPLE, "example").unwrap();
        let to = ["rsync://h/m/a".into()];
        let settings = adhoc(Path::new("/data"), &to, None, Some(&base)).unwrap();
        assert_eq!((&settings.watch, &settings.full_sync), (&base.watch, &base.full_sync));
        let rsync = &settings.targets["m"].rsync;
        assert_eq!((rsync.bwlimit, &rsync.user, &rsync.password_file), (Some(50 << 20), &None, &None));
        assert_eq!(parse(&show::as_toml(&settings).unwrap(), "shown").unwrap(), settings);
    }

    #[test]
    fn each_mistake_has_its_line() {
        for (to, line) in [
            (
                "rsync://h/m",
                "--to rsync://h/m: the name of the mirror's directory in the module is missing; write rsync://h/m/NAME",
            ),
            ("rsync://h", "--to rsync://h: the module is missing; write rsync://h/MODULE/NAME"),
            ("rsync:///m/a", "--to rsync:///m/a: the host has no name; write HOST or HOST:PORT"),
            (
                "rsync://h/m/a/b",
                "--to rsync://h/m/a/b: the name `a/b` contains `/`; it must be a single directory name",
            ),
            ("h::m/a", "--to: write rsync://[USER@]h/m/a for the daemon on h"),
            (
                "h:/a",
                "--to h:/a: is neither rsync://HOST/MODULE/NAME nor a directory; start a directory with `/` or `./`",
            ),
            ("/", "--to /: the name of the mirror is missing; write /DIRECTORY/NAME"),
            (
                "/data/x/a",
                "source `a` would mirror itself: /data/x of the target `x` is inside /data; \
                 use another directory, or add \"/x/\" to `exclude`",
            ),
        ] {
            assert_eq!(make("/data", &[to]).unwrap_err(), line);
        }
        assert!(make("/data", &[]).is_err());
        assert!(make("", &["/mnt/a"]).is_err());
        assert!(make("/data", &["rsync://h/m/a", "rsync://h/m/a"]).unwrap_err().contains("goes twice"));
        assert!(make("/data", &["rsync://h/m/a", "rsync://h/m/b"]).unwrap_err().contains("make one source"));
        assert_eq!(adhoc(Path::new("/data"), &[], None, None).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let line = make("/data", &["rsync://me:s3cr@t@h/m/a"]).unwrap_err();
        assert!(line.contains("--password-file"), "{line}");
        assert!(!line.contains("s3cr"), "{line}");
    }
}

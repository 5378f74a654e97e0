//! What the limits of the kernel are set to at the next start: the files that `sysctl --system` and systemd-sysctl read, in
//! their order (sysctl.d(5)).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::inside::resolve;

/// The directories; a file in an earlier one hides those of the same name in later ones.
const DIRECTORIES: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// It is read last, by `sysctl --system` or through a link that distributions make.
const LAST: &str = "/etc/sysctl.conf";
/// Our own, among the names of the others.
pub const OURS: &str = "60-sersync.conf";
/// More bytes nobody writes into one file.
const LONGEST: u64 = 1 << 20;

/// Where a setting stands beside our own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Ours comes later, and has the last word.
    Before,
    /// In our own file.
    Ours,
    /// It comes later than ours, and has the last word.
    After,
}

/// One line of these files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name of the limit, with points.
    pub key: String,
    /// Its value.
    pub value: u64,
    /// The file, as the host knows it.
    pub file: PathBuf,
    /// Its line, from 1 on.
    pub line: usize,
    /// Its turn.
    pub turn: Turn,
}

/// All settings of numbers, in the order in which they are made.
#[derive(Debug, Clone, Default)]
pub struct Boot(Vec<Setting>);

impl Boot {
    /// Reads the files of the host whose root directory is `root`. What cannot be read sets nothing.
    #[must_use]
    pub fn read(root: &Path) -> Boot {
        let mut files: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        for dir in DIRECTORIES {
            let entries = resolve(root, Path::new(dir)).and_then(fs::read_dir);
            for entry in entries.into_iter().flatten().flatten() {
                let name = PathBuf::from(entry.file_name());
                if name.extension().is_some_and(|kind| kind == "conf") {
                    files.entry(name).or_insert_with_key(|name| Path::new(dir).join(name));
                }
            }
        }
        let mut settings = Vec::new();
        for (name, file) in files {
            let turn = match name.as_path().cmp(Path::new(OURS)) {
                std::cmp::Ordering::Less => Turn::Before,
                std::cmp::Ordering::Equal => Turn::Ours,
                std::cmp::Ordering::Greater => Turn::After,
            };
            settings.extend(parse(&text(root, &file), &file, turn));
        }
        let last = Path::new(LAST);
        settings.extend(parse(&text(root, last), last, Turn::After));
        Boot(settings)
    }

    /// The setting that has the last word.
    #[must_use]
    pub fn last<'b>(&'b self, key: &'b str) -> Option<&'b Setting> {
        self.of(key).last()
    }

    /// What our own file sets.
    #[must_use]
    pub fn ours(&self, key: &str) -> Option<u64> {
        self.of(key).find(|setting| setting.turn == Turn::Ours).map(|setting| setting.value)
    }

    /// What is set before our own file is read, and what it may not lower therefore.
    #[must_use]
    pub fn floor(&self, key: &str) -> u64 {
        self.of(key)
            .filter(|setting| setting.turn == Turn::Before)
            .map(|setting| setting.value)
            .max()
            .unwrap_or_default()
    }

    fn of<'b>(&'b self, key: &'b str) -> impl Iterator<Item = &'b Setting> {
        self.0.iter().filter(move |setting| setting.key == key)
    }
}

fn text(root: &Path, file: &Path) -> String {
    let mut bytes = Vec::new();
    let Ok(place) = resolve(root, file) else { return String::new() };
    // A link to /dev/null switches a file off; a pipe would never end.
    if place.is_file()
        && let Ok(file) = File::open(place)
        && file.take(LONGEST).read_to_end(&mut bytes).is_err()
    {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn parse(text: &str, file: &Path, turn: Turn) -> Vec<Setting> {
    let setting = |(at, line): (usize, &str)| {
        // A minus sign means that a failure is none.
        let line = line.trim().trim_start_matches('-');
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
        // Both `fs.inotify.max_user_watches` and `fs/inotify/max_user_watches` are possible.
        let key = key.trim().replace('/', ".");
        Some(Setting { key, value: value.trim().parse().ok()?, file: file.to_owned(), line: at + 1, turn })
    };
    text.lines().enumerate().filter_map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "fs.inotify.max_user_watches";

    #[test]
    fn lines_are_read_as_sysctl_reads_them() {
        let text = "# a = 1\n\n-fs/inotify/max_user_watches=5\n; b = 2\nkernel.core_pattern = x\n fs.file-max = 7 \n";
        let found: Vec<_> =
            parse(text, Path::new("f"), Turn::Before).into_iter().map(|s| (s.key, s.value, s.line)).collect();
        assert_eq!(found, [(KEY.to_owned(), 5, 3), ("fs.file-max".to_owned(), 7, 6)]);
    }

    #[test]
    fn files_have_their_turns_and_hide_each_other() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, value: u64| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{KEY} = {value}\n")).unwrap();
        };
        assert!(Boot::read(root.path()).last(KEY).is_none());
        write("usr/lib/sysctl.d/50-a.conf", 900);
        write("etc/sysctl.d/10-b.conf", 100);
        assert_eq!(Boot::read(root.path()).floor(KEY), 900);
        assert_eq!(Boot::read(root.path()).last(KEY).unwrap().file, Path::new("/usr/lib/sysctl.d/50-a.conf"));
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/sysctl.d/50-a.conf")).unwrap();
        assert_eq!(Boot::read(root.path()).floor(KEY), 100);
        write("etc/sysctl.d/60-sersync.conf", 200);
        assert_eq!(Boot::read(root.path()).last(KEY).unwrap().turn, Turn::Ours);
        write("run/sysctl.d/99-c.conf", 50);
        let last = Boot::read(root.path()).last(KEY).unwrap().clone();
        assert_eq!((last.turn, last.value, last.line), (Turn::After, 50, 1));
        write("etc/sysctl.conf", 60);
        assert_eq!(Boot::read(root.path()).last(KEY).unwrap().file, Path::new(LAST));
        write("etc/sysctl.d/99-not.txt", 1);
        assert_eq!(Boot::read(root.path()).last(KEY).unwrap().value, 60);
    }
}

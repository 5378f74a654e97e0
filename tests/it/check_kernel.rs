//! `check-kernel` on hosts that are made of files: what it counts and says, and what it raises.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::golden::{assert_golden, normalise};
use crate::support::sersync::{Output, Sersync};

/// A host with sources, a configuration, and an rsync that is only a version number.
struct Host {
    dir: TempDir,
}

const WATCHES: &str = "proc/sys/fs/inotify/max_user_watches";
const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n";
/// What a process of root has, and what one of somebody else has.
const ALL: &str = "CapEff:\t000001ffffffffff\n";
const NONE: &str = "CapEff:\t0000000000000000\n";

impl Host {
    fn new() -> Host {
        let host = Host { dir: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            (WATCHES, "65536\n"),
            ("proc/sys/fs/inotify/max_user_instances", "128\n"),
            ("proc/sys/fs/inotify/max_queued_events", "16384\n"),
            ("proc/sys/fs/fanotify/max_user_groups", "128\n"),
            ("proc/sys/fs/fanotify/max_user_marks", "65536\n"),
            ("proc/sys/fs/fanotify/max_queued_events", "16384\n"),
            ("proc/self/status", NONE),
            ("proc/self/limits", "Max open files            1024                 524288               files\n"),
            ("proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:   8000000 kB\n"),
            ("proc/self/mountinfo", MOUNTS),
        ] {
            host.write(path, text);
        }
        for dir in ["data/file/a/b/c", "data/file/cache/x/y", "data/db"] {
            fs::create_dir_all(host.root().join(dir)).unwrap();
        }
        host.rsync("3.5.0  protocol version 32");
        host.configure("");
        host
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    fn rsync(&self, version: &str) {
        let bin = self.dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("rsync"), format!("#!/bin/sh\necho 'rsync  version {version}'\n")).unwrap();
        fs::set_permissions(bin.join("rsync"), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "[targets.t]\nmodule = 'm'\nhosts = ['h']\n[sources.file]\npath = '/data/file'\ntargets = ['t']\n\
             exclude = ['/cache/']\n[sources.db]\npath = '/data/db'\ntargets = ['t']\n{more}"
        );
        fs::write(self.dir.path().join("sersync.toml"), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let sersync = Sersync::new(&["check-kernel", "-c"]).arg(self.dir.path().join("sersync.toml"));
        sersync.env("PATH", self.dir.path().join("bin")).arg("--root").arg(self.root()).args(args).run()
    }

    fn case(&self, report: &mut String, title: &str, args: &[&str]) -> Output {
        let output = self.run(args);
        let said = normalise(&(output.stdout.clone() + &output.stderr), &[(self.root().to_str().unwrap(), "ROOT")]);
        writeln!(report, "## {title}: exit {}\n{said}", output.code.unwrap()).unwrap();
        output
    }
}

/// The text without the sum in its first line.
fn body(text: &str) -> &str {
    text.split_once('\n').unwrap().1
}

#[test]
fn what_is_found_is_as_agreed() {
    let mut report = String::new();
    Host::new().case(&mut report, "a host with room, not as root", &[]);
    let host = Host::new();
    host.write("proc/self/status", ALL);
    host.case(&mut report, "the same as root", &[]);
    host.configure("[watch]\nbackend = 'inotify'\n");
    host.case(&mut report, "root who wants inotify", &["db"]);
    let host = Host::new();
    host.write(WATCHES, "4\n");
    host.write("proc/sys/fs/inotify/max_user_instances", "1\n");
    host.write("proc/sys/fs/inotify/max_queued_events", "1024\n");
    host.write("proc/self/limits", "Max open files            64                 64               files\n");
    host.case(&mut report, "limits that are too low", &[]);
    let host = Host::new();
    host.write("proc/sys/kernel/osrelease", "4.19.0\n");
    host.write("proc/self/status", ALL);
    fs::remove_dir_all(host.root().join("proc/sys/fs/fanotify")).unwrap();
    host.rsync("3.1.3  protocol version 31");
    host.case(&mut report, "an old system", &[]);
    let host = Host::new();
    host.write(
        "proc/self/mountinfo",
        &format!(
            "{MOUNTS}30 22 0:25 / /data/file rw - nfs4 server:/x rw\n31 22 0:26 / /data/db/sub rw - ext4 /dev/sdb rw\n"
        ),
    );
    host.case(&mut report, "a source on a network and one with a mount in it", &[]);
    let host = Host::new();
    fs::remove_dir(host.root().join("data/db")).unwrap();
    host.write("proc/meminfo", "MemTotal:       9 kB\nMemAvailable:   5 kB\n");
    host.case(&mut report, "a source is missing, and so is memory", &[]);
    let host = Host::new();
    host.configure("[watch]\nbackend = 'fanotify'\n");
    host.case(&mut report, "fanotify is wanted, and not for this user", &["db"]);
    let host = Host::new();
    fs::remove_file(host.dir.path().join("bin/rsync")).unwrap();
    fs::remove_dir_all(host.root().join("proc")).unwrap();
    host.case(&mut report, "nothing is known", &["db"]);
    assert_golden("check-kernel.txt", &report);
}

#[test]
fn what_is_too_low_is_raised_and_nothing_is_lowered() {
    let host = Host::new();
    host.write(WATCHES, "4\n");
    host.write("proc/sys/fs/inotify/max_queued_events", "16384\n");
    let printed = host.run(&["--sysctl"]).code(0).stdout;
    assert!(!host.root().join("etc").exists(), "printing changes nothing");
    host.run(&[]).code(1).stdout_has("sysctl -w fs.inotify.max_user_watches=65536");
    let fixed = host.run(&["--fix"]).code(0);
    assert!(fixed.stdout.starts_with("written "), "{fixed}");
    fixed.stdout_has("raised fs.inotify.max_user_watches to 65536");
    assert_eq!(host.read(WATCHES), "65536\n");
    let drop_in = host.read("etc/sysctl.d/60-sersync.conf");
    assert_eq!(drop_in, printed);
    assert_golden("check-kernel-sysctl.txt", body(&drop_in));
    assert_eq!(host.read("proc/sys/fs/inotify/max_user_instances"), "128\n", "what is high enough is left alone");
    // A second run changes nothing, and does not forget what the first one has raised.
    let again = host.run(&["--fix"]).code(0);
    assert!(again.stdout.starts_with("CHECK"), "{again}");
    assert_eq!(host.read("etc/sysctl.d/60-sersync.conf"), drop_in);
    // What is higher than we want stays, in the kernel and in the file.
    host.write(WATCHES, "999999\n");
    host.write("proc/sys/fs/inotify/max_user_instances", "1\n");
    host.run(&["--fix"]).code(0).stdout_has("raised fs.inotify.max_user_instances to 256");
    assert_eq!(host.read(WATCHES), "999999\n");
    let both = host.read("etc/sysctl.d/60-sersync.conf");
    assert!(both.contains("max_user_watches = 65536\n") && both.contains("max_user_instances = 256\n"), "{both}");
}

#[test]
fn a_drop_in_of_somebody_else_is_not_touched() {
    let host = Host::new();
    host.write(WATCHES, "4\n");
    host.write("etc/sysctl.d/60-sersync.conf", "fs.inotify.max_user_watches = 5\n");
    host.run(&["--fix"]).code(4).stderr_has("was written or edited by somebody else, and nothing is changed");
    assert_eq!(host.read("etc/sysctl.d/60-sersync.conf"), "fs.inotify.max_user_watches = 5\n");
    assert_eq!(host.read(WATCHES), "4\n");
}

#[test]
fn a_source_that_is_a_file_is_not_to_be_mounted() {
    let host = Host::new();
    fs::remove_dir(host.root().join("data/db")).unwrap();
    host.run(&[]).code(1).stdout_has("mount it or make it, or correct `path` in [sources.db]");
    host.write("data/db", "a file");
    let said = host.run(&[]).code(1).stdout_has("correct `path` in [sources.db]: only directories are watched");
    assert!(!said.stdout.contains("mount it"), "{said}");
}

#[test]
fn programs_get_objects() {
    let host = Host::new();
    host.write(WATCHES, "4\n");
    let output = host.run(&["--json"]).code(1);
    let objects: Vec<serde_json::Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let watches = objects.iter().find(|object| object["check"] == "fs.inotify.max_user_watches").unwrap();
    assert_eq!((&watches["type"], &watches["result"]), (&"finding".into(), &"bad".into()));
    assert!(watches["remedy"].as_str().unwrap().contains("--fix"), "{output}");
    host.run(&["nope"]).code(2).stderr_has("known are: db, file");
    let done = host.run(&["--fix", "--json"]).code(0);
    assert!(done.stdout.lines().next().unwrap().contains("\"type\":\"done\""), "{done}");
}

/// The real host: whatever its limits are, it is looked at without a failure of the program itself.
#[test]
fn the_real_host_is_looked_at() {
    let host = Host::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let text = format!(
        "[targets.t]\nmodule = 'm'\nhosts = ['h']\n[sources.code]\npath = '{}'\ntargets = ['t']\n",
        source.display()
    );
    fs::write(host.dir.path().join("sersync.toml"), text).unwrap();
    let output = Sersync::new(&["check-kernel", "-c"]).arg(host.dir.path().join("sersync.toml")).run();
    assert!(matches!(output.code, Some(0 | 1 | 3)), "{output}");
    output.stdout_has("source code");
}

/// What is said of the real host is what watch really does there.
#[test]
fn watch_uses_what_is_said_of_it() {
    let host = Host::new();
    let (source, disk) = (host.dir.path().join("source"), host.dir.path().join("disk"));
    fs::create_dir(&source).unwrap();
    fs::write(source.join("f"), "f").unwrap();
    fs::create_dir(&disk).unwrap();
    let config = host.dir.path().join("sersync.toml");
    for (wish, words) in
        [("auto", ["watched by fanotify", "watched by inotify"]), ("inotify", ["watched by inotify"; 2])]
    {
        let text = format!(
            "[watch]\nbackend = '{wish}'\n[targets.t]\npath = '{}'\n[sources.s]\npath = '{}'\ntargets = ['t']\n",
            disk.display(),
            source.display()
        );
        fs::write(&config, text).unwrap();
        let said = Sersync::new(&["check-kernel", "-c"]).arg(&config).run();
        let word = words.into_iter().find(|word| said.stdout.contains(word)).unwrap_or_else(|| panic!("{said}"));
        let log = Sersync::new(&["watch", "-v", "--until-idle", "0s", "-c"]).arg(&config).run().code(0).stderr;
        let backend = word.rsplit(' ').next().unwrap();
        assert!(log.contains(&format!("by {backend}")), "{wish}: {word}\n{log}");
    }
}

#[test]
fn files_for_the_next_start_are_not_lowered_and_later_ones_are_named() {
    let host = Host::new();
    host.write(WATCHES, "4\n");
    host.write("usr/lib/sysctl.d/50-vendor.conf", "fs.inotify.max_user_watches = 1048576\n");
    host.write("etc/sysctl.d/99-late.conf", "# mine\n\nfs/inotify/max_user_instances=3\n");
    let printed = host.run(&["--sysctl"]).code(0);
    assert!(printed.stdout.contains("max_user_watches = 1048576\n"), "{printed}");
    printed
        .stderr_has("/etc/sysctl.d/99-late.conf:3 sets fs.inotify.max_user_instances to 3 at the next start; 66 would");
    let fixed = host.run(&["--fix"]).code(3);
    assert!(host.read("etc/sysctl.d/60-sersync.conf").contains("max_user_watches = 1048576\n"), "{fixed}");
    fixed
        .stdout_has("take line 3 out of /etc/sysctl.d/99-late.conf, or write fs.inotify.max_user_instances = 66 there");
    host.write("etc/sysctl.d/99-late.conf", "");
    host.run(&[]).code(0);
    // What is high enough only until the next start is raised for it.
    host.write("etc/sysctl.d/10-early.conf", "fs.inotify.max_user_instances = 3\n");
    host.run(&[]).code(3).stdout_has("/etc/sysctl.d/10-early.conf:1 sets fs.inotify.max_user_instances to 3");
    host.run(&["--fix"]).code(0);
    assert!(host.read("etc/sysctl.d/60-sersync.conf").contains("max_user_instances = "));
}

#[test]
fn links_lead_nowhere_outside_of_the_root() {
    let host = Host::new();
    host.write(WATCHES, "4\n");
    let outside = host.dir.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(host.root().join("etc")).unwrap();
    std::os::unix::fs::symlink(&outside, host.root().join("etc/sysctl.d")).unwrap();
    fs::write(outside.join("max_user_watches"), "1").unwrap();
    host.run(&["--fix"]).code(0);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert!(host.root().join(outside.strip_prefix("/").unwrap()).join("60-sersync.conf").is_file());
    // A limit that would be somewhere else is no limit of this host.
    fs::remove_file(host.root().join(WATCHES)).unwrap();
    std::os::unix::fs::symlink(outside.join("max_user_watches"), host.root().join(WATCHES)).unwrap();
    host.run(&["--fix"]).stdout_has("no such limit");
    assert_eq!(fs::read_to_string(outside.join("max_user_watches")).unwrap(), "1");
}

#[test]
fn who_may_not_raise_a_limit_is_told_to_be_root_and_nothing_is_changed() {
    if !crate::support::is_root() {
        crate::support::skip("whoever owns the host of files may raise its limits");
        return;
    }
    let host = Host::new();
    host.write(WATCHES, "1\n");
    host.run(&["--fix"]).code(0);
    // With the drop-in there, only the limit itself is left to be raised.
    host.write(WATCHES, "1\n");
    let as_nobody = |args: &[&str]| {
        let sersync = Sersync::as_nobody(&host.dir, &["check-kernel", "-c"]).arg(host.dir.path().join("sersync.toml"));
        sersync.env("PATH", "/usr/bin:/bin").arg("--root").arg(host.root()).args(args).run()
    };
    as_nobody(&["--fix"])
        .code(1)
        .stderr_has("fs.inotify.max_user_watches cannot be raised: Permission denied")
        .stderr_has("; run it as root");
    fs::remove_file(host.root().join("etc/sysctl.d/60-sersync.conf")).unwrap();
    as_nobody(&["--fix"])
        .code(1)
        .stderr_has("60-sersync.conf cannot be written: Permission denied")
        .stderr_has("; run it as root");
    assert_eq!(host.read(WATCHES), "1\n");
}

#[test]
fn a_root_that_is_no_directory_is_called_so() {
    let host = Host::new();
    let missing = host.dir.path().join("nope");
    let sersync = Sersync::new(&["check-kernel", "-c"]).arg(host.dir.path().join("sersync.toml"));
    sersync
        .arg("--root")
        .arg(&missing)
        .run()
        .code(2)
        .stderr_has("nope is no directory; name the root directory of a host");
}

//! `gen-rsyncd-conf`: what it writes, what it leaves alone, and that a real daemon serves with it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::daemon::{Rsyncd, Version};
use crate::support::golden::{assert_golden, normalise, without_sums};
use crate::support::sersync::{Output, Sersync, config};
use crate::support::tree::assert_same;
use crate::support::{fixture, is_root, skip};

const CONFIG: &str = "\
[rsync]
user = 'rsync'
password-file = '/etc/sersync/rsync.passwd'
jobs = 4

[targets.backup1]
module = 'backup1'
hosts = ['10.0.0.2', '10.0.0.3']
[targets.backup1.server]
path = 'DIR/modules/backup1'
hosts-allow = ['10.0.0.0/24', 'nas.example.org']

[targets.backup2]
module = 'backup2'
hosts = ['10.0.0.2']
rsync.user = 'other'
rsync.password-file = '/root/other.passwd'
rsync.timeout = '20m'
server.path = 'DIR/modules/backup2'
server.max-connections = 7
server.uid = 'nobody'

[targets.usb]
path = '/mnt/usb'

[sources.file-backup]
path = '/data/file'
targets = ['backup1', 'usb']
[sources.db-backup]
path = '/data/db'
targets = ['backup1', 'backup2']
";

pub(crate) fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    config(&dir, &CONFIG.replace("DIR", dir.path().to_str().unwrap()));
    dir
}

pub(crate) fn run(dir: &TempDir, args: &[&str]) -> Output {
    Sersync::new(&["gen-rsyncd-conf"]).args(args).arg("-c").arg(dir.path().join("sersync.toml")).run()
}

/// The text without what differs from run to run: the directory, and so the sums.
fn plain(dir: &TempDir, text: &str) -> String {
    let text = normalise(text, &[(dir.path().to_str().unwrap(), "DIR")]);
    without_sums(&text)
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn it_prints_what_it_would_write_without_passwords() {
    let dir = place();
    let output = run(&dir, &[]).code(0);
    assert_golden("rsyncd-conf.txt", &plain(&dir, &(output.stdout + "--- stderr\n" + &output.stderr)));
    let shown = run(&dir, &["--show"]).code(0).stdout;
    assert!(!shown.contains("<password"), "{shown}");
    assert!(!dir.path().join("modules").exists(), "printing makes nothing");
}

#[test]
fn it_writes_everything_and_a_second_run_changes_nothing() {
    let dir = place();
    let etc = dir.path().join("etc");
    let out = etc.to_str().unwrap();
    let output = run(&dir, &["--out", out]).code(0);
    assert_golden("rsyncd-conf-out.txt", &plain(&dir, &(output.stdout + "--- stderr\n" + &output.stderr)));
    for (name, mode) in [
        ("rsyncd.conf", 0o644),
        ("rsyncd.secrets", 0o600),
        ("logrotate.d/rsyncd", 0o644),
        ("sersync/rsync.passwd", 0o600),
        ("sersync/other.passwd", 0o600),
    ] {
        let metadata = fs::metadata(etc.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{name}");
        assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw(), "{name}");
    }
    let secrets = read(&etc.join("rsyncd.secrets"));
    for (user, file) in [("rsync", "sersync/rsync.passwd"), ("other", "sersync/other.passwd")] {
        let password = read(&etc.join(file));
        assert!(password.trim_end().len() == 32 && secrets.contains(&format!("{user}:{password}")), "{file}");
    }
    let module = fs::metadata(dir.path().join("modules/backup2")).unwrap();
    assert_eq!(module.permissions().mode() & 0o7777, 0o700);
    assert!(!is_root() || module.uid() == 65534, "the directory belongs to who writes to it: {}", module.uid());
    let before = crate::support::tree::snapshot(&etc);
    let again = run(&dir, &["--out", out]).code(0);
    assert!(!again.stdout.contains("written "), "{again}");
    let differences = crate::support::tree::diff_snapshots(&before, &crate::support::tree::snapshot(&etc));
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(run(&dir, &["--out", out, "--diff"]).code(0).stdout, "");
}

#[test]
fn what_others_have_written_or_edited_stays_unless_forced() {
    let dir = place();
    let etc = dir.path().join("etc");
    let out = etc.to_str().unwrap();
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join("rsyncd.conf"), "[mine]\npath = /mine\n").unwrap();
    fs::write(etc.join("rsyncd.secrets"), "me:my own password\n").unwrap();
    let refused = run(&dir, &["--out", out]).code(4);
    let refused = plain(&dir, &refused.stderr);
    assert!(refused.contains("DIR/etc/rsyncd.secrets and DIR/etc/rsyncd.conf were written or edited"), "{refused}");
    assert_eq!(read(&etc.join("rsyncd.conf")), "[mine]\npath = /mine\n");
    assert!(!etc.join("sersync").exists() && !dir.path().join("modules").exists(), "nothing is changed");
    let diff = run(&dir, &["--out", out, "--diff"]).code(0).stdout;
    assert!(diff.contains("-[mine]\n") && diff.contains("+[backup1]\n") && !diff.contains("my own"), "{diff}");
    run(&dir, &["--out", out, "--force"]).code(0);
    let secrets = read(&etc.join("rsyncd.secrets"));
    assert!(secrets.contains("me:my own password\n") && secrets.contains("\nrsync:"), "other users stay: {secrets}");
    assert!(read(&etc.join("rsyncd.conf")).contains("[backup1]"));
    // A user who is added by hand is no reason to refuse: nothing has to be written.
    fs::write(etc.join("rsyncd.secrets"), secrets.clone() + "new:user's password\n").unwrap();
    run(&dir, &["--out", out]).code(0);
    assert_eq!(read(&etc.join("rsyncd.secrets")), secrets + "new:user's password\n");
    // An edited file is seen by its sum.
    let conf = read(&etc.join("rsyncd.conf")).replace("max connections = 18", "max connections = 99");
    fs::write(etc.join("rsyncd.conf"), &conf).unwrap();
    run(&dir, &["--out", out]).code(4);
    assert_eq!(read(&etc.join("rsyncd.conf")), conf);
}

#[test]
fn the_password_stays_what_it_is() {
    let dir = place();
    let etc = dir.path().join("etc");
    let out = etc.to_str().unwrap();
    run(&dir, &["--out", out]).code(0);
    let password = read(&etc.join("sersync/rsync.passwd"));
    // From either of the two files the other comes back.
    fs::remove_file(etc.join("rsyncd.secrets")).unwrap();
    run(&dir, &["--out", out]).code(0);
    assert!(read(&etc.join("rsyncd.secrets")).contains(&password));
    fs::remove_file(etc.join("sersync/rsync.passwd")).unwrap();
    run(&dir, &["--out", out]).code(0);
    assert_eq!(read(&etc.join("sersync/rsync.passwd")), password);
    // Which of two is right nobody knows.
    fs::write(etc.join("sersync/rsync.passwd"), "something else\n").unwrap();
    run(&dir, &["--out", out]).code(4).stderr_has("have another password for `rsync`");
    run(&dir, &["--out", out, "--force"]).code(0);
    assert_eq!(read(&etc.join("sersync/rsync.passwd")), password);
    // A client that has one already gives it to the server.
    let own = dir.path().join("own.passwd");
    fs::write(&own, "of the client\n").unwrap();
    fs::set_permissions(&own, PermissionsExt::from_mode(0o600)).unwrap();
    let text = read(&dir.path().join("sersync.toml")).replace("/etc/sersync/rsync.passwd", own.to_str().unwrap());
    config(&dir, &text);
    let second = dir.path().join("second");
    run(&dir, &["--out", second.to_str().unwrap(), "backup1"]).code(0);
    assert!(read(&second.join("rsyncd.secrets")).contains("rsync:of the client\n"));
}

#[test]
fn files_for_another_host_name_its_directories() {
    let dir = place();
    let out = dir.path().join("stage");
    let output = run(&dir, &["--out", out.to_str().unwrap(), "--installed-in", "/etc", "--host", "10.0.0.3"]).code(0);
    assert_golden("rsyncd-conf-staged.txt", &plain(&dir, &(output.stdout + &read(&out.join("rsyncd.conf")))));
    assert!(!dir.path().join("modules").exists());
}

#[test]
fn wrong_wishes_are_one_line() {
    let dir = place();
    for (args, line) in [
        (&["nope"][..], "there is no target `nope` in the configuration; known are: backup1, backup2, usb"),
        (&["usb"], "target `usb` is a directory, which needs no daemon"),
        (&["--host", "10.0.0.9"], "no target has the host 10.0.0.9; write it as in `hosts`"),
        (&["--module", "x=/srv/x"], "--module: there is no module `x`; there are: backup1, backup2"),
    ] {
        let output = run(&dir, args).code(2);
        assert_eq!(output.stderr, format!("error: {line}\n"));
    }
    run(&dir, &["--module", "backup1=srv"]).code(2).stderr_has("is not absolute");
    run(&dir, &["--hosts-allow", "a b"]).code(2).stderr_has("is no host");
    run(&dir, &["--log-file", "/a\n/b"]).code(2).stderr_has("rsyncd.conf cannot have");
    for log in ["/var/log/a*", "/var/log/a\"b", "/var/log/[a]"] {
        run(&dir, &["--log-file", log]).code(2).stderr_has("logrotate would take the");
    }
    run(&dir, &["--hosts-allow", "10.0.0.0/99"]).code(2).stderr_has("a number up to 32, not `99`");
    run(&dir, &["--hosts-allow", " , "]).code(2).stderr_has("names no host");
    for all in ["0.0.0.0/0.0.0.0", "0.0.0.0/0", "::/0", "*", "%RSYNC_HOST_ADDR%"] {
        run(&dir, &["--hosts-allow", all]).code(0).stderr_has(&format!("lets everybody in ({all})"));
    }
    let halves = run(&dir, &["--hosts-allow", "0.0.0.0/1,128.0.0.0/1"]).code(0);
    halves.stderr_has("lets everybody in (0.0.0.0/1 and 128.0.0.0/1 are everything)");
}

#[test]
fn the_variables_of_the_container_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc");
    let gen_from_env = || Sersync::new(&["gen-rsyncd-conf", "--from-env"]).env("RSYNCD_PATH", dir.path().join("data"));
    let output = gen_from_env()
        .env("RSYNCD_MOD_NAME", "filebackup")
        .env("RSYNCD_PASSWD", "Ki13W@yYZvbJ")
        .env("RSYNCD_MAX_CONN", "12")
        .env("RSYNCD_HOSTS_ALLOW", "0.0.0.0/0")
        .run()
        .code(0);
    assert!(!output.stdout.contains("Ki13W"), "not without --show: {output}");
    assert_golden("rsyncd-conf-from-env.txt", &plain(&dir, &(output.stdout + "--- stderr\n" + &output.stderr)));
    gen_from_env()
        .env("RSYNCD_PASSWD", "")
        .args(&["--out", etc.to_str().unwrap()])
        .run()
        .code(0)
        .stderr_has("is empty");
    assert_eq!(read(&etc.join("sersync/rsync.passwd")).trim_end().len(), 32);
    gen_from_env()
        .env("RSYNCD_USER", "a\nuid = 0")
        .run()
        .code(2)
        .stderr_has("RSYNCD_USER: a daemon cannot have the user");
}

/// logrotate itself reads the snippet, as it does before each rotation.
#[test]
fn logrotate_finds_no_fault() {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    if Command::new("logrotate").arg("--version").env("PATH", path).output().is_err() {
        skip("there is no logrotate");
        return;
    }
    let dir = place();
    let (etc, log) = (dir.path().join("etc"), dir.path().join("a log"));
    fs::write(&log, "a line\n").unwrap();
    run(&dir, &["--out", etc.to_str().unwrap(), "--log-file", log.to_str().unwrap()]).code(0);
    let state = dir.path().join("state");
    let mut logrotate = Command::new("logrotate");
    logrotate.args(["--debug", "--force", "--state"]).arg(state).arg(etc.join("logrotate.d/rsyncd")).env("PATH", path);
    let output = logrotate.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("error:"), "{said}");
    assert!(said.contains(&format!("considering log {}", log.display())), "{said}");
}

/// The whole of it: a daemon with nothing but what was generated, and a pass to it.
#[test]
fn a_real_daemon_serves_with_it() {
    if !is_root() {
        skip("only root can start a daemon that changes its root");
        return;
    }
    for version in Version::ALL {
        if !version.is_here() {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("src");
        fs::create_dir(&source).unwrap();
        fixture::small_tree(&source);
        let etc = dir.path().join("etc");
        let mut daemon = Rsyncd::prepared(version, etc.join("rsyncd.conf"), |port| {
            let text = format!(
                "[rsync]\nuser = 'rsync'\npassword-file = '{0}/etc/sersync/rsync.passwd'\n[targets.t]\nmodule = 'backup1'\n\
                 hosts = ['127.0.0.1:{port}']\nserver.path = '{0}/module'\nserver.hosts-allow = ['127.0.0.1']\n\
                 [sources.name]\npath = '{0}/src'\ntargets = ['t']\n",
                dir.path().display()
            );
            config(&dir, &text);
            let (log, run_dir) = (dir.path().join("log"), dir.path().to_str().unwrap());
            let args = ["--address", "127.0.0.1", "--run-dir", run_dir, "--log-file", log.to_str().unwrap()];
            run(&dir, &[&["--out", etc.to_str().unwrap(), "--force"], &args[..]].concat()).code(0);
        });
        let sync = || Sersync::new(&["full-sync", "-c"]).arg(dir.path().join("sersync.toml")).run();
        sync().code(0);
        assert_same(&source, &dir.path().join("module/name"));
        fs::write(source.join("new"), "new").unwrap();
        fs::remove_file(source.join("one")).unwrap();
        sync().code(0);
        assert_same(&source, &dir.path().join("module/name"));
        assert!(dir.path().join("module/history-backup/name").is_dir(), "what was deleted is kept");
        let log = read(&dir.path().join("log"));
        assert!(!log.contains("No match for refuse-options"), "{version:?}: {log}");
        // Without the password nobody gets in.
        fs::write(etc.join("sersync/rsync.passwd"), "wrong\n").unwrap();
        sync().code(12);
        daemon.stop();
    }
}

#[test]
fn what_would_get_in_its_own_way_is_refused() {
    let dir = place();
    let out = dir.path().join("out");
    let refused = |change: &dyn Fn(&str) -> String, args: &[&str], why: &str| {
        config(&dir, &change(&CONFIG.replace("DIR", dir.path().to_str().unwrap())));
        run(&dir, &[args, &["--out", out.to_str().unwrap()]].concat()).code(2).stderr_has(why);
        assert!(!out.join("rsyncd.conf").exists());
    };
    let inside = format!("backup2={}/modules/backup1/deep", dir.path().display());
    let above = format!("backup1={}/modules/backup1", dir.path().display());
    let nested = ["--module", &inside, "--module", &above];
    refused(&str::to_owned, &nested, "lies in that of `backup1`");
    refused(&|text| text.replace("/root/other.passwd", "/etc/rsyncd.conf"), &[], "would have to be two files");
    refused(&|text| text.replace("/root/other.passwd", "/etc/rsyncd.secrets"), &[], "would have to be two files");
    let odd = dir.path().join("x\nuid = 0");
    run(&dir, &["--out", odd.to_str().unwrap(), "--diff"]).code(2).stderr_has("cannot have in a path");
}

#[test]
fn a_file_with_passwords_that_others_can_read_is_made_private() {
    let dir = place();
    let out = dir.path().join("out");
    let args = ["--out", out.to_str().unwrap()];
    run(&dir, &args).code(0);
    let secrets = out.join("rsyncd.secrets");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o644)).unwrap();
    run(&dir, &args).code(0).stderr_has("could be read by others (mode 0644)");
    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o7777, 0o600);
}

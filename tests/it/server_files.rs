//! How `gen-rsyncd-conf` deals with what is in the place of its files, with others who do the same, and with failures.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::process::Command;

use crate::gen_rsyncd_conf::{place, read, run};
use crate::support::daemon::Rsyncd;
use crate::support::sersync::{Sersync, config};
use crate::support::{SOON, is_root, skip};

#[test]
fn files_with_passwords_become_roots_when_root_writes() {
    if !is_root() {
        skip("only root can give files away");
        return;
    }
    let dir = place();
    let out = dir.path().join("etc");
    let args = ["--out", out.to_str().unwrap()];
    run(&dir, &args).code(0);
    let files = ["rsyncd.secrets", "sersync/rsync.passwd"].map(|name| out.join(name));
    for file in &files {
        chown(file, Some(1000), Some(1000)).unwrap();
    }
    let output = run(&dir, &args).code(0);
    for file in &files {
        output.clone().stderr_has(&format!("{} belonged to user 1000", file.display()));
        assert_eq!(fs::metadata(file).unwrap().uid(), 0, "{}", file.display());
    }
    assert_eq!(run(&dir, &args).code(0).stderr.matches("belonged").count(), 0);
}

/// Whoever comes second either waits for nothing and says so, or finds what the first has made.
#[test]
fn runs_at_the_same_time_leave_passwords_that_agree() {
    let dir = place();
    let out = dir.path().join("etc");
    let args = ["gen-rsyncd-conf", "--out", out.to_str().unwrap(), "-c"];
    let file = dir.path().join("sersync.toml");
    let all: Vec<_> = (0..8).map(|_| Sersync::new(&args).arg(&file).spawn()).collect();
    let codes: Vec<Option<i32>> = all.into_iter().map(|run| run.wait(SOON).code).collect();
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 11))), "{codes:?}");
    let secrets = read(&out.join("rsyncd.secrets"));
    for (user, name) in [("rsync", "rsync.passwd"), ("other", "other.passwd")] {
        let line = format!("{user}:{}", read(&out.join("sersync").join(name)));
        assert!(secrets.contains(&line), "{codes:?}");
    }
    let held = fs::File::open(&out).unwrap();
    held.lock().unwrap();
    run(&dir, &["--out", out.to_str().unwrap()]).code(11).stderr_has("another `sersync gen-rsyncd-conf` is writing to");
    run(&dir, &["--out", out.to_str().unwrap(), "--diff"]).code(0);
}

#[test]
fn nothing_is_changed_when_one_of_the_files_cannot_be_written() {
    let dir = place();
    let out = dir.path().join("etc");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("logrotate.d"), "a file in the place of a directory").unwrap();
    let output = run(&dir, &["--out", out.to_str().unwrap()]).code(1);
    output.stderr_has("logrotate.d/rsyncd cannot be written, and no file is changed: ");
    let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "logrotate.d" || name == "sersync"), "{names:?}");
    assert_eq!(fs::read_dir(out.join("sersync")).map_or(0, Iterator::count), 0);
    assert!(!dir.path().join("modules").exists());
}

/// logrotate reads every file of its directory, also one that a killed run has left there half written.
#[test]
fn what_a_killed_run_has_left_is_read_by_nobody_and_goes_with_the_next() {
    let dir = place();
    let out = dir.path().join("etc");
    let left = out.join("logrotate.d/.sersync-staging");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join(".tmpAbCdEf"), "half").unwrap();
    run(&dir, &["--out", out.to_str().unwrap()]).code(0);
    let names: Vec<_> =
        fs::read_dir(out.join("logrotate.d")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["rsyncd"]);
    assert!(!out.join(".sersync-staging").exists() && !out.join("sersync/.sersync-staging").exists());
}

#[test]
fn what_is_no_directory_is_refused_before_anything_is_written() {
    let dir = place();
    let out = dir.path().join("etc");
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "").unwrap();
    symlink("/nonexistent/elsewhere", &link).unwrap();
    for (path, words) in [(&file, "/file is no directory"), (&link, "/link is a link that leads nowhere")] {
        let args = ["--out", out.to_str().unwrap(), "--run-dir", path.to_str().unwrap()];
        run(&dir, &args).code(4).stderr_has(words);
        assert!(!out.exists());
    }
    let locks = dir.path().join("locks");
    let args = ["--out", out.to_str().unwrap(), "--run-dir", locks.to_str().unwrap()];
    run(&dir, &[&args[..], &["--diff"]].concat()).code(0).stdout_has("/locks/: would be made");
    run(&dir, &args).code(0);
    assert!(locks.is_dir());
}

#[test]
fn a_directory_that_belongs_to_another_than_who_writes_is_named() {
    let dir = place();
    let out = dir.path().join("etc");
    let args = ["--out", out.to_str().unwrap()];
    run(&dir, &args).code(0);
    run(&dir, &[&args[..], &["--uid", "4321", "--gid", "4321"]].concat()).code(0).stderr_has("run `chown 4321:4321 ");
}

#[test]
fn a_module_is_named_once_and_an_address_is_one() {
    let dir = place();
    run(&dir, &["--module", "backup1=/a", "--module", "backup1=/b"]).code(2).stderr_has("is named twice");
    run(&dir, &["--hosts-allow", "10.0.0.300"]).code(2).stderr_has("is no address");
}

#[test]
fn a_link_in_the_place_of_a_file_stays_unless_forced() {
    let dir = place();
    let out = dir.path().join("etc");
    let args = ["--out", out.to_str().unwrap()];
    fs::create_dir(&out).unwrap();
    for name in ["rsyncd.conf", "rsyncd.secrets"] {
        symlink("/nonexistent/elsewhere", out.join(name)).unwrap();
    }
    run(&dir, &args).code(4).stderr_has("rsyncd.conf were written or edited by somebody else");
    assert!(out.join("rsyncd.conf").is_symlink() && out.join("rsyncd.secrets").is_symlink());
    run(&dir, &[&args[..], &["--force"]].concat()).code(0);
    assert!(!out.join("rsyncd.conf").is_symlink() && !out.join("rsyncd.secrets").is_symlink());
    // One that leads to an older version of our own is somebody's decision as well.
    let (conf, elsewhere) = (out.join("rsyncd.conf"), dir.path().join("elsewhere"));
    fs::rename(&conf, &elsewhere).unwrap();
    symlink(&elsewhere, &conf).unwrap();
    run(&dir, &args).code(0);
    run(&dir, &[&args[..], &["--port", "8730"]].concat()).code(4);
    assert!(conf.is_symlink());
}

/// What is printed is given to a shell, which has to come by the same names.
#[test]
fn what_is_left_to_do_can_be_pasted() {
    let dir = place();
    let odd = dir.path().join("it's $HOME; a \"dir\"");
    fs::create_dir(&odd).unwrap();
    let module = format!("backup1={}/the module", odd.display());
    let args = ["backup1", "--out", odd.to_str().unwrap(), "--installed-in", "/opt/a b", "--module", &module];
    let said = run(&dir, &args).code(0).stdout;
    let step = |verb: &str| {
        let line = said.lines().find_map(|line| line.split_once(verb)).unwrap_or_else(|| panic!("{verb}: {said}"));
        let script = format!("printf '%s\\n' {verb}{}", line.1);
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let odd = odd.display();
    assert_eq!(
        step("rsync -rps"),
        ["rsync".to_owned(), "-rps".to_owned(), format!("{odd}/"), "SERVER:/opt/a b/".to_owned()]
    );
    assert_eq!(step("install -d").last().unwrap(), &format!("{odd}/the module"));
    assert_eq!(step("rsync --daemon").last().unwrap(), "--config=/opt/a b/rsyncd.conf");
    assert_eq!(step("rsync -ps --mkpath")[3], format!("{odd}/sersync/rsync.passwd"));
}

#[test]
fn directories_that_get_in_each_others_way_are_refused_whatever_leads_there() {
    let dir = place();
    let (root, out) = (dir.path().display(), dir.path().join("etc"));
    fs::create_dir_all(dir.path().join("real/etc")).unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let refused = |args: &[&str], out: &str, why: &str| {
        run(&dir, &[args, &["--out", out]].concat()).code(2).stderr_has(why);
    };
    let two = [format!("backup1={root}/real/m"), format!("backup2={root}/link/m")];
    refused(&["--module", &two[0], "--module", &two[1]], out.to_str().unwrap(), "have the same directory, ");
    let module = format!("backup1={root}/real");
    refused(&["--module", &module], &format!("{root}/link/etc"), "passwords, ");
    refused(&["--module", &module, "--log-file", &format!("{root}/link/log")], out.to_str().unwrap(), "log, ");
    // What is written for the clients, and for logrotate, lies beside the daemon's own files.
    let etc = out.to_str().unwrap();
    for (below, why) in [("sersync", "password for clients, "), ("logrotate.d", "rotation of its log, ")] {
        let module = format!("backup1={root}/etc/{below}");
        refused(&["--module", &module], etc, why);
        refused(&["--module", &module, "--diff"], etc, why);
        run(&dir, &["--module", &format!("backup1=/etc/{below}")]).code(2).stderr_has(why);
        let (module, there) = (format!("backup1=/opt/x/{below}"), ["--installed-in", "/opt/x"]);
        refused(&[&["--module", &module], &there[..]].concat(), etc, why);
    }
    assert!(!out.exists() && fs::read_dir(dir.path().join("real/etc")).unwrap().count() == 0);
}

/// Reading a pipe would never end, and nobody means to write into a directory.
#[test]
fn what_is_no_regular_file_is_refused_instead_of_waited_for() {
    for name in ["rsyncd.conf", "rsyncd.secrets", "sersync/rsync.passwd", "logrotate.d/rsyncd"] {
        for pipe in [true, false] {
            let dir = place();
            let (out, schedule) = (dir.path().join("etc"), dir.path().join("cron.d"));
            fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
            fs::create_dir(&schedule).unwrap();
            for path in [out.join(name), schedule.join("sersync")] {
                if pipe {
                    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
                } else {
                    fs::create_dir(&path).unwrap();
                }
            }
            let why =
                format!("{name} cannot be read: it is no regular file; remove it, or write into another directory");
            for more in [&[][..], &["--diff"], &["--force"]] {
                run(&dir, &[&["--out", out.to_str().unwrap()], more].concat()).code(1).stderr_has(&why);
            }
            let sersync = Sersync::new(&["gen-schedule", "--cron", "--out"]).arg(&schedule);
            sersync.arg("-c").arg(dir.path().join("sersync.toml")).run().code(1).stderr_has("it is no regular file");
        }
    }
}

#[test]
fn another_password_from_the_environment_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc");
    let run = |password: &str, more: &[&str]| {
        let sersync = Sersync::new(&["gen-rsyncd-conf", "--from-env", "--out"]).arg(&etc).args(more);
        sersync.env("RSYNCD_PATH", dir.path().join("data")).env("RSYNCD_PASSWD", password).run()
    };
    run("one-password-that-is-long", &[]).code(0);
    run("one-password-that-is-long", &[]).code(0);
    let refused = run("another-password-that-is-long", &[]).code(4);
    let refused = refused.stderr_has("the password that is given for `rsync` is not the one in ");
    assert!(!refused.stderr.contains("somebody else") && !refused.stderr.contains("that-is-long"), "{refused}");
    run("another-password-that-is-long", &["--force"]).code(0);
    assert_eq!(read(&etc.join("sersync/rsync.passwd")), "another-password-that-is-long\n");
}

#[test]
fn variables_that_are_no_text_are_refused() {
    let odd = OsStr::from_bytes(b"p\xffssword-that-is-long");
    let output = Sersync::new(&["gen-rsyncd-conf", "--from-env", "--show"]).env("RSYNCD_PASSWD", odd).run().code(2);
    assert_eq!(output.stderr, "error: RSYNCD_PASSWD is not UTF-8\n");
    let output = Sersync::new(&["gen-rsyncd-conf", "--from-env"]).env("RSYNCD_HOSTS_ALLOW", " , ").run().code(2);
    assert_eq!(output.stderr, "error: RSYNCD_HOSTS_ALLOW names no host; leave it out for all private networks\n");
}

/// The longest password that is taken is the longest that rsync reads as a whole.
#[test]
fn the_longest_password_is_that_of_rsync() {
    for (length, taken) in [(511, true), (512, false)] {
        let password = "a".repeat(length);
        let output = Sersync::new(&["gen-rsyncd-conf", "--from-env"]).env("RSYNCD_PASSWD", &password).run();
        output.code(if taken { 0 } else { 2 });
        let daemon = Rsyncd::builder().chroot(false).auth("rsync", &password).start();
        let mut rsync = Command::new("rsync");
        rsync.arg(format!("--password-file={}", daemon.password_file().display())).arg(daemon.url_in("mod", ""));
        assert_eq!(rsync.output().unwrap().status.success(), taken, "{length}");
    }
    let dir = place();
    let own = dir.path().join("own.passwd");
    fs::write(&own, "a".repeat(600)).unwrap();
    fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    config(&dir, &read(&dir.path().join("sersync.toml")).replace("/etc/sersync/rsync.passwd", own.to_str().unwrap()));
    let out = dir.path().join("etc");
    run(&dir, &["--out", out.to_str().unwrap(), "backup1"]).code(4).stderr_has("is longer than 511 bytes");
}

#[test]
fn who_may_not_write_is_told_to_be_root() {
    if !is_root() {
        skip("whoever makes the directories may write to them");
        return;
    }
    let dir = place();
    let out = dir.path().join("etc");
    fs::create_dir(&out).unwrap();
    for command in [&["gen-rsyncd-conf"][..], &["gen-schedule", "--cron"]] {
        let sersync = Sersync::as_nobody(&dir, command).arg("-c").arg(dir.path().join("sersync.toml")).arg("--out");
        sersync.arg(&out).run().code(1).stderr_has("Permission denied").stderr_has("; run it as root");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }
}

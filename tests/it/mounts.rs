//! Sources with other file systems mounted inside: what is mounted, or is not, never deletes anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, fixture, is_root, skip, wait_for};

for_each_source! {
    by_default_other_file_systems_are_not_entered_and_what_the_mirror_has_there_stays,
    with_one_file_system_off_everything_is_mirrored,
    what_is_unmounted_or_mounted_while_it_watches_is_noticed,
    all_file_systems_are_followed_when_that_is_wanted,
}

/// A file system in memory, mounted while this lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Nothing when this user cannot mount; the test is reported as skipped then, and has to return.
    pub(crate) fn tmpfs(on: &Path) -> Option<Mount> {
        Self::tmpfs_with(on, "rw")
    }

    /// The same with options, such as `size=64k`.
    pub(crate) fn tmpfs_with(on: &Path, options: &str) -> Option<Mount> {
        if !is_root() {
            skip("only root can mount a file system");
            return None;
        }
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "sersync-test"]).arg(on).status().expect("mount");
        assert!(status.success(), "mount: {status}");
        Some(Mount(on.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status().expect("umount");
        assert!(status.success() || std::thread::panicking(), "umount: {status}");
    }
}

fn configured(place: &Place, daemon: &Rsyncd, more: &str) -> PathBuf {
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[watch]\ndelay = '50ms'\n[full-sync]\nmax-delete = '100%'\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n{more}",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    config(&place.dir, &text)
}

fn run(place: &Place, command: &str, config: &Path) -> Sersync {
    Sersync::new(&[command, "-v", "-c"]).arg(config).state_dir(&place.dir.path().join("state"))
}

fn by_default_other_file_systems_are_not_entered_and_what_the_mirror_has_there_stays() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    fs::write(mount_point.join("below"), "from before").unwrap();
    let config = configured(&place, &daemon, "");
    run(&place, "full-sync", &config).run().code(0);
    assert_same(&place.source(), &daemon.module_path().join("name"));
    let Some(mount) = Mount::tmpfs(&mount_point) else { return };
    fs::write(mount_point.join("elsewhere"), "of another file system").unwrap();
    fs::write(place.source().join("a/new"), "new").unwrap();
    let mirror = daemon.module_path().join("name");
    let check = |when: &str| {
        assert!(!mirror.join("a/mnt/elsewhere").exists(), "{when}");
        assert!(mirror.join("a/mnt/below").exists(), "{when}");
    };
    run(&place, "full-sync", &config).run().code(0);
    check("after a pass");
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    fs::write(mount_point.join("more elsewhere"), "x").unwrap();
    // The directory of the mount is touched from outside, and its neighbours change.
    fs::rename(place.source().join("a"), place.source().join("b")).unwrap();
    fs::rename(place.source().join("b"), place.source().join("a")).unwrap();
    fs::write(place.source().join("a/last"), "last").unwrap();
    wait_until_same(&place.source().join("a/last"), &mirror.join("a/last"), SOON);
    running.terminate().signal(Signal::TERM);
    assert!(!mirror.join("a/mnt/elsewhere").exists() && !mirror.join("a/mnt/more elsewhere").exists());
    drop(mount);
    run(&place, "full-sync", &config).run().code(0);
    assert_same(&place.source(), &mirror);
}

fn with_one_file_system_off_everything_is_mirrored() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    let Some(_mount) = Mount::tmpfs(&mount_point) else { return };
    fs::create_dir(mount_point.join("d")).unwrap();
    fs::write(mount_point.join("d/elsewhere"), "of another file system").unwrap();
    let config = configured(&place, &daemon, "one-file-system = false\n");
    run(&place, "full-sync", &config).run().code(0);
    let mirror = daemon.module_path().join("name");
    assert_same(&place.source(), &mirror);
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    fs::write(mount_point.join("d/live"), "x").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    running.terminate().signal(Signal::TERM);
}

fn what_is_unmounted_or_mounted_while_it_watches_is_noticed() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a b/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    fs::write(mount_point.join("below"), "from before").unwrap();
    let mirror = daemon.module_path().join("name");
    let Some(mount) = Mount::tmpfs(&mount_point) else { return };
    let config = configured(&place, &daemon, "");
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    assert!(!mirror.join("a b/mnt/below").exists());
    drop(mount);
    running.wait_for_log("was unmounted from", SOON);
    wait_until_same(&place.source(), &mirror, SOON);
    fs::write(mount_point.join("later"), "x").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    let mount = Mount::tmpfs(&mount_point);
    running.wait_for_log("was mounted at", SOON);
    fs::write(place.source().join("end"), "x").unwrap();
    wait_until_same(&place.source().join("end"), &mirror.join("end"), SOON);
    assert!(mirror.join("a b/mnt/later").exists(), "what the mirror has there stays");
    drop(mount);
    running.terminate().signal(Signal::TERM);
}

fn all_file_systems_are_followed_when_that_is_wanted() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("mnt");
    fs::create_dir_all(mount_point.join("sub")).unwrap();
    fs::write(place.source().join("f"), "f").unwrap();
    let mirror = daemon.module_path().join("name");
    let config = configured(&place, &daemon, "one-file-system = false\n");
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    let Some(mount) = Mount::tmpfs(&mount_point) else { return };
    running.wait_for_log("was mounted at", SOON);
    fs::create_dir(mount_point.join("d")).unwrap();
    fs::write(mount_point.join("d/elsewhere"), "x").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    // Nothing in it is pending any more: what was reported before a file that has arrived was sent with it.
    for name in ["settled", "and what came of that"] {
        fs::write(place.source().join(name), "x").unwrap();
        wait_until_same(&place.source().join(name), &mirror.join(name), SOON);
    }
    drop(mount);
    running.wait_for_log("its mirror stays", SOON);
    fs::write(place.source().join("end"), "x").unwrap();
    wait_until_same(&place.source().join("end"), &mirror.join("end"), SOON);
    assert!(mirror.join("mnt/d/elsewhere").exists());
    // What is there instead is followed from then on.
    let mut changes = 0;
    wait_for("what changes where it was mounted", SOON, || {
        changes += 1;
        fs::write(mount_point.join("sub/under"), changes.to_string()).unwrap();
        mirror.join("mnt/sub/under").exists()
    });
    running.terminate().signal(Signal::TERM);
}

#[test]
fn what_is_unmounted_by_force_during_a_pass_is_said() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    let Some(mount) = Mount::tmpfs(&mount_point) else { return };
    fs::write(mount_point.join("elsewhere"), "of another file system").unwrap();
    let config = configured(&place, &daemon, "one-file-system = false\n");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("[rsync]", "[rsync]\nbwlimit = '1M'", 1)).unwrap();
    run(&place, "full-sync", &config).run().code(0);
    fs::write(place.source().join("slow"), fixture::bytes(4 << 20)).unwrap();
    let pass = run(&place, "full-sync", &config).spawn();
    let mirror = daemon.module_path().join("name");
    wait_for("the slow file to be on its way", SOON, || {
        fs::read_dir(&mirror).unwrap().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".slow."))
    });
    // In the ordinary way it cannot be unmounted while it is mirrored.
    let output = Command::new("umount").arg(&mount_point).output().unwrap();
    assert!(!output.status.success());
    drop(mount);
    pass.wait(SOON).code(3).stderr_has("a/mnt: was unmounted during the pass");
    run(&place, "full-sync", &config).run().code(3).stderr_has("a/mnt: is left as it is");
}

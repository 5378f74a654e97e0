//! Sources with other file systems mounted inside: what is mounted, or is not, never deletes anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::sersync::{Running, Sersync, config};
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, fixture, is_root, skip, wait_for};

for_each_source! {
    by_default_other_file_systems_are_not_entered_and_what_the_mirror_has_there_stays,
    with_one_file_system_off_everything_is_mirrored,
    what_is_unmounted_or_mounted_while_it_watches_is_noticed,
    all_file_systems_are_followed_when_that_is_wanted,
    what_is_pending_when_it_is_unmounted_deletes_nothing,
    what_is_deleted_around_it_leaves_what_was_mounted_there,
    a_mount_that_moves_takes_its_mirror_with_it,
    what_is_being_sent_cannot_be_unmounted_but_by_force_which_is_said,
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

    /// Unmounts it in the ordinary way, as soon as nobody is at work in it.
    pub(crate) fn unmount(self) {
        wait_for("it to be unmounted", SOON, || self.can_be_unmounted());
        std::mem::forget(self);
    }

    /// The same mount, which is at another place now.
    fn at(self, place: &Path) -> Mount {
        std::mem::forget(self);
        Mount(place.to_owned())
    }

    /// Tries to unmount it.
    fn can_be_unmounted(&self) -> bool {
        Command::new("umount").arg(&self.0).output().expect("umount").status.success()
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
    mount.unmount();
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

/// Settings that stay.
const AS_EVER: (&str, &str) = ("50ms", "50ms");

/// A source of which all file systems are mirrored, with something mounted, and a watch that has caught up; `settings` are put in
/// the place of others.
fn followed(place: &Place, daemon: &Rsyncd, mount_point: &Path, settings: (&str, &str)) -> Option<(Mount, Running)> {
    fs::create_dir_all(mount_point).unwrap();
    let mount = Mount::tmpfs(mount_point)?;
    fs::create_dir(mount_point.join("d")).unwrap();
    fs::write(mount_point.join("d/elsewhere"), "x").unwrap();
    let config = configured(place, daemon, "one-file-system = false\n");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen(settings.0, settings.1, 1)).unwrap();
    let running = run(place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    Some((mount, running))
}

fn what_is_pending_when_it_is_unmounted_deletes_nothing() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (mount_point, mirror) = (place.source().join("m [1]"), daemon.module_path().join("name"));
    let Some((mount, running)) = followed(&place, &daemon, &mount_point, ("50ms", "1s")) else { return };
    assert_same(&place.source(), &mirror);
    fs::write(mount_point.join("d/elsewhere"), "written before it is gone").unwrap();
    fs::rename(mount_point.join("d"), mount_point.join("e")).unwrap();
    fs::rename(mount_point.join("e"), mount_point.join("d")).unwrap();
    fs::write(place.source().join("end"), "x").unwrap();
    mount.unmount();
    wait_until_same(&place.source().join("end"), &mirror.join("end"), SOON);
    assert!(mirror.join("m [1]/d/elsewhere").exists(), "{}", running.stderr_so_far());
    // Mounted again, it is mirrored as it is then.
    let mount = Mount::tmpfs(&mount_point).unwrap();
    fs::write(mount_point.join("other"), "y").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    mount.unmount();
    running.terminate().signal(Signal::TERM);
    assert!(mirror.join("m [1]/other").exists());
}

fn what_is_deleted_around_it_leaves_what_was_mounted_there() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (above, mirror) = (place.source().join("a/b"), daemon.module_path().join("name"));
    let Some((mount, running)) = followed(&place, &daemon, &above.join("mnt"), AS_EVER) else { return };
    fs::write(above.join("beside"), "x").unwrap();
    fs::write(place.source().join("a/file"), "x").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    mount.unmount();
    running.wait_for_log("its mirror stays", SOON);
    fs::remove_dir_all(place.source().join("a")).unwrap();
    fs::write(place.source().join("end"), "x").unwrap();
    wait_for("what was beside it to be deleted", SOON, || {
        mirror.join("end").exists() && !mirror.join("a/file").exists() && !mirror.join("a/b/beside").exists()
    });
    assert!(mirror.join("a/b/mnt/d/elsewhere").exists(), "{}", running.stderr_so_far());
    // In its place there may be something else.
    fs::create_dir_all(above.join("mnt/d")).unwrap();
    fs::write(above.join("mnt/d/new"), "x").unwrap();
    wait_until_same(&above.join("mnt/d/new"), &mirror.join("a/b/mnt/d/new"), SOON);
    assert!(mirror.join("a/b/mnt/d/elsewhere").exists(), "{}", running.stderr_so_far());
    running.terminate().signal(Signal::TERM);
}

fn a_mount_that_moves_takes_its_mirror_with_it() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (source, mirror) = (place.source(), daemon.module_path().join("name"));
    let Some((mount, running)) = followed(&place, &daemon, &source.join("a/mnt"), AS_EVER) else { return };
    assert_same(&source, &mirror);
    fs::rename(source.join("a"), source.join("b")).unwrap();
    let mount = mount.at(&source.join("b/mnt"));
    wait_until_same(&source, &mirror, SOON);
    fs::write(source.join("b/mnt/later"), "x").unwrap();
    wait_until_same(&source, &mirror, SOON);
    mount.unmount();
    running.wait_for_log("its mirror stays", SOON);
    running.terminate().signal(Signal::TERM);
    assert!(mirror.join("b/mnt/d/elsewhere").exists());
}

fn what_is_being_sent_cannot_be_unmounted_but_by_force_which_is_said() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (mount_point, mirror) = (place.source().join("mnt"), daemon.module_path().join("name"));
    let slowly = ("[rsync]", "[rsync]\nbwlimit = '1M'");
    let Some((mount, running)) = followed(&place, &daemon, &mount_point, slowly) else { return };
    fs::write(mount_point.join("slow"), fixture::bytes(4 << 20)).unwrap();
    wait_until_on_its_way(&mirror.join("mnt"));
    assert!(!mount.can_be_unmounted());
    drop(mount);
    running.wait_for_log("was unmounted while it was mirrored", SOON);
    running.terminate().signal(Signal::TERM);
}

/// The slow file is being sent.
fn wait_until_on_its_way(directory: &Path) {
    wait_for("the slow file to be on its way", SOON, || {
        let mut names = fs::read_dir(directory).unwrap().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with(".slow."))
    });
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
    wait_until_on_its_way(&daemon.module_path().join("name"));
    // In the ordinary way it cannot be unmounted while it is mirrored.
    let output = Command::new("umount").arg(&mount_point).output().unwrap();
    assert!(!output.status.success());
    drop(mount);
    pass.wait(SOON).code(3).stderr_has("a/mnt: was unmounted during the pass");
    run(&place, "full-sync", &config).run().code(3).stderr_has("a/mnt: is left as it is");
}

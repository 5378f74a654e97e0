//! Ending processes without racing against the reuse of their ids: a child is signalled before it is reaped, never after.

use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal};

use super::{SOON, holds_within};

/// Waits until the child has ended, without reaping it: its id stays its own. False when `limit` passed first.
pub(crate) fn ends_within(child: &Child, limit: Duration) -> bool {
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("pidfd_open");
    let limit = Timespec::try_from(limit).expect("a limit that fits");
    loop {
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// Sends a signal to a child that was not reaped yet.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("kill");
}

/// Sends a signal to the process group that an unreaped child leads.
pub(crate) fn signal_group(child: &Child, signal: Signal) {
    kill_process_group(Pid::from_child(child), signal).expect("kill");
}

/// How many processes of the group that a child leads still run.
pub(crate) fn members(child: &Child) -> usize {
    running_members(Pid::from_child(child))
}

/// The children of a process, those of all its threads.
pub(crate) fn children_of(id: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// Kills a grandchild, which nobody else here can reap: its parent may do so at any time, so the handle is opened first, and
/// only what is still a child of that parent then is killed. False when it is none any more.
pub(crate) fn kill_grandchild(parent: u32, id: u32) -> bool {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    children_of(parent).contains(&id) && pidfd_send_signal(handle, Signal::KILL).is_ok()
}

/// Kills the process group that an unreaped child leads, reaps the child and waits until no member runs any more, so
/// that nothing is written behind the test's back. False when that did not come about; no panic, for the sake of `drop`.
#[must_use]
pub(crate) fn kill_group(child: &mut Child) -> bool {
    let group = Pid::from_child(child);
    kill_process_group(group, Signal::KILL).is_ok()
        && child.wait().is_ok()
        && holds_within(SOON, || running_members(group) == 0)
}

/// How many processes of a group still run. The kernel's own answer (signal 0) counts zombies too, and those may stay
/// for ever in a container whose first process reaps nothing.
fn running_members(group: Pid) -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let stats = processes.flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| is_running_in(stat, group)).count()
}

/// Reads one `/proc/PID/stat`: `pid (name) state ppid pgrp ...`, where the name may hold anything, brackets too.
fn is_running_in(stat: &str, group: Pid) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let mut fields = rest.split_whitespace();
    let runs = fields.next().is_some_and(|state| !matches!(state, "Z" | "X"));
    runs && fields.nth(1) == Some(&group.to_string())
}

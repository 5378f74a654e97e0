//! A file system of its own in memory, for mirrors: in earnest they are on another machine, and whoever watches the file
//! system of the source hears nothing of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A mounted file system. It is unmounted with its value.
#[derive(Debug)]
pub(crate) struct Memory {
    path: PathBuf,
}

impl Memory {
    /// Mounts one on a directory; nothing where that is not allowed.
    pub(crate) fn mount(path: &Path) -> Option<Memory> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "sersync-bench"]).arg(path).stderr(Stdio::null());
        let mounted = command.status().is_ok_and(|status| status.success());
        mounted.then(|| Memory { path: path.to_owned() })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Sessions that are just ending may still hold it; nobody is left to be told of an error.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

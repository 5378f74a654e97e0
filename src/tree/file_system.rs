//! What kinds of file systems do and do not do.

use std::path::Path;

/// The number that the kernel has for this kind of file system (statfs(2), `linux/magic.h`).
#[allow(
    clippy::cast_sign_loss,
    reason = "the type is a number of 32 or 64 bits with or without a sign, by architecture"
)]
fn kind(dir: &Path) -> Option<u64> {
    rustix::fs::statfs(dir).ok().map(|stat| stat.f_type as u64 & 0xffff_ffff)
}

/// Whether the times of what is there come from this machine's clock, so that a moment of this clock can be compared with
/// them.
#[must_use]
pub fn uses_our_clock(root: &Path) -> bool {
    /// NFS, SMB, CIFS, SMB2, FUSE, 9p, AFS, Ceph, Coda, Lustre (statfs(2), `linux/magic.h`).
    const REMOTE: [u64; 10] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x5346_414f,
        0x00c3_6400,
        0x7375_7245,
        0x0bd0_0bd0,
    ];
    kind(root).is_some_and(|kind| !REMOTE.contains(&kind))
}

/// The device of the root, if its file system counts the links of its directories: each directory in a directory is one more
/// of those. Many others do not (Btrfs, overlayfs, and what comes over a network).
#[must_use]
pub fn counts_links(root: &Path) -> Option<u64> {
    /// ext2, ext3 and ext4; XFS; tmpfs (statfs(2)).
    const COUNTING: [u64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];
    let kind = kind(root)?;
    let device = rustix::fs::stat(root).ok()?.st_dev;
    COUNTING.contains(&kind).then_some(device)
}

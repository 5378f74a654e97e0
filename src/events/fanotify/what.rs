//! What an event says has happened. Pure.

/// What happened: the bits of fanotify(7). One event may stand for several, whose order is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct What(pub(super) u64);

impl What {
    pub(super) const MODIFY: u64 = 0x2;
    pub(super) const MOVED_FROM: u64 = 0x40;
    pub(super) const MOVED_TO: u64 = 0x80;
    pub(super) const CREATE: u64 = 0x100;
    pub(super) const DELETE: u64 = 0x200;
    pub(super) const ON_DIR: u64 = 0x4000_0000;

    /// It is a directory to which it happened.
    pub(super) fn is_dir(self) -> bool {
        self.0 & Self::ON_DIR != 0
    }

    /// Something new may have this name: created, linked or moved here.
    pub(super) fn arrived(self) -> bool {
        self.0 & (Self::CREATE | Self::MOVED_TO) != 0
    }

    /// A directory may have left this name, or come to it from elsewhere.
    pub(super) fn moved(self) -> bool {
        self.is_dir() && self.0 & (Self::MOVED_FROM | Self::MOVED_TO) != 0
    }

    /// Something came to this name by a rename.
    pub(super) fn moved_here(self) -> bool {
        self.0 & Self::MOVED_TO != 0
    }

    /// Something may have left this name.
    pub(super) fn left(self) -> bool {
        self.0 & (Self::MOVED_FROM | Self::DELETE) != 0
    }

    /// The content may have changed.
    pub(super) fn written(self) -> bool {
        self.0 & Self::MODIFY != 0
    }

    /// Both of them happened.
    pub(super) fn and(self, other: What) -> What {
        What(self.0 | other.0)
    }
}

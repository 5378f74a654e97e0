//! What names a directory in an event, whatever its path is by now. Pure; any bytes may come.

/// What names a directory: the file system's number, then the `struct file_handle`, as they stand in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Handle<'a>(&'a [u8]);

impl<'a> Handle<'a> {
    /// From bytes that were those of a handle.
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Option<Handle<'a>> {
        let length = u32::from_ne_bytes(array(bytes, 8)?);
        (Some(bytes.len()) == usize::try_from(length).ok()?.checked_add(16)).then_some(Handle(bytes))
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The number of the file system, as `statfs(2)` gives it.
    pub(super) fn file_system(self) -> [u8; 8] {
        array(self.0, 0).unwrap_or_default()
    }

    pub(super) fn kind(self) -> i32 {
        i32::from_ne_bytes(array(self.0, 12).unwrap_or_default())
    }

    /// The handle as the file system has made it.
    pub(super) fn opaque(self) -> &'a [u8] {
        self.0.get(16..).unwrap_or_default()
    }
}

/// So many bytes from a place on, if there are so many.
pub(super) fn array<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    bytes.get(start..)?.first_chunk().copied()
}

//! Paths as they are written in the configuration: made plain without a look at the file system.

use std::path::{Component, Path, PathBuf};

use crate::report::text;

/// An absolute path without `.`, doubled and trailing slashes.
pub(super) fn absolute(path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') {
        return Err(format!("\"{}\" is not absolute; start it with `/`", path.escape_debug()));
    }
    plain(path)
}

/// A marker file's path, relative to the root of its source.
pub(super) fn marker(written: &str, source: &Path) -> Result<PathBuf, String> {
    let path = plain(written)?;
    let inside = if path.is_absolute() {
        let outside = |_| {
            let (path, source) = (text::path(&path), text::path(source));
            format!("\"{path}\" is not inside {source}; name a file inside the source")
        };
        path.strip_prefix(source).map_err(outside)?
    } else {
        &path
    };
    if inside.as_os_str().is_empty() {
        return Err("this is the source itself; name a file inside it".to_owned());
    }
    Ok(inside.to_owned())
}

fn plain(path: &str) -> Result<PathBuf, String> {
    let shown = path.escape_debug();
    if path.contains('\0') {
        return Err(format!("\"{shown}\" contains a NUL character, which no path can"));
    }
    if Path::new(path).components().any(|component| component == Component::ParentDir) {
        return Err(format!("\"{shown}\" contains `..`; write the path without it"));
    }
    Ok(Path::new(path).components().filter(|component| *component != Component::CurDir).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_dots_are_normalised() {
        for path in ["/a/b", "/a/b/", "//a//b", "/./a/./b/."] {
            assert_eq!(absolute(path).unwrap(), Path::new("/a/b"), "{path}");
        }
        assert_eq!(absolute("/").unwrap(), Path::new("/"));
    }

    #[test]
    fn what_depends_on_the_surroundings_is_refused() {
        for path in ["", "a", "./a", "~/a", "/a/../b", "/a\0b"] {
            assert!(absolute(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_marker_is_stored_relative_to_its_source() {
        let source = Path::new("/data/file");
        assert_eq!(marker(".here", source).unwrap(), Path::new(".here"));
        assert_eq!(marker("/data/file/a/.here", source).unwrap(), Path::new("a/.here"));
        assert_eq!(marker("/.here", Path::new("/")).unwrap(), Path::new(".here"));
        for written in ["", ".", "../x", "/data/other", "/data/file", "/data/file2/x"] {
            assert!(marker(written, source).is_err(), "{written}");
        }
    }
}

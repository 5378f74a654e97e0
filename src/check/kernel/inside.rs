//! Paths of a host whose root directory is somewhere else: links in it are followed as that host would follow them, so that
//! none leads out.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The kernel follows no more links for one path.
const MOST_LINKS: usize = 40;

/// Where a path of the host is that has its root directory at `root`. What is missing at its end is kept as it is.
///
/// # Errors
/// When links lead round in a circle.
pub fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    if root == Path::new("/") {
        return Ok(root.join(path));
    }
    let mut left: VecDeque<OsString> = VecDeque::new();
    let put_before = |left: &mut VecDeque<OsString>, path: &Path| {
        let parts: Vec<Component<'_>> = path.components().collect();
        for part in parts.into_iter().rev() {
            match part {
                Component::Normal(name) => left.push_front(name.to_owned()),
                Component::ParentDir => left.push_front("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    };
    put_before(&mut left, path);
    let mut below = PathBuf::new();
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            // Above the root is the root.
            below.pop();
            continue;
        }
        let Ok(target) = root.join(&below).join(&name).read_link() else {
            below.push(name);
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("links lead round in a circle"));
        }
        if target.is_absolute() {
            below.clear();
        }
        put_before(&mut left, &target);
    }
    Ok(root.join(below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        for (link, target) in
            [("absolute", "/a/b"), ("up", "../../../../a"), ("a/b/relative", "../../absolute/x"), ("round", "round")]
        {
            symlink(target, root.join(link)).unwrap();
        }
        for (path, place) in [
            ("/a/b/c/d", "a/b/c/d"),
            ("absolute/x", "a/b/x"),
            ("/up/b", "a/b"),
            ("/a/b/relative", "a/b/x"),
            ("/../../etc", "etc"),
            ("/", ""),
        ] {
            assert_eq!(resolve(&root, Path::new(path)).unwrap(), root.join(place), "{path}");
        }
        assert!(resolve(&root, Path::new("/round/x")).is_err());
        assert_eq!(resolve(Path::new("/"), Path::new("etc/x")).unwrap(), Path::new("/etc/x"));
    }
}

//! Compares text with the files in `tests/golden`. `UPDATE_GOLDEN=1` rewrites them instead.

use std::path::Path;

/// Panics with the differing lines when `text` is not what `tests/golden/NAME` holds.
#[track_caller]
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("the directory");
        std::fs::write(&path, text).expect("write the golden file");
        return;
    }
    let golden = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error} (UPDATE_GOLDEN=1 creates it)\n{text}", path.display()));
    assert!(
        golden == text,
        "{} differs (UPDATE_GOLDEN=1 takes the new text over):\n{}",
        path.display(),
        line_diff(&golden, text)
    );
}

/// Replaces what differs from run to run: paths, ports. In the given order, so the longer ones go first.
pub(crate) fn normalise(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Replaces the sums in the first lines of generated files, which differ with every path in them.
pub(crate) fn without_sums(text: &str) -> String {
    let plain = |line: &str| match line.split_once(", sum ") {
        Some((before, rest)) => format!("{before}, sum SUM{}", &rest[16..]),
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(plain).collect()
}

/// Every line of both texts: ` ` in both, `-` only in the old one, `+` only in the new one. Line ends are shown as far
/// as they differ.
pub(crate) fn line_diff(old: &str, new: &str) -> String {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    // common[i][j]: how many lines old[i..] and new[j..] have in common, in order.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut diff = String::new();
    while i < old.len() || j < new.len() {
        let (sign, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            (' ', old[i - 1])
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', old[i - 1])
        } else {
            j += 1;
            ('+', new[j - 1])
        };
        diff.push(sign);
        diff.push_str(line);
        if !line.ends_with('\n') {
            diff.push_str("\n\\ no newline at the end\n");
        }
    }
    diff
}

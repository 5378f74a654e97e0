//! Tables in Markdown, with columns that are aligned for those who read the source, and the file that they go to.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Figures.
    Right,
}

/// A table that grows row by row.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        Table { columns: columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.columns.len(), "a row has as many cells as the table has columns");
        self.rows.push(cells.into());
    }

    /// The table as Markdown.
    pub(crate) fn text(&self) -> String {
        let length = |text: &String| text.chars().count();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                self.rows.iter().map(|row| length(&row[index])).fold(length(name).max(2), usize::max)
            })
            .collect();
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut text = self.line(&names, &widths);
        for ((_, align), width) in self.columns.iter().zip(&widths) {
            let (dashes, end) = match align {
                Align::Left => (width + 2, ""),
                Align::Right => (width + 1, ":"),
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "|{}{end}", "-".repeat(dashes));
        }
        text += "|\n";
        text + &self.rows.iter().map(|row| self.line(row, &widths)).collect::<String>()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut text = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            let _ = match align {
                Align::Left => write!(text, "| {cell:width$} "),
                Align::Right => write!(text, "| {cell:>width$} "),
            };
        }
        text + "|\n"
    }
}

/// How much a bench has measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    /// Everything, in full size.
    All,
    /// A smaller part of it, for a quick look.
    Less,
}

/// Prints one bench's part of the results, and puts it into the file with all of them when it is whole; the parts of the others
/// stay as they are.
pub(crate) fn publish(name: &str, part: &str, measured: Measured) {
    const HEAD: &str = "# Results\n\nWritten by `make bench`; see [README.md](README.md) for how to read it.\n";
    println!("{part}");
    if measured == Measured::Less {
        eprintln!("A smaller tree was measured: benches/RESULTS.md stays as it is.");
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let old = fs::read_to_string(&file).unwrap_or_else(|_| HEAD.to_owned());
    let (before, after) = match (old.split_once(&begin), old.split_once(&end)) {
        (Some((before, _)), Some((_, after))) => (before.to_owned(), after.to_owned()),
        _ => (old.trim_end().to_owned() + "\n\n", String::new()),
    };
    fs::write(&file, format!("{before}{begin}\n{}\n\n{end}{after}", part.trim())).expect("the file with the results");
    eprintln!("Written to {}", file.display());
}

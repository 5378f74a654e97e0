//! What a metric is: its name, what it means, and how its value comes of what some work has left. Pure.

use super::exposition::{Family, Kind, Labels, Page};

/// A metric of one kind of work: a line of the table of that work.
pub struct Metric<Work> {
    /// Its name and what it means.
    pub family: Family,
    /// Its value by what the work has left; nothing where that does not tell.
    pub value: fn(&Work) -> Option<f64>,
}

/// A metric that goes up and down.
pub(super) const fn gauge<W>(name: &'static str, help: &'static str, value: fn(&W) -> Option<f64>) -> Metric<W> {
    Metric { family: Family { name, kind: Kind::Gauge, help }, value }
}

/// A metric that goes up only, and begins at 0 with every process.
pub(super) const fn counter<W>(name: &'static str, help: &'static str, value: fn(&W) -> Option<f64>) -> Metric<W> {
    Metric { family: Family { name, kind: Kind::Counter, help }, value }
}

/// Adds all of a table that are known.
pub(super) fn add_all<Work>(page: &mut Page, table: &'static [Metric<Work>], labels: Labels<'_>, work: &Work) {
    for Metric { family, value } in table {
        if let Some(value) = value(work) {
            page.add(family, labels, value);
        }
    }
}

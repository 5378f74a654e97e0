//! The text format of Prometheus. Pure.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

/// How a metric behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It goes up only, and begins at 0 with every process.
    Counter,
}

impl Kind {
    /// The word in the format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        }
    }
}

/// A metric: all samples of one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it means, in one sentence.
    pub help: &'static str,
}

/// What tells the samples of a family apart.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// A file in the making: families in the order in which they are added, each with its samples.
#[derive(Debug, Default)]
pub struct Page(Vec<(&'static Family, String)>);

impl Page {
    /// Adds a sample.
    pub fn add(&mut self, family: &'static Family, labels: Labels<'_>, value: f64) {
        let at = self.0.iter().position(|(known, _)| known.name == family.name).unwrap_or_else(|| {
            self.0.push((family, String::new()));
            self.0.len() - 1
        });
        let samples = &mut self.0[at].1;
        samples.push_str(family.name);
        for (number, (name, value)) in labels.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(samples, "{}{name}=\"{}\"", if number == 0 { '{' } else { ',' }, label(value));
        }
        let _ = writeln!(samples, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (Family { name, kind, help }, samples) in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {}\n{samples}", help_text(help), kind.word());
        }
        text
    }
}

/// A number as a sample. Beyond 2^53 the last digits are lost, as they are in Prometheus.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "all samples are floating point numbers")]
pub fn number(number: u64) -> f64 {
    number as f64
}

/// A number of things in memory as a sample.
#[must_use]
pub fn size(size: usize) -> f64 {
    number(u64::try_from(size).unwrap_or(u64::MAX))
}

/// A moment as a sample, in seconds since 1970; 0 for one that never was.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "milliseconds fit for some hundred thousand years")]
pub fn timestamp(moment: Option<DateTime<Utc>>) -> f64 {
    moment.map_or(0.0, |moment| moment.timestamp_millis() as f64 / 1000.0)
}

fn label(value: &str) -> String {
    help_text(value).replace('"', "\\\"")
}

fn help_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    static ONE: Family = Family { name: "one_total", kind: Kind::Counter, help: "The \\ first\none." };
    static TWO: Family = Family { name: "two", kind: Kind::Gauge, help: "The \"second\"." };

    #[test]
    fn the_samples_of_a_family_stand_together_and_nothing_breaks_out_of_a_label() {
        let mut page = Page::default();
        page.add(&ONE, &[("a", "x\"} 1\n\\")], 1.0);
        page.add(&TWO, &[], timestamp(None));
        page.add(&ONE, &[("a", "y"), ("b", "")], 1_790_000_000.125);
        let expected = r#"# HELP one_total The \\ first\none.
# TYPE one_total counter
one_total{a="x\"} 1\n\\"} 1
one_total{a="y",b=""} 1790000000.125
# HELP two The "second".
# TYPE two gauge
two 0
"#;
        assert_eq!(page.text(), expected);
    }

    #[test]
    fn numbers_have_no_exponent() {
        let mut page = Page::default();
        page.add(&TWO, &[], number(u64::MAX));
        page.add(&TWO, &[], timestamp(DateTime::from_timestamp(1_790_000_000, 7_000_000)));
        assert!(page.text().ends_with("two 18446744073709552000\ntwo 1790000000.007\n"), "{}", page.text());
    }
}

//! Reads the text format of Prometheus, and is stricter than Prometheus: whatever is doubtful is an error.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample.
pub(crate) type Labels = BTreeMap<String, String>;

/// All samples of one text or of several.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Samples(BTreeMap<(String, Labels), f64>);

impl Samples {
    /// Those of one text.
    pub(crate) fn parse(text: &str) -> Result<Samples, String> {
        let mut samples = Samples::default();
        samples.read(text)?;
        Ok(samples)
    }

    /// Adds those of another text; none may be there already.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), String> {
        let body = text.strip_suffix('\n').ok_or("the last line does not end")?;
        let (mut seen, mut family, mut helped) = (BTreeSet::new(), None, None);
        for line in body.split('\n') {
            let wrong = |why: &str| format!("{why}: {line:?}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
                check_name(name).then_some(()).ok_or_else(|| wrong("a bad name"))?;
                unescaped(help, "\\n").map_err(|why| wrong(&why))?;
                seen.insert(name.to_owned()).then_some(()).ok_or_else(|| wrong("a second HELP"))?;
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                (helped.take().as_deref() == Some(name)).then_some(()).ok_or_else(|| wrong("TYPE without HELP"))?;
                (kind == "gauge" || kind == "counter").then_some(()).ok_or_else(|| wrong("an unknown type"))?;
                let is_total = name.ends_with("_total");
                (is_total == (kind == "counter")).then_some(()).ok_or_else(|| wrong("name and type disagree"))?;
                family = Some(name.to_owned());
            } else {
                let (name, labels, value) = sample(line).map_err(|why| wrong(&why))?;
                (family.as_deref() == Some(name.as_str())).then_some(()).ok_or_else(|| wrong("not of this family"))?;
                let before = self.0.insert((name, labels), value);
                before.is_none().then_some(()).ok_or_else(|| wrong("the same sample twice"))?;
            }
        }
        Ok(())
    }

    /// The value of the only sample of this name with these labels among its own.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |own: &Labels| labels.iter().all(|(key, value)| own.get(*key).is_some_and(|own| own == value));
        let found: Vec<f64> = self
            .0
            .iter()
            .filter(|((own, own_labels), _)| own == name && fits(own_labels))
            .map(|(_, value)| *value)
            .collect();
        let [value] = found[..] else { panic!("{name} {labels:?}: {} samples in {self:#?}", found.len()) };
        value
    }

    /// All names.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(name, _)| name.as_str()).collect()
    }
}

fn check_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}

fn unescaped(text: &str, allowed: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(c) if allowed.contains(c) => c,
                other => return Err(format!("a bad escape {other:?}")),
            },
            c if c.is_control() => return Err("a control character".to_owned()),
            c => c,
        });
    }
    Ok(plain)
}

fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    check_name(name).then_some(()).ok_or("a bad name")?;
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("no label")?;
            check_name(label).then_some(()).ok_or("a bad label")?;
            let mut escaped = false;
            let close = after.find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            let close = close.ok_or("a label without an end")?;
            let value = unescaped(&after[..close], "\\\"")?;
            labels.insert(label.to_owned(), value).is_none().then_some(()).ok_or("a label twice")?;
            rest = &after[close + 1..];
            match (rest.strip_prefix(','), rest.strip_prefix('}')) {
                (Some(more), _) => rest = more,
                (_, Some(after)) => {
                    rest = after;
                    break;
                }
                _ => return Err("labels without an end".to_owned()),
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no value")?;
    // A time after the value makes node_exporter ignore the whole file.
    let plain = value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = value.parse().ok().filter(|_| plain).ok_or("a bad value")?;
    Ok((name.to_owned(), labels, value))
}

#[test]
fn what_is_doubtful_is_an_error() {
    const HEAD: &str = "# HELP a x\n# TYPE a gauge\n";
    let parse = |text: &str| Samples::parse(&format!("{HEAD}{text}"));
    let good = parse("a{b=\"\\\\ \\\" \\n\",c=\"\"} 1.5\na 2\n").unwrap();
    assert_eq!(good.value("a", &[("b", "\\ \" \n")]).to_string(), "1.5");
    for bad in [
        "a 1",
        "a 1\na 1\n",
        "a{b=\"\"} 1\na{b=\"\"} 2\n",
        "b 1\n",
        "a 1 1790000000\n",
        "a NaN\n",
        "a 1e5\n",
        "a{b=\"x\"y\"} 1\n",
        "a{b=\"\\x\"} 1\n",
        "a{b=\"\r\"} 1\n",
        "a{b=\"\",b=\"\"} 1\n",
        "a{} 1\n",
        "a{b=\"\"}1\n",
        "# TYPE b gauge\nb 1\n",
        "# HELP a x\n",
        "# HELP b_total x\n# TYPE b_total gauge\n",
        "# HELP b x\n# TYPE b counter\n",
        "\n",
    ] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

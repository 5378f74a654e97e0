//! A configuration that is being put together, with comments, and its text.

mod section;

use toml::Value;

use crate::config::names;
use crate::config::settings::Host;
use crate::report::text::escaped;

pub(super) use self::section::Section;
use self::section::write_comment;

/// So many targets nobody has; with more, the search for a name that is free takes too long.
const MOST_TARGETS: usize = 1000;

/// The whole.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What has to be known first.
    pub(super) head: Vec<String>,
    /// What was left out, and why.
    left_out: Vec<String>,
    pub(super) rsync: Section,
    pub(super) watch: Section,
    pub(super) full_sync: Section,
    pub(super) history: Section,
    pub(super) metrics: Section,
    targets: Vec<(String, Section)>,
    sources: Vec<(String, Section)>,
}

impl Draft {
    /// Whether nothing would be mirrored.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty() || self.targets.is_empty()
    }

    /// Says what was left out, and why; the line may quote what was read.
    pub(super) fn say(&mut self, line: &str) {
        self.left_out.push(escaped(line.as_bytes()));
    }

    /// What was left out, and why.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The target with this name, new or not.
    pub(super) fn target(&mut self, name: &str) -> &mut Section {
        entry(&mut self.targets, name)
    }

    /// The source with this name, new or not.
    pub(super) fn source(&mut self, name: &str) -> &mut Section {
        entry(&mut self.sources, name)
    }

    /// A target that is like this one in every key, or else this one, with a name of its own that is as near to the one that
    /// is wished as possible. Targets that differ in anything are never made one.
    ///
    /// # Errors
    /// Why there can be no such target.
    pub(super) fn target_like(&mut self, wish: &str, section: &Section) -> Result<String, String> {
        if let Some((name, same)) = self.targets.iter_mut().find(|(_, other)| other.is_like(section)) {
            same.take_over("", section);
            return Ok(name.clone());
        }
        if self.targets.len() >= MOST_TARGETS {
            return Err(format!("there are more than {MOST_TARGETS} targets"));
        }
        let is_taken = |name: &String| self.targets.iter().any(|(other, _)| other == name);
        let numbered = (2..=MOST_TARGETS + 1).map(|number| format!("{wish}-{number}"));
        let name = std::iter::once(wish.to_owned()).chain(numbered).find(|name| !is_taken(name));
        let name = name.ok_or_else(|| format!("no name like {wish} is free"))?;
        self.targets.push((name.clone(), section.clone()));
        Ok(name)
    }

    /// Whether a source goes to the place of this target already, though in another way.
    pub(super) fn goes_there_otherwise(&self, source: &str, target: &Section) -> bool {
        let goes = |name: &String| self.targets_of(source).contains(name);
        self.targets.iter().any(|(name, other)| other.is_at(target) && !other.is_like(target) && goes(name))
    }

    /// The targets of a source.
    pub(super) fn targets_of(&self, source: &str) -> Vec<String> {
        let targets =
            self.sources.iter().find(|(name, _)| name == source).and_then(|(_, source)| source.get("targets"));
        let names = targets.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    }

    /// The names of all sources, with what they have.
    pub(super) fn sources(&self) -> &[(String, Section)] {
        &self.sources
    }

    /// All sources.
    pub(super) fn each_source(&mut self) -> impl Iterator<Item = &mut Section> {
        self.sources.iter_mut().map(|(_, section)| section)
    }

    /// The text of the configuration.
    pub(super) fn write(&self, name: &str) -> String {
        let mut text = String::new();
        write_comment(&mut text, &format!("Imported from {} by `sersync config import`.", escaped(name.as_bytes())));
        write_comment(
            &mut text,
            "`man sersync.toml` explains every key; `sersync check-target` tells whether it works.",
        );
        for line in self.head.iter().chain(&self.left_out) {
            text.push_str("#\n");
            write_comment(&mut text, line);
        }
        for (header, section) in [
            ("rsync", &self.rsync),
            ("watch", &self.watch),
            ("full-sync", &self.full_sync),
            ("history", &self.history),
            ("metrics", &self.metrics),
        ] {
            section.write(&mut text, header);
        }
        for (kind, sections) in [("targets", &self.targets), ("sources", &self.sources)] {
            for (name, section) in sections {
                section.write(&mut text, &format!("{kind}.{}", bare(name)));
            }
        }
        text
    }
}

fn entry<'s>(sections: &'s mut Vec<(String, Section)>, name: &str) -> &'s mut Section {
    let at = sections.iter().position(|(other, _)| other == name).unwrap_or_else(|| {
        sections.push((name.to_owned(), Section::default()));
        sections.len() - 1
    });
    &mut sections[at].1
}

/// A part of a table's name, in quotes where it needs them.
fn bare(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { Value::from(name).to_string() }
}

/// A name that a source or target can have, as near to the one that is wished as possible.
pub(super) fn usable(wish: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let plain: String = wish.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let mut name = plain.trim_start_matches(['-', '.']).to_owned();
    while name.len() > 100 {
        name.pop();
    }
    if names::check_alias(&name).is_ok() {
        name
    } else {
        format!("source-{}", name.trim_start_matches("history-backup"))
    }
}

/// Refuses what was not UTF-8 in the file: what was read of it is not what it said, and a TOML file cannot hold it.
pub(super) fn is_text(text: &str) -> Result<(), String> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(
            "left out: it has bytes that are not UTF-8, which a TOML file cannot hold; rename it, or save the file in \
                    UTF-8"
                .to_owned(),
        );
    }
    Ok(())
}

/// A host with the port that is usual where it is none of its own.
pub(super) fn host(text: &str, port: Option<u16>) -> Result<Host, String> {
    let mut host: Host = text.parse()?;
    if let Some(port) = port
        && host.port == 873
    {
        host.port = port;
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_written_with_its_comments_on_lines_of_their_own() {
        let mut draft = Draft::default();
        draft.rsync.set("user", "a\"b", "as before");
        draft.rsync.comment("x=\n[evil]", &"word ".repeat(40));
        draft.target("m").add("hosts", ["h".to_owned(), "h".to_owned()]);
        draft.source("数据").set("path", "/a", "");
        let text = draft.write("f\n");
        let begins = |line: &str| line.is_empty() || line.starts_with(['#', '[']) || line.contains(" = ");
        assert!(text.lines().all(begins) && text.lines().all(|line| line.chars().count() < 120), "{text}");
        assert!(text.contains("hosts = [\"h\"]\n") && text.contains("[sources.\"数据\"]\n"), "{text}");
        assert!(
            text.contains("user = 'a\"b'  # as before\n") || text.contains("user = \"a\\\"b\"  # as before\n"),
            "{text}"
        );
    }

    #[test]
    fn every_wish_becomes_a_name() {
        let names = [usable("a b/c"), usable("-x"), usable(""), usable("history-backup"), usable("文件")];
        assert_eq!(names, ["a-b-c", "x", "source-", "source-", "文件"]);
        assert!(names::check_alias(&usable(&"é".repeat(90))).is_ok());
    }
}

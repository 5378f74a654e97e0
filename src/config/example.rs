//! The example configuration, and what error lines quote from it: there is one example for every key, in one place.

/// A complete configuration that shows every key; it is valid as it stands.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The lines `key = value` of the example, each with the first part of its section's name; that of the server's table is
/// `server`.
fn entries() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let mut section = "";
    EXAMPLE.lines().filter_map(move |line| {
        let line = line.split("  #").next().unwrap_or(line).split(" # ").next().unwrap_or(line).trim();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            section = match header.strip_suffix(".server") {
                Some(_) => "server",
                None => header.split('.').next().unwrap_or(header),
            };
            return None;
        }
        let (key, value) = line.split_once(" = ")?;
        Some((section, key, value))
    })
}

/// How a key may be written, as `key = value`; `section` decides when several sections have such a key.
pub(super) fn usage(section: &str, key: &str) -> Option<String> {
    let mut found: Vec<_> = entries().filter(|(_, name, _)| *name == key).collect();
    // `[targets.NAME.rsync]` has the keys of `[rsync]`, so that the section is a preference only.
    found.sort_by_key(|(name, _, _)| *name != section);
    // An empty list would not show what belongs into it.
    found.first().map(|(_, key, value)| format!("{key} = {}", if *value == "[]" { "[\"...\"]" } else { value }))
}

/// The section where a key belongs, as a user writes it.
pub(super) fn section_of(key: &str) -> Option<String> {
    let (section, _, _) = entries().find(|(_, name, _)| *name == key)?;
    Some(match section {
        "targets" | "sources" => format!("[{section}.NAME]"),
        "server" => "[targets.NAME.server]".to_owned(),
        _ => format!("[{section}]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_valid() {
        let settings = crate::config::parse(EXAMPLE, "example.toml").unwrap();
        assert_eq!(settings.sources["file-backup"].targets, ["backup1", "usb"]);
        assert_eq!(settings.targets["usb"].rsync.bwlimit, Some(50 << 20));
    }

    #[test]
    fn what_the_example_calls_a_default_is_one() {
        let settings = crate::config::parse(EXAMPLE, "example.toml").unwrap();
        let mut full_sync = settings.full_sync;
        full_sync.before.clear();
        assert_eq!(settings.watch, super::super::settings::Watch::default());
        let history = super::super::settings::History { max_size: None, ..settings.history };
        assert_eq!(history, super::super::settings::History::default());
        assert_eq!(full_sync, super::super::settings::FullSync::default());
    }

    #[test]
    fn usages_come_from_the_right_section() {
        assert_eq!(usage("targets", "path").unwrap(), "path = \"/mnt/usb/backup1\"");
        assert_eq!(usage("sources", "path").unwrap(), "path = \"/data/file\"");
        assert_eq!(usage("targets", "timeout").unwrap(), "timeout = \"3m\"");
        assert_eq!(usage("rsync", "extra-args").unwrap(), "extra-args = [\"...\"]");
        assert_eq!(usage("rsync", "nonsense"), None);
        assert_eq!(section_of("hosts").unwrap(), "[targets.NAME]");
        assert_eq!(section_of("hosts-allow").unwrap(), "[targets.NAME.server]");
    }
}

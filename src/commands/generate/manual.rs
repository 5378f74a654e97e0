//! The manual pages: clap's descriptions, and the sections that clap knows nothing of.

mod surroundings;

use std::fmt::Write as _;

use anyhow::Result;
use clap::Command;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use self::surroundings::{About, ENVIRONMENT, FILES, covers};
use crate::cli::exit_status;
use crate::commands::objects;
use crate::exit::Exit;
use crate::metrics::exposition::Kind;
use crate::metrics::families::{self, File};

/// The manual's date: that of the last change of its text, so that it is the same wherever it is made.
const DATE: &str = "2026-11-25";

/// The widest line of the source, so that a diff shows what changed.
const WIDTH: usize = 80;

/// The widest line of an example, which the formatter neither fills nor breaks but indents by seven columns.
const EXAMPLE_WIDTH: usize = 72;

/// The page of a command, one of those of `root`.
pub(super) fn page(root: &Command, command: &Command) -> Result<String> {
    let mut rendered = Vec::new();
    let man = Man::new(for_the_manual(command)).section("8").date(DATE).manual("sersync manual");
    let version = root.get_version().unwrap_or_default();
    man.title(name(command).to_uppercase()).source(format!("sersync {version}")).render(&mut rendered)?;
    let mut text = String::from_utf8(rendered)?;

    let covers = covers(&name(command));
    let entries = |all: &[(About, &str, &str)]| -> Vec<(String, String)> {
        let matching = all.iter().filter(|(about, _, _)| covers.contains(about));
        matching.map(|(_, name, meaning)| ((*name).to_owned(), (*meaning).to_owned())).collect()
    };
    let codes = Exit::TABLE.iter().map(|(exit, meaning)| (exit.code().to_string(), sentence(meaning)));
    let codes = codes.chain([("128+N".to_owned(), "Ended by signal N.".to_owned())]).collect();
    text += &tagged("EXIT STATUS", codes);
    text += &tagged("ENVIRONMENT", entries(ENVIRONMENT));
    text += &tagged("FILES", entries(FILES));
    text += &json_output(command);
    text += &metrics(command);
    text += &examples(command);
    text += &see_also(root, command);
    Ok(folded(&text))
}

/// The command without what has a section of its own, and with its short usage instead of all options.
fn for_the_manual(command: &Command) -> Command {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let short = command.clone().override_usage(usage).version(Resettable::Reset);
    let short = short.after_help(Resettable::Reset).after_long_help(Resettable::Reset);
    let short = short.mut_subcommands(|sub| {
        let hidden = sub.is_hide_set() || sub.get_name() == "help";
        sub.hide(hidden)
    });
    short.mut_args(|arg| {
        let values: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if values.is_empty() || !arg.get_action().takes_values() {
            return arg;
        }
        // The list that would be made of them is longer than all the rest of the page.
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        arg.hide_possible_values(true).help(format!("{help}: {}", values.join(", ")))
    })
}

/// The name of the page: `sersync-config-check`.
pub(super) fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

/// What `--json` prints.
fn json_output(command: &Command) -> String {
    let Some(objects) = objects::of(&name(command)) else { return String::new() };
    let mut roff = Roff::new();
    roff.control("SH", ["JSON OUTPUT"]);
    roff.text([roman(
        "With --json each line is an object with a field type. The fields below stay, and mean the same; there may be more \
         one day. Fields of an object within another one are named OUTER.INNER, those of objects in a list LIST[].INNER. \
         Times are RFC 3339.",
    )]);
    for object in objects {
        roff.control("SS", [format!("type: {}", object.kind).as_str()]);
        roff.text([roman(sentence(object.printed))]);
        for (field, meaning) in object.fields().chain(object.sometimes) {
            roff.control("TP", []).text([bold(*field)]).text([roman(sentence(meaning))]);
        }
    }
    roff.to_roff()
}

/// What is written for Prometheus.
fn metrics(command: &Command) -> String {
    if name(command) != "sersync-status" {
        return String::new();
    }
    let mut roff = Roff::new();
    roff.control("SH", ["METRICS"]);
    roff.text([roman(
        "With textfile-dir in [metrics] these are written for the node_exporter of Prometheus. All have the labels source and \
         endpoint. What is written is about a time, so that it does not get old: that a mirror is late is \
         time() - sersync_behind_since_timestamp_seconds where that is not 0, and that no pass went well for long \
         time() - sersync_last_success_timestamp_seconds. A watch that was killed writes nothing any more, so that its state stays \
         as it was: that it is dead is time() - sersync_watch_alive_timestamp_seconds where that is not 0.",
    )]);
    for File { kind, written, families } in families::files() {
        roff.control("SS", [format!("sersync_MIRROR.{kind}.prom").as_str()]);
        roff.text([roman(sentence(written))]);
        for family in families {
            roff.control("TP", []).text([bold(family.name)]);
            let kind = if family.kind == Kind::Counter { " A counter." } else { "" };
            roff.text([roman(format!("{}{kind}", family.help))]);
        }
    }
    roff.to_roff()
}

/// A section of terms and what they mean; nothing when there are none.
fn tagged(section: &str, entries: Vec<(String, String)>) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut roff = Roff::new();
    roff.control("SH", [section]);
    for (term, meaning) in entries {
        roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
    }
    roff.to_roff()
}

/// A line of the examples as lines that fit a terminal: the help has what it means beside a command, the manual has it
/// below, and breaks commands that are still too long as one would in a shell.
fn example(line: &str) -> Vec<String> {
    let text = line.trim_start();
    // A line that begins with an option goes on with the command before it.
    let indent = if text.starts_with('-') { "      " } else { "  " };
    let (command, meaning) = text.split_once("  ").unwrap_or((text, ""));
    let mut lines = vec![format!("{indent}{command}")];
    while let Some(last) = lines.pop_if(|last| last.len() > EXAMPLE_WIDTH) {
        // Breaks before an option or a redirection, so that an option stays beside its value.
        let breaks = last.match_indices([' ']).map(|(at, _)| at);
        let mut breaks = breaks.filter(|at| last[at + 1..].starts_with(['-', '>']) && at + 2 <= EXAMPLE_WIDTH);
        let Some(at) = breaks.next_back().filter(|at| !last[..*at].trim().is_empty()) else {
            lines.push(last);
            break;
        };
        lines.push(format!("{} \\", &last[..at]));
        lines.push(format!("{indent}    {}", &last[at + 1..]));
    }
    let meaning = meaning.trim();
    if !meaning.is_empty() {
        lines.push(format!("{indent}    {meaning}"));
    }
    lines
}

/// What the long help has beside the exit codes: lines below `Examples:` as they are, all others as text.
fn examples(command: &Command) -> String {
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let help = help.replace(&exit_status(), "");
    let mut roff = Roff::new();
    for paragraph in help.split("\n\n").map(str::trim_end).filter(|paragraph| !paragraph.is_empty()) {
        match paragraph.strip_prefix("Examples:\n") {
            Some(lines) => {
                roff.control("SH", ["EXAMPLES"]).control("nf", []);
                lines.lines().flat_map(example).for_each(|line| {
                    roff.text([roman(line)]);
                });
                roff.control("fi", []);
            }
            None => {
                roff.control("PP", []).text([roman(paragraph)]);
            }
        }
    }
    roff.to_roff()
}

/// The other pages.
fn see_also(root: &Command, command: &Command) -> String {
    let mut pages = Vec::new();
    collect(root, &mut pages);
    pages.retain(|page| *page != name(command));
    let mut pages: Vec<(String, char)> = pages.into_iter().map(|page| (page, '8')).collect();
    pages.extend([("sersync.toml", '5'), ("rsync", '1'), ("rsyncd.conf", '5')].map(|(page, n)| (page.to_owned(), n)));
    let last = pages.len() - 1;
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    for (at, (page, section)) in pages.into_iter().enumerate() {
        let comma = if at == last { "" } else { "," };
        roff.text([italic(page), roman(format!("({section}){comma}"))]);
    }
    roff.to_roff()
}

/// The names of the pages of a command and of all below it.
fn collect(command: &Command, pages: &mut Vec<String>) {
    pages.push(name(command));
    visible(command).for_each(|subcommand| collect(subcommand, pages));
}

/// The subcommands that have pages.
pub(super) fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn sentence(text: &str) -> String {
    sentence_begin(text) + "."
}

fn sentence_begin(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", chars.as_str())
}

/// The same page with its long lines of text broken at spaces, which means nothing to the formatter.
fn folded(page: &str) -> String {
    let mut text = String::with_capacity(page.len() + page.len() / 50);
    let mut as_it_is = false;
    for line in page.lines() {
        match line {
            ".nf" => as_it_is = true,
            ".fi" => as_it_is = false,
            _ => {}
        }
        if as_it_is || line.starts_with(['.', '\'']) {
            let _ = writeln!(text, "{line}");
            continue;
        }
        let mut width = 0;
        for word in line.split(' ') {
            // A word that begins like a request must not begin a line.
            let fits = width == 0 || width + 1 + word.len() <= WIDTH || word.starts_with(['.', '\'']);
            text.push_str(if width == 0 {
                ""
            } else if fits {
                " "
            } else {
                "\n"
            });
            width = if width > 0 && fits { width + 1 + word.len() } else { word.len() };
            text.push_str(word);
        }
        text.push('\n');
    }
    text
}

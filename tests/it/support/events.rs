//! Runs a test once for each event source of `watch`.

use std::cell::Cell;
use std::sync::OnceLock;

use super::sersync::{Sersync, config};
use super::skip;

/// An interface of the kernel, by its name in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Fanotify,
    Inotify,
}

thread_local! {
    /// The one that configurations of this test ask for.
    static ASKED_FOR: Cell<Option<Source>> = const { Cell::new(None) };
}

/// Runs a test with this source, unless it cannot work here.
pub(crate) fn run_with(source: Source, test: fn()) {
    if source == Source::Fanotify
        && let Some(why) = why_not_fanotify()
    {
        return skip(why);
    }
    ASKED_FOR.set(Some(source));
    test();
    ASKED_FOR.set(None);
}

/// The text of a configuration, with the source that this test runs with.
pub(crate) fn asked_for(text: &str) -> String {
    let line = match ASKED_FOR.get() {
        None => return text.to_owned(),
        Some(Source::Fanotify) => "backend = 'fanotify'\n",
        Some(Source::Inotify) => "backend = 'inotify'\n",
    };
    if text.contains("[watch]\n") {
        text.replacen("[watch]\n", &format!("[watch]\n{line}"), 1)
    } else {
        format!("{text}\n[watch]\n{line}")
    }
}

/// Whether this is about fanotify.
pub(crate) fn is_fanotify() -> bool {
    ASKED_FOR.get() == Some(Source::Fanotify)
}

/// Why fanotify does not work here, as the program itself says.
fn why_not_fanotify() -> Option<&'static str> {
    static WHY: OnceLock<Option<String>> = OnceLock::new();
    let why = WHY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        for name in ["source", "target"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let path = |name: &str| dir.path().join(name).display().to_string();
        let text = format!(
            "[watch]\nbackend = 'fanotify'\nstart = 'none'\n[targets.t]\npath = '{}'\n[sources.s]\npath = '{}'\ntargets = ['t']\n",
            path("target"),
            path("source")
        );
        let text = config(&dir, &text);
        let output = Sersync::new(&["watch", "--allow-empty", "--for", "1ms", "-c"]).arg(text).run();
        output.stderr.lines().find(|line| line.contains("fanotify cannot be used")).map(ToOwned::to_owned)
    });
    why.as_deref()
}

/// Makes two tests of each of these functions, one for each event source.
macro_rules! for_each_source {
    ($($test:ident),* $(,)?) => {
        mod fanotify {
            $(#[test]
            fn $test() {
                crate::support::events::run_with(crate::support::events::Source::Fanotify, super::$test);
            })*
        }
        mod inotify {
            $(#[test]
            fn $test() {
                crate::support::events::run_with(crate::support::events::Source::Inotify, super::$test);
            })*
        }
    };
}
pub(crate) use for_each_source;

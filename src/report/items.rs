//! The list of what a dry run would change, and other lines of results that come while a command goes on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use log::error;
use serde_json::Value;

use super::{Form, json, print, text};

/// The list, as it goes to stdout. That it cannot be written is said once, and not for each line.
#[derive(Debug)]
pub struct List {
    form: Form,
    unwritten: AtomicBool,
}

impl List {
    /// With a line of this form for each path.
    #[must_use]
    pub fn new(form: Form) -> List {
        List { form, unwritten: AtomicBool::new(false) }
    }

    /// Adds a path of a mirror, and the word for what would be done with it.
    pub fn item(&self, mirror: &str, change: &str, path: &Path) {
        self.line(match self.form {
            Form::Json => json::item(mirror, change, path),
            Form::Lines => format!("{mirror}: {change:6} {}", text::path(path)),
        });
    }

    /// Adds an object, where the list is one of objects.
    pub fn object(&self, object: impl FnOnce() -> Value) {
        if self.form == Form::Json {
            self.line(json::line(&object()));
        }
    }

    /// Adds any other line.
    pub fn line(&self, line: String) {
        if let Err(e) = print(&(line + "\n"))
            && !self.unwritten.swap(true, Ordering::Relaxed)
        {
            error!("the list cannot be written: {e}");
        }
    }
}

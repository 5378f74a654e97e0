//! What a check has found, as a table for people and as objects for programs. Pure.

use serde_json::{Value, json};

use super::json::Object;
use super::json::field::Field;
use super::table::{Side, Table};
use crate::exit::Exit;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Hint,
    /// It works, but not as it should.
    Warning,
    /// It does not work; a command that needs it would end with this code.
    Bad(Exit),
    /// It could not be looked at because of something before.
    Skipped,
}

impl Grade {
    /// The word in tables and objects.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Grade::Ok => "ok",
            Grade::Hint => "hint",
            Grade::Warning => "warn",
            Grade::Bad(_) => "bad",
            Grade::Skipped => "skipped",
        }
    }

    /// What it means for the exit code.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Grade::Ok | Grade::Hint | Grade::Skipped => Exit::Done,
            Grade::Warning => Exit::Partial,
            Grade::Bad(exit) => exit,
        }
    }
}

/// The fields of a check.
const CHECK: [Field; 4] = [
    ("check", "what was looked at"),
    ("result", "how well it is: ok, hint, warn, bad or skipped"),
    ("found", "what was found"),
    ("remedy", "what to do about it; null when there is nothing to do"),
];

/// The object of a check of this host.
pub static OBJECT: Object =
    Object { kind: "finding", printed: "one for each check", fields: &[&CHECK], sometimes: &[] };

/// The object of a check of an endpoint.
pub static OF_A_TARGET: Object = Object {
    kind: "finding",
    printed: "one for each check of each endpoint",
    fields: &[&[("target", "the target, as the configuration calls it"), ("endpoint", "its endpoint")], &CHECK],
    sometimes: &[],
};

/// One thing that was looked at. The texts have to be safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub check: String,
    /// How well it is.
    pub grade: Grade,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Finding { check: check.into(), grade: Grade::Ok, found: found.into(), remedy: None }
    }

    /// Something could or should be done.
    #[must_use]
    pub fn with_remedy(
        check: impl Into<String>,
        grade: Grade,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Finding { check: check.into(), grade, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// An object for programs.
    #[must_use]
    pub fn json(&self, subject: Option<&str>) -> Value {
        let Finding { check, grade, found, remedy } = self;
        let mut object = json!({
            "type": "finding", "check": check, "result": grade.word(), "found": found, "remedy": remedy
        });
        if let Some(subject) = subject {
            object["endpoint"] = json!(subject);
        }
        object
    }
}

/// The findings as lines, each with its remedy below it.
#[must_use]
pub fn table(findings: &[Finding]) -> Vec<String> {
    let mut table = Table::new(&[("CHECK", Side::Left), ("RESULT", Side::Left), ("FOUND", Side::Left)]);
    for Finding { check, grade, found, remedy } in findings {
        table.push(vec![check.clone(), grade.word().to_owned(), found.clone()]);
        if let Some(remedy) = remedy {
            table.push(vec![String::new(), String::new(), format!("-> {remedy}")]);
        }
    }
    table.lines().collect()
}

/// The exit code of the worst of them: a failure's own, if all failures have the same.
#[must_use]
pub fn worst<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Exit {
    let mut worst = Exit::Done;
    for exit in findings.into_iter().map(|finding| finding.grade.exit()) {
        worst = match (worst, exit) {
            (worst, exit) if worst == exit => worst,
            (worst, Exit::Done) => worst,
            (Exit::Done, exit) => exit,
            (worst, Exit::Partial) => worst,
            (Exit::Partial, exit) => exit,
            _ => Exit::Failed,
        };
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graded(grade: Grade) -> Finding {
        Finding { grade, ..Finding::ok("name", "found") }
    }

    #[test]
    fn the_worst_decides_the_exit_code() {
        let of = |grades: &[Grade]| worst(&grades.iter().map(|grade| graded(*grade)).collect::<Vec<_>>());
        let (unreachable, refused) = (Grade::Bad(Exit::Unreachable), Grade::Bad(Exit::Authentication));
        assert_eq!(of(&[]), Exit::Done);
        assert_eq!(of(&[Grade::Hint, Grade::Ok, Grade::Skipped]), Exit::Done);
        assert_eq!(of(&[Grade::Ok, Grade::Warning]), Exit::Partial);
        assert_eq!(of(&[Grade::Warning, unreachable, Grade::Ok, unreachable]), Exit::Unreachable);
        assert_eq!(of(&[unreachable, refused, Grade::Warning]), Exit::Failed);
    }

    #[test]
    fn remedies_stand_below_what_they_are_for() {
        let bad = Finding::with_remedy("port", Grade::Bad(Exit::Unreachable), "no answer", "start it");
        let lines = table(&[Finding::ok("name", "10.0.0.2"), bad.clone()]);
        let expected = [
            "CHECK  RESULT  FOUND",
            "name   ok      10.0.0.2",
            "port   bad     no answer",
            "               -> start it",
        ];
        assert_eq!(lines, expected);
        assert_eq!(bad.json(Some("h/m"))["remedy"], "start it");
    }
}

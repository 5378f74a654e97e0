//! The exit codes, in one place: the enum, its table for help and manual, and how several results become one.

use std::process::ExitCode;

/// What the process tells its caller when it ends.
///
/// The numbers follow restic's table where both have a word for the same thing. A death by signal is not listed here:
/// it is reported by re-raising the signal, so that the caller sees 128+N.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// It failed, for a reason that has no number of its own.
    Failed = 1,
    /// The command line was not understood.
    Usage = 2,
    /// Done in part: some paths or some mirrors failed; each is named.
    Partial = 3,
    /// A safety guard refused to go on.
    Refused = 4,
    /// A source or a target is missing or cannot be reached.
    Unreachable = 10,
    /// Another run holds the lock.
    Locked = 11,
    /// The target refused the user name or the password.
    Authentication = 12,
    /// The configuration is invalid.
    Config = 78,
}

impl Exit {
    /// Every code with its meaning, in the order in which help and manual list them.
    pub const TABLE: &'static [(Exit, &'static str)] = &[
        (Exit::Done, "all done"),
        (Exit::Failed, "failed"),
        (Exit::Usage, "the command line was not understood"),
        (Exit::Partial, "done in part: some paths or some mirrors failed"),
        (Exit::Refused, "refused by a safety guard"),
        (Exit::Unreachable, "source or target missing or unreachable"),
        (Exit::Locked, "another run holds the lock"),
        (Exit::Authentication, "authentication refused"),
        (Exit::Config, "configuration invalid"),
    ];

    /// The number that the caller sees.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// One code for a run over several mirrors: the common one when all agree, [`Exit::Partial`] when only some
    /// succeeded, and [`Exit::Failed`] when none did but for different reasons.
    #[must_use]
    pub fn merge(all: impl IntoIterator<Item = Exit>) -> Exit {
        let mut all = all.into_iter();
        let Some(first) = all.next() else { return Exit::Done };
        all.fold(first, |merged, next| match (merged, next) {
            (a, b) if a == b => a,
            (Exit::Done | Exit::Partial, _) | (_, Exit::Done | Exit::Partial) => Exit::Partial,
            _ => Exit::Failed,
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// An error that decides the exit code. It is put around any other error where the kind of failure is known.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code that the process ends with.
    pub exit: Exit,
    /// One line: what, where, what to do.
    pub message: String,
}

impl Failure {
    /// A failure with its one-line message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into() }
    }

    /// The exit code that an error chain asks for: that of the outermost [`Failure`] in it, else [`Exit::Failed`].
    #[must_use]
    pub fn exit_of(error: &anyhow::Error) -> Exit {
        error.chain().find_map(|e| e.downcast_ref::<Failure>()).map_or(Exit::Failed, |f| f.exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_success_among_failures_is_partial() {
        assert_eq!(Exit::merge([Exit::Unreachable, Exit::Done]), Exit::Partial);
        assert_eq!(Exit::merge([Exit::Done, Exit::Unreachable, Exit::Authentication]), Exit::Partial);
        assert_eq!(Exit::merge([Exit::Unreachable, Exit::Authentication, Exit::Done]), Exit::Partial);
    }

    #[test]
    fn agreement_keeps_the_code_and_disagreement_is_a_plain_failure() {
        assert_eq!(Exit::merge([]), Exit::Done);
        assert_eq!(Exit::merge([Exit::Locked, Exit::Locked]), Exit::Locked);
        assert_eq!(Exit::merge([Exit::Locked, Exit::Refused]), Exit::Failed);
    }
}

//! What was tried and what came of it, said as it comes.
//!
//! Never decides what is worth trying.

use std::{
    any::Any,
    io::{Write as _, stdout},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use anyhow::Result;

/// What came of a check.
pub(crate) enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and why.
    Failed(String),
    /// It could not be tried, and why.
    Skipped(String),
}

/// The tally.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Report {
    /// Says what came of `check`.
    pub(crate) fn tell(&mut self, check: &str, outcome: &Outcome) -> Result<()> {
        let (count, word, why) = match outcome {
            Outcome::Passed => (&mut self.passed, "passed ", ""),
            Outcome::Failed(why) => (&mut self.failed, "FAILED ", why.as_str()),
            Outcome::Skipped(why) => (&mut self.skipped, "skipped", why.as_str()),
        };
        *count += 1;
        let separator = if why.is_empty() { "" } else { ": " };
        Ok(writeln!(stdout(), "{word}  {check}{separator}{why}")?)
    }

    /// Runs a contract's case, which panics when it is not kept.
    pub(crate) fn case(&mut self, check: &str, case: impl FnOnce()) -> Result<()> {
        let outcome = match catch_unwind(AssertUnwindSafe(case)) {
            Ok(()) => Outcome::Passed,
            Err(panic) => Outcome::Failed(said(&*panic)),
        };
        self.tell(check, &outcome)
    }

    /// The last line, and the exit code.
    pub(crate) fn sum_up(self) -> Result<ExitCode> {
        let Self { passed, failed, skipped } = self;
        writeln!(stdout(), "{passed} passed, {failed} failed, {skipped} skipped")?;
        Ok(ExitCode::from(match (passed, failed) {
            (_, 1..) => 1,
            (0, 0) => 2,
            (1.., 0) => 0,
        }))
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

//! The last lines of the log, kept in memory for the console's status page: only Examgate's own lines, from level `info`.
//!
//! Nothing personal is ever logged, so nothing personal is here. Kept in memory only, and forgotten with the process.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::domain::{Timestamp, WithSources};

/// Lines kept, and faults kept apart so that chatter does not push them out.
const LINES: usize = 60;
const FAULTS: usize = 20;

/// Longest line, bytes.
const LONGEST: usize = 400;

/// The end of the log. A clone is the same log.
#[derive(Clone)]
pub struct Tail {
    now: fn() -> Timestamp,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<(Timestamp, String)>,
    faults: VecDeque<(Timestamp, String)>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tail")
    }
}

impl Tail {
    /// An empty log; `now` is the wall clock.
    #[must_use]
    pub fn new(now: fn() -> Timestamp) -> Self {
        Self { now, kept: Arc::default() }
    }

    /// The last lines, newest first.
    #[must_use]
    pub fn lines(&self) -> Vec<(Timestamp, String)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().rev().cloned().collect()
    }

    /// The last warnings and errors, newest first.
    #[must_use]
    pub fn faults(&self) -> Vec<(Timestamp, String)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).faults.iter().rev().cloned().collect()
    }
}

impl<S: Subscriber> Layer<S> for Tail {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if *about.level() > Level::INFO || !about.target().starts_with("examgate") {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let mut text = words.message + &words.rest;
        if let Some(end) = (0..=LONGEST.min(text.len())).rev().find(|&end| text.is_char_boundary(end)) {
            text.truncate(end);
        }
        let line = ((self.now)(), text);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if *about.level() <= Level::WARN {
            keep(&mut kept.faults, line.clone(), FAULTS);
        }
        keep(&mut kept.lines, line, LINES);
    }
}

fn keep(lines: &mut VecDeque<(Timestamp, String)>, line: (Timestamp, String), most: usize) {
    if lines.len() >= most {
        lines.pop_front();
    }
    lines.push_back(line);
}

#[derive(Default)]
struct Words {
    message: String,
    rest: String,
}

impl Words {
    fn add(&mut self, field: &Field, value: &dyn fmt::Display) {
        // A String takes whatever is written.
        let _ = if field.name() == "message" {
            write!(self.message, "{value}")
        } else {
            write!(self.rest, " · {} {value}", field.name())
        };
    }
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, &WithSources(value));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn keeps_the_end_of_our_own_lines() {
        let tail = Tail::new(|| Timestamp::UNIX_EPOCH);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(tail.clone()), || {
            let cause = std::io::Error::other("unplugged");
            tracing::warn!(error = &cause as &dyn std::error::Error, "no card can be read");
            tracing::debug!("chatter");
            tracing::info!(target: "hyper", "another's");
            for n in 0..100 {
                tracing::info!(n, "decided");
            }
            tracing::info!("{}", "é".repeat(LONGEST));
        });
        let lines = tail.lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!((lines[0].1.len(), lines[1].1.as_str()), (LONGEST, "decided · n 99"));
        assert_eq!(tail.faults(), [(Timestamp::UNIX_EPOCH, "no card can be read · error unplugged".into())]);
    }
}

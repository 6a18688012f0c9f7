//! How sessions are counted, and which of them a rate is over.
//!
//! A session that ended in a request for a head turn was not judged, and one that was not looked at says nothing about the rule: neither is
//! in the denominator of APCER or BPCER.

use serde::Serialize;

use super::report::Line;
use crate::{
    play::tap::{Ended, Outcome},
    statistics::exact::clopper_pearson,
};

/// Of the intervals.
const CONFIDENCE: f64 = 0.95;

/// How many sessions came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) sessions: u64,
    pub(super) admitted: u64,
    pub(super) asked: u64,
    pub(super) refused: u64,
    pub(super) not_looked_at: u64,
}

impl Tally {
    pub(super) fn of<'l>(lines: impl IntoIterator<Item = &'l Line>) -> Self {
        let mut tally = Self::default();
        for line in lines {
            tally.sessions += 1;
            *match line.outcome {
                Outcome::Admitted => &mut tally.admitted,
                Outcome::Asked => &mut tally.asked,
                Outcome::Refused => &mut tally.refused,
                Outcome::NotLookedAt => &mut tally.not_looked_at,
            } += 1;
        }
        tally
    }
}

/// Which sessions a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// All but those that were not looked at.
    LookedAt,
    /// Those that were judged live or not: admitted or refused. Who was asked has not been judged.
    Judged,
}

impl Among {
    const fn has(self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Admitted | Outcome::Refused => true,
            Outcome::Asked => matches!(self, Self::LookedAt),
            Outcome::NotLookedAt => false,
        }
    }
}

/// A share of independent clips, with its Clopper-Pearson interval.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Rate {
    pub(super) events: u64,
    pub(super) of: u64,
    pub(super) rate: Option<f64>,
    pub(super) interval_95: Option<[f64; 2]>,
}

impl Rate {
    pub(super) fn of<'l>(
        lines: impl IntoIterator<Item = &'l Line>,
        among: Among,
        are_independent: bool,
        is: impl Fn(&Ended) -> bool,
    ) -> Self {
        let (mut events, mut of) = (0, 0);
        let counted = lines.into_iter().filter(|line| among.has(line.outcome));
        for ended in counted.filter_map(|line| line.ended.as_ref()) {
            of += 1;
            events += u64::from(is(ended));
        }
        Self {
            events,
            of,
            rate: (of > 0).then(|| events as f64 / of as f64),
            interval_95: (are_independent && of > 0).then(|| clopper_pearson(events, of, CONFIDENCE)),
        }
    }
}

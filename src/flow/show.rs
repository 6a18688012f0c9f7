//! Shows what the session says on the light. It is read from one `watch`, which a screen reads too: they cannot disagree.

use tokio::sync::watch;

use crate::{
    domain::{Answer, Decision, EventId, Shown},
    edge::light::{Light, Pattern},
};

/// Follows `shown` until its sender is gone.
pub async fn show(mut shown: watch::Receiver<Shown>, mut light: impl Light) {
    let mut lit = None;
    loop {
        let (pattern, event) = {
            let shown = shown.borrow_and_update();
            (pattern_of(&shown.answer), event_of(&shown.answer))
        };
        // A hint or another attempt changes words, not the light: its rhythm runs on.
        if lit.replace((pattern, event)) != Some((pattern, event))
            && let Err(error) = light.show(pattern)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the light does not answer");
        }
        if shown.changed().await.is_err() {
            return;
        }
    }
}

const fn pattern_of(answer: &Answer) -> Pattern {
    match answer {
        // A code is for the proctor's eyes on the screen: at the door nothing has changed.
        Answer::Idle | Answer::SignIn { .. } => Pattern::Idle,
        Answer::Unwell(_) => Pattern::Fault,
        Answer::Drained => Pattern::Drained,
        Answer::Identified { .. } => Pattern::Identify,
        Answer::Looking { .. } => Pattern::Looking,
        Answer::Decided { decision: Decision::Admit, .. } => Pattern::Admit,
        Answer::Decided { decision: Decision::Deny(_), .. } => Pattern::Deny,
        Answer::Decided { decision: Decision::Refer(_), .. } => Pattern::Refer,
    }
}

/// Whose answer it is, if it is anybody's: the next student's rhythm starts anew, also when it is the same.
const fn event_of(answer: &Answer) -> Option<EventId> {
    match answer {
        Answer::Decided { event, .. } => Some(*event),
        Answer::Idle
        | Answer::Unwell(_)
        | Answer::Drained
        | Answer::Identified { .. }
        | Answer::Looking { .. }
        | Answer::SignIn { .. } => None,
    }
}

#[cfg(test)]
mod tests;

//! Shows the session's answers on the light. The answers come from one `watch`, which a screen reads too: they cannot
//! disagree.
//!
//! Never knows why an answer was given.

use tokio::sync::watch;

use crate::{
    domain::Decision,
    edge::light::{Light, Pattern},
    session::Answer,
};

/// Follows `answers` until their sender is gone.
pub async fn show(mut answers: watch::Receiver<Answer>, mut light: impl Light) {
    loop {
        let pattern = pattern_of(&answers.borrow_and_update());
        if let Err(error) = light.show(pattern) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the light does not answer");
        }
        if answers.changed().await.is_err() {
            return;
        }
    }
}

const fn pattern_of(answer: &Answer) -> Pattern {
    match answer {
        // A code is for the proctor's eyes on the screen: at the door nothing has changed.
        Answer::Idle | Answer::SignIn { .. } => Pattern::Idle,
        Answer::Unwell(_) => Pattern::Fault,
        Answer::Looking { .. } => Pattern::Looking,
        Answer::Decided { decision: Decision::Admit, .. } => Pattern::Admit,
        Answer::Decided { decision: Decision::Deny(_), .. } => Pattern::Deny,
        Answer::Decided { decision: Decision::Refer(_), .. } => Pattern::Refer,
    }
}

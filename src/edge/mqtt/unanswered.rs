//! What was sent on one connection and is not answered, by packet id.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{WINDOW, followed::GIVEN_UP};
use crate::{domain::Seq, mqtt::Welcome};

/// The packet id of the subscription; messages have others.
pub(super) const SUBSCRIPTION: u16 = u16::MAX;

/// What was sent on this connection and is not answered.
pub(super) struct Unanswered {
    /// By packet id: the event, or `None` for anything else, and when it was sent.
    pub(super) sent: HashMap<u16, (Option<Seq>, Instant)>,
    /// Most of them at a time.
    most: usize,
    last: u16,
}

impl Unanswered {
    pub(super) fn new(welcome: &Welcome) -> Self {
        // The state needs its place beside a window full of events.
        let most = usize::from(welcome.receive_maximum).min(WINDOW as usize + 2);
        Self { sent: HashMap::new(), most, last: 0 }
    }

    pub(super) fn has_room(&self) -> bool {
        self.sent.len() < self.most
    }

    /// A packet id that nothing unanswered has. There are far more than `most`.
    pub(super) fn place(&mut self, seq: Option<Seq>) -> u16 {
        loop {
            self.last = if self.last + 1 == GIVEN_UP { 1 } else { self.last + 1 };
            if !self.sent.contains_key(&self.last) {
                self.sent.insert(self.last, (seq, Instant::now()));
                return self.last;
            }
        }
    }

    /// When the oldest must have been answered.
    pub(super) fn due(&self, patience: Duration) -> Option<Instant> {
        self.sent.values().map(|&(_, sent)| sent + patience).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_ids_go_round_without_meeting_what_is_unanswered() {
        let mut unanswered = Unanswered { sent: HashMap::new(), most: 3, last: GIVEN_UP - 3 };
        let ids: Vec<u16> = (0..4).map(|_| unanswered.place(None)).collect();
        assert_eq!(ids, [GIVEN_UP - 2, GIVEN_UP - 1, 1, 2]);
        unanswered.last = GIVEN_UP - 1;
        assert_eq!(unanswered.place(None), 3, "1 and 2 are not answered");
        assert!(!unanswered.has_room());
    }
}

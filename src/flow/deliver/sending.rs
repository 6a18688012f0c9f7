//! What to send next, sans I/O: told what happened, it says what to do.
//!
//! Events go out in order. A broker's answer only makes room for more; only a receipt moves the start, and after a
//! reconnect, or when receipts stay away, everything from the first event without receipt is sent again. While nothing
//! comes of it a single event is tried, at growing intervals. It never sees an event's content and never deletes.

use std::time::Duration;

use crate::domain::{MonoTime, Seq};

/// How fast to send and how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Most events the broker has not answered.
    pub window: u32,
    /// Most events sent and not receipted: what a lost broker costs to send again.
    pub ahead: u32,
    /// How long receipts may stay away before the first repetition; doubled with every fruitless one.
    pub patience: Duration,
    /// The longest interval between repetitions.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: 16, ahead: 128, patience: Duration::from_secs(5), longest: Duration::from_secs(300) }
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send up to `limit` events after `after`.
    Send {
        /// The last event not to send.
        after: Seq,
        /// How many; at least one.
        limit: u32,
    },
    /// Wait for something to happen, at most until then.
    Wait {
        /// When to ask again, if nothing happens.
        until: Option<MonoTime>,
    },
}

/// What a receipt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// These events are safe: delete up to it, then call [`Sending::receipted`].
    Progress,
    /// Known already.
    Nothing,
    /// For an event this process has not sent: no collector can have it from us.
    NeverSent,
}

/// The state of one box's delivery.
#[derive(Clone, Debug)]
pub struct Sending {
    pace: Pace,
    connection: Option<u64>,
    /// Everything up to here is safe.
    receipted: Seq,
    /// Everything up to here is under way.
    sent: Seq,
    /// The highest event sent since the start of the process.
    highest: Seq,
    unanswered: u32,
    /// There is nothing to send after `sent`.
    drained: bool,
    /// When the receipt for what is under way is overdue.
    due: Option<MonoTime>,
    paused: Option<MonoTime>,
    /// Repetitions in a row that brought no receipt.
    fruitless: u32,
}

impl Sending {
    /// Nothing sent yet, no link.
    #[must_use]
    pub const fn new(pace: Pace) -> Self {
        Self {
            pace,
            connection: None,
            receipted: Seq(0),
            sent: Seq(0),
            highest: Seq(0),
            unanswered: 0,
            drained: false,
            due: None,
            paused: None,
            fruitless: 0,
        }
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: MonoTime) -> Next {
        if self.connection.is_none() {
            return Next::Wait { until: None };
        }
        if self.due.is_some_and(|due| due <= now) {
            self.rewind();
            self.fruitless += 1;
        }
        self.paused = self.paused.filter(|&until| until > now);
        if self.paused.is_some() {
            return Next::Wait { until: self.paused };
        }
        let ahead = if self.fruitless > 0 { 1 } else { u64::from(self.pace.ahead) };
        let room = ahead
            .saturating_sub(self.sent.0 - self.receipted.0)
            .min(u64::from(self.pace.window.saturating_sub(self.unanswered)));
        match u32::try_from(room) {
            Ok(limit) if limit > 0 && !self.drained => Next::Send { after: self.sent, limit },
            _ => Next::Wait { until: self.due },
        }
    }

    /// A new connection stands: nothing sent on an earlier one counts.
    pub fn line_up(&mut self, connection: u64) {
        self.connection = Some(connection);
        self.unanswered = 0;
        self.paused = None;
        self.fruitless = 0;
        self.rewind();
    }

    /// The connection is gone.
    pub fn line_down(&mut self) {
        self.connection = None;
    }

    /// There may be a new event.
    pub fn recorded(&mut self) {
        self.drained = false;
    }

    /// `seq` was handed to the connection, in order.
    pub fn sent(&mut self, seq: Seq, now: MonoTime) {
        if self.sent == self.receipted {
            // The first under way: whatever is before it has been deleted.
            self.receipted = Seq(seq.0.saturating_sub(1));
        }
        self.sent = seq;
        self.highest = self.highest.max(seq);
        self.unanswered += 1;
        let overdue = now.after(self.interval());
        self.due.get_or_insert(overdue);
    }

    /// There is nothing after what was sent, until [`Self::recorded`].
    pub fn drained(&mut self) {
        self.drained = true;
    }

    /// The broker answered one event of `connection`; `taken` unless it threw it away or refused it.
    pub fn answered(&mut self, connection: u64, taken: bool, now: MonoTime) {
        if self.connection != Some(connection) {
            return;
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        // The first bad answer of a batch pauses; the others say nothing new.
        if !taken && self.paused.is_none() {
            self.paused = Some(now.after(self.interval()));
            self.fruitless += 1;
            self.rewind();
        }
    }

    /// What a receipt up to `seq`, already verified, means.
    #[must_use]
    pub fn judge(&self, seq: Seq) -> Judged {
        if seq > self.highest {
            Judged::NeverSent
        } else if seq > self.receipted {
            Judged::Progress
        } else {
            Judged::Nothing
        }
    }

    /// Everything up to `seq` has been receipted and deleted.
    pub fn receipted(&mut self, seq: Seq, now: MonoTime) {
        self.receipted = self.receipted.max(seq);
        if self.sent < self.receipted {
            // Sent on an earlier connection or before a repetition, and it did arrive.
            self.sent = self.receipted;
        }
        self.fruitless = 0;
        self.paused = None;
        self.due = (self.sent > self.receipted).then(|| now.after(self.pace.patience));
    }

    /// Whether what was sent stays without effect.
    #[must_use]
    pub const fn is_fruitless(&self) -> bool {
        self.fruitless > 0
    }

    fn rewind(&mut self) {
        self.sent = self.receipted;
        self.due = None;
        self.drained = false;
    }

    fn interval(&self) -> Duration {
        self.pace.longest.min(self.pace.patience.saturating_mul(1 << self.fruitless.min(16)))
    }
}

#[cfg(test)]
mod tests;

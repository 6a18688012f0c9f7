//! Decides what to send next. No I/O: events in, actions out.
//!
//! Events go out in order. A broker's answer only makes room for more; only a receipt moves the start, and after a
//! reconnect, or when receipts stay away, everything from the first event without receipt is sent again. While no receipt
//! comes, only a single event is sent, at growing intervals. If then a receipt says that the collector has less than it
//! once receipted (its ledger was set back), sending starts again from there. It never sees an event's content and never
//! deletes.

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

/// What a receipt means for what is sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// These events are safe.
    Progress,
    /// Known already.
    Nothing,
    /// The collector has less than it receipted before, and nothing else gets through: sending starts after its last event.
    Behind,
}

/// The state of one box's delivery.
#[derive(Clone, Debug)]
pub struct Sending {
    pace: Pace,
    connection: Option<u64>,
    /// Everything up to here the collector has.
    receipted: Seq,
    /// Everything up to here is under way.
    sent: Seq,
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
    /// Everything up to `receipted` was receipted before; nothing is under way, there is no link.
    #[must_use]
    pub const fn new(pace: Pace, receipted: Seq) -> Self {
        Self {
            pace,
            connection: None,
            receipted,
            sent: receipted,
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
        self.sent = seq;
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

    /// A receipt up to `seq` came, signed by the collector and with the hash of this box's own event. Says what it meant.
    ///
    /// A receipt that is merely lower than one before means nothing by itself: it may be late, or repeated by somebody. It
    /// counts only while nothing gets through. Whoever repeats receipts makes the box send what a reconnection would.
    pub fn receipted(&mut self, seq: Seq, now: MonoTime) -> Judged {
        if seq < self.receipted && self.is_fruitless() {
            self.receipted = seq;
            self.rewind();
            return Judged::Behind;
        }
        if seq <= self.receipted {
            return Judged::Nothing;
        }
        self.receipted = seq;
        // What was sent on an earlier connection or before a repetition may have arrived.
        self.sent = self.sent.max(seq);
        self.fruitless = 0;
        self.paused = None;
        self.due = (self.sent > self.receipted).then(|| now.after(self.pace.patience));
        Judged::Progress
    }

    /// A new epoch began: its events are numbered from 1. What is under way stays in the window until it is answered.
    pub fn begin_epoch(&mut self) {
        self.receipted = Seq(0);
        self.fruitless = 0;
        self.paused = None;
        self.rewind();
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

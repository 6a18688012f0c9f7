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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace { window: 4, ahead: 6, patience: Duration::from_secs(5), longest: Duration::from_secs(15) };

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_start(Duration::from_secs(seconds))
    }

    /// Sends what it wants of `1..=last`.
    fn send(sending: &mut Sending, now: MonoTime, last: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Next::Send { after, limit } = sending.next(now) {
            let rows: Vec<_> = (after.0 + 1..=last).take(limit as usize).collect();
            if rows.is_empty() {
                sending.drained();
            }
            for seq in rows {
                sending.sent(Seq(seq), now);
                sent.push(seq);
            }
        }
        sent
    }

    fn up() -> Sending {
        let mut sending = Sending::new(PACE);
        sending.line_up(1);
        sending
    }

    #[test]
    fn nothing_is_sent_without_a_line() {
        let mut sending = Sending::new(PACE);
        assert_eq!(sending.next(at(0)), Next::Wait { until: None });
        sending.line_up(1);
        assert_eq!(sending.next(at(0)), Next::Send { after: Seq(0), limit: 4 });
        sending.line_down();
        assert_eq!(sending.next(at(0)), Next::Wait { until: None });
    }

    #[test]
    fn an_answer_opens_the_window_but_not_beyond_what_may_be_ahead() {
        let mut sending = up();
        assert_eq!(send(&mut sending, at(0), 100), [1, 2, 3, 4]);
        sending.answered(1, true, at(0));
        assert_eq!(send(&mut sending, at(0), 100), [5]);
        for _ in 0..4 {
            sending.answered(1, true, at(0));
        }
        assert_eq!(send(&mut sending, at(0), 100), [6]);
        assert_eq!(sending.judge(Seq(4)), Judged::Progress);
        sending.receipted(Seq(4), at(1));
        assert_eq!(send(&mut sending, at(1), 100), [7, 8, 9]);
    }

    #[test]
    fn answers_of_an_earlier_connection_count_for_nothing() {
        let mut sending = up();
        send(&mut sending, at(0), 4);
        sending.line_up(2);
        assert_eq!(send(&mut sending, at(0), 100), [1, 2, 3, 4]);
        sending.answered(1, true, at(0));
        sending.answered(1, false, at(0));
        assert!(send(&mut sending, at(0), 100).is_empty());
    }

    #[test]
    fn reconnected_it_starts_after_the_last_receipt() {
        let mut sending = up();
        send(&mut sending, at(0), 4);
        sending.receipted(Seq(2), at(0));
        sending.line_down();
        sending.line_up(2);
        assert_eq!(send(&mut sending, at(0), 4), [3, 4]);
    }

    #[test]
    fn without_receipts_one_event_is_tried_at_growing_intervals() {
        let mut sending = up();
        assert_eq!(send(&mut sending, at(0), 2), [1, 2]);
        sending.answered(1, true, at(0));
        sending.answered(1, true, at(0));
        assert_eq!(sending.next(at(4)), Next::Wait { until: Some(at(5)) });
        let mut tried = Vec::new();
        for second in 5..60 {
            if !send(&mut sending, at(second), 2).is_empty() {
                tried.push(second);
                sending.answered(1, true, at(second));
            }
        }
        assert_eq!(tried, [5, 15, 30, 45], "after 5, then 10, then at most 15 seconds");
        sending.receipted(Seq(2), at(60));
        assert!(!sending.is_fruitless());
        assert_eq!(send(&mut sending, at(60), 5), [3, 4, 5]);
    }

    #[test]
    fn a_refusal_pauses_once_a_batch() {
        let mut sending = up();
        assert_eq!(send(&mut sending, at(0), 100), [1, 2, 3, 4]);
        for _ in 0..4 {
            sending.answered(1, false, at(1));
        }
        assert_eq!(sending.next(at(1)), Next::Wait { until: Some(at(6)) });
        assert_eq!(send(&mut sending, at(6), 100), [1]);
        sending.answered(1, false, at(6));
        assert_eq!(sending.next(at(6)), Next::Wait { until: Some(at(16)) });
    }

    #[test]
    fn after_a_restart_the_first_row_tells_where_to_begin() {
        let mut sending = up();
        assert_eq!(sending.next(at(0)), Next::Send { after: Seq(0), limit: 4 });
        sending.sent(Seq(501), at(0));
        assert_eq!(sending.next(at(0)), Next::Send { after: Seq(501), limit: 3 });
        for (seq, judged) in [(500, Judged::Nothing), (501, Judged::Progress), (502, Judged::NeverSent)] {
            assert_eq!(sending.judge(Seq(seq)), judged, "{seq}");
        }
    }

    /// What the world does between two looks at the clock.
    #[derive(Clone, Debug)]
    enum World {
        Record,
        Reconnect,
        Break,
        /// The broker takes the oldest unanswered event, and gives it to the collector or forgets it.
        Take {
            deliver: bool,
        },
        Refuse,
        /// The collector says (again) how far it has everything.
        Receipt,
        /// Somebody says nonsense, signed or replayed.
        Nonsense(u64),
        Wait(u64),
    }

    fn world() -> impl Strategy<Value = World> {
        prop_oneof![
            3 => Just(World::Record),
            1 => Just(World::Reconnect),
            1 => Just(World::Break),
            6 => any::<bool>().prop_map(|deliver| World::Take { deliver }),
            1 => Just(World::Refuse),
            3 => Just(World::Receipt),
            1 => (0u64..50).prop_map(World::Nonsense),
            3 => (0u64..20).prop_map(World::Wait),
        ]
    }

    #[derive(Default)]
    struct Model {
        now: u64,
        connection: u64,
        recorded: u64,
        deleted: u64,
        under_way: std::collections::VecDeque<u64>,
        committed: std::collections::BTreeSet<u64>,
    }

    impl Model {
        fn contiguous(&self) -> u64 {
            (1..).find(|seq| !self.committed.contains(seq)).expect("finite") - 1
        }

        fn turn(&mut self, sending: &mut Sending) {
            while let Next::Send { after, limit } = sending.next(at(self.now)) {
                let from = after.0.max(self.deleted) + 1;
                let rows: Vec<_> = (from..=self.recorded).take(limit as usize).collect();
                if rows.is_empty() {
                    sending.drained();
                }
                for seq in rows {
                    sending.sent(Seq(seq), at(self.now));
                    self.under_way.push_back(seq);
                }
                assert!(self.under_way.len() <= PACE.window as usize, "more unanswered than the window");
            }
        }

        fn step(&mut self, sending: &mut Sending, world: World) {
            match world {
                World::Record => {
                    self.recorded += 1;
                    sending.recorded();
                }
                World::Reconnect => {
                    self.connection += 1;
                    self.under_way.clear();
                    sending.line_up(self.connection);
                }
                World::Break => {
                    self.under_way.clear();
                    sending.line_down();
                }
                World::Take { deliver } => {
                    if let Some(seq) = self.under_way.pop_front() {
                        if deliver {
                            self.committed.insert(seq);
                        }
                        sending.answered(self.connection, true, at(self.now));
                    }
                }
                World::Refuse => {
                    if self.under_way.pop_front().is_some() {
                        sending.answered(self.connection, false, at(self.now));
                    }
                }
                World::Receipt => {
                    let seq = Seq(self.contiguous());
                    if sending.judge(seq) == Judged::Progress {
                        self.deleted = self.deleted.max(seq.0);
                        sending.receipted(seq, at(self.now));
                    }
                }
                World::Nonsense(beyond) => {
                    let seq = Seq(self.recorded + 1 + beyond);
                    assert_eq!(sending.judge(seq), Judged::NeverSent);
                }
                World::Wait(seconds) => self.now += seconds,
            }
            self.turn(sending);
            assert!(self.deleted <= self.contiguous(), "deleted what the collector does not have");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_everything_arrives(history in proptest::collection::vec(world(), 0..120)) {
            let (mut sending, mut model) = (Sending::new(PACE), Model::default());
            for world in history {
                model.step(&mut sending, world);
            }
            model.step(&mut sending, World::Reconnect);
            // From here on the world behaves; every round but the last must bring something.
            let mut rounds = 0;
            while model.deleted < model.recorded {
                while !model.under_way.is_empty() {
                    model.step(&mut sending, World::Take { deliver: true });
                }
                model.step(&mut sending, World::Receipt);
                rounds += 1;
                prop_assert!(rounds <= 1 + model.recorded, "stuck at {} of {}", model.deleted, model.recorded);
            }
        }
    }
}

//! Tables, and a model of a forgetful broker and an honest collector.

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
    let mut sending = Sending::new(PACE, Seq(0));
    sending.line_up(1);
    sending
}

#[test]
fn nothing_is_sent_without_a_line() {
    let mut sending = Sending::new(PACE, Seq(0));
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
    assert_eq!(sending.receipted(Seq(4), at(1)), Judged::Progress);
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
fn after_a_restart_it_begins_behind_what_was_receipted() {
    let mut sending = Sending::new(PACE, Seq(500));
    sending.line_up(1);
    assert_eq!(send(&mut sending, at(0), 502), [501, 502]);
    for (seq, judged) in
        [(499, Judged::Nothing), (500, Judged::Nothing), (502, Judged::Progress), (501, Judged::Nothing)]
    {
        assert_eq!(sending.receipted(Seq(seq), at(1)), judged, "{seq}");
    }
    assert_eq!(sending.next(at(1)), Next::Wait { until: None });
}

#[test]
fn a_lower_receipt_counts_only_when_nothing_gets_through() {
    let mut sending = Sending::new(PACE, Seq(30));
    sending.line_up(1);
    assert_eq!(send(&mut sending, at(0), 31), [31]);
    sending.answered(1, true, at(0));
    assert_eq!(sending.receipted(Seq(10), at(1)), Judged::Nothing, "it may be late or repeated");
    assert_eq!(send(&mut sending, at(5), 31), [31], "no receipt came in time");
    sending.answered(1, true, at(5));
    assert_eq!(sending.receipted(Seq(10), at(6)), Judged::Behind);
    assert_eq!(send(&mut sending, at(6), 31), [11], "one event is tried");
    sending.answered(1, true, at(6));
    assert_eq!(sending.receipted(Seq(11), at(7)), Judged::Progress);
    assert_eq!(send(&mut sending, at(7), 31), [12, 13, 14, 15]);
}

#[test]
fn receipts_repeated_for_ever_cost_no_more_than_reconnections() {
    let hour = |receipts: &[u64]| {
        let mut sending = Sending::new(PACE, Seq(30));
        sending.line_up(1);
        let mut sent = 0;
        for second in 0..3_600 {
            let now = send(&mut sending, at(second), 31);
            now.iter().for_each(|_| sending.answered(1, true, at(second)));
            sent += now.len() as u64;
            for &seq in receipts {
                sending.receipted(Seq(seq), at(second));
            }
        }
        sent
    };
    assert!(hour(&[10]) <= 4 + 3_600 / PACE.longest.as_secs(), "one event an interval");
    let mixed = hour(&[10, 3, 0, 10]);
    assert!(mixed <= (2 + 3_600 / PACE.patience.as_secs()) * u64::from(PACE.ahead), "{mixed} events");
}

#[test]
fn a_new_epoch_starts_at_its_first_event_within_the_window() {
    let mut sending = Sending::new(PACE, Seq(30));
    sending.line_up(1);
    assert_eq!(send(&mut sending, at(0), 33), [31, 32, 33]);
    sending.begin_epoch();
    assert_eq!(send(&mut sending, at(0), 9), [1], "three are still unanswered");
    for _ in 0..4 {
        sending.answered(1, true, at(0));
    }
    assert_eq!(send(&mut sending, at(0), 9), [2, 3, 4, 5]);
    assert_eq!(sending.receipted(Seq(1), at(0)), Judged::Progress);
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
    /// Somebody repeats an earlier receipt.
    Repeated(u64),
    /// The ledger is set back.
    SetBack(u64),
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
        1 => (0u64..50).prop_map(World::Repeated),
        1 => (0u64..50).prop_map(World::SetBack),
        3 => (0u64..20).prop_map(World::Wait),
    ]
}

#[derive(Default)]
struct Model {
    now: u64,
    connection: u64,
    recorded: u64,
    /// The highest receipt ever.
    said: u64,
    under_way: std::collections::VecDeque<u64>,
    committed: std::collections::BTreeSet<u64>,
}

impl Model {
    fn contiguous(&self) -> u64 {
        (1..).find(|seq| !self.committed.contains(seq)).expect("finite") - 1
    }

    fn turn(&mut self, sending: &mut Sending) {
        while let Next::Send { after, limit } = sending.next(at(self.now)) {
            let rows: Vec<_> = (after.0 + 1..=self.recorded).take(limit as usize).collect();
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
                let seq = self.contiguous();
                sending.receipted(Seq(seq), at(self.now));
                self.said = self.said.max(seq);
            }
            World::Repeated(less) => {
                sending.receipted(Seq(self.said.saturating_sub(less)), at(self.now));
            }
            World::SetBack(to) => self.committed.retain(|seq| *seq <= to),
            World::Wait(seconds) => self.now += seconds,
        }
        self.turn(sending);
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_everything_arrives(history in proptest::collection::vec(world(), 0..120)) {
        let (mut sending, mut model) = (Sending::new(PACE, Seq(0)), Model::default());
        for world in history {
            model.step(&mut sending, world);
        }
        model.step(&mut sending, World::Reconnect);
        model.step(&mut sending, World::Record);
        // From here on the world behaves. A ledger that was set back is filled again, an event an interval at first.
        let mut rounds = 0;
        while model.contiguous() < model.recorded {
            model.step(&mut sending, World::Wait(5));
            while !model.under_way.is_empty() {
                model.step(&mut sending, World::Take { deliver: true });
            }
            model.step(&mut sending, World::Receipt);
            rounds += 1;
            prop_assert!(rounds <= 40 + 2 * model.recorded, "stuck at {} of {}", model.contiguous(), model.recorded);
        }
    }
}

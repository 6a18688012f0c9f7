//! What has come and is not taken in yet: a queue per box, taken from in turn, so that no box waits for another's flood.
//!
//! A box never has more under way than its `ahead` (128 events) and sends that again after a reconnect. What goes beyond
//! twice that is no delivery, and is dropped at once at the cost of a look at its topic. Few messages of one box wait
//! unacknowledged: the broker keeps only so many places for all boxes together, and a flood must not hold them. To
//! acknowledge early loses nothing, since only a receipt lets a box forget an event. It never looks into a message.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use examgate::domain::DeviceId;
use tokio::sync::Notify;

/// Most messages of one box that wait: twice what a box sends without a receipt.
const PER_BOX: usize = 256;

/// Most messages that wait of all who are not enrolled, together: they are only refused.
const STRANGERS: usize = 64;

/// Most messages of one box that wait unacknowledged.
const HELD: usize = 8;

/// Most bytes that wait of all boxes together.
const BYTES: usize = 64 << 20;

/// Most messages of one box in one batch: opening a seal takes a third of a millisecond, one made with malice 17 ms.
const TURN: usize = 32;

/// Where a message waits at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// On which connection it came.
    pub(super) connection: u64,
    /// Its packet id there.
    pub(super) packet: u16,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its topic; empty if that is not UTF-8.
    pub(super) topic: String,
    /// An envelope, or whatever it is.
    pub(super) payload: Vec<u8>,
    /// To be acknowledged once it is dealt with; `None`: it has been.
    pub(super) place: Option<Place>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It waits; acknowledge it once it is dealt with.
    Held,
    /// It waits; acknowledge it now.
    Kept,
    /// Its box has sent too much: it is gone. Acknowledge it now, or the broker sends it again.
    Dropped,
    /// There is no room for anybody: end the connection and come back when there is.
    Full,
}

/// The queues. Whose: a box that is enrolled, or `None` for everybody else.
#[derive(Default)]
struct Queues {
    by_box: HashMap<Option<DeviceId>, VecDeque<Message>>,
    /// Whose queues are not empty; the first is next.
    turns: VecDeque<Option<DeviceId>>,
    bytes: usize,
    closed: bool,
    /// Messages dropped, by whose they were. Said again at every power of ten.
    dropped: HashMap<Option<DeviceId>, u64>,
}

impl Queues {
    fn offer(&mut self, whose: Option<DeviceId>, mut message: Message) -> Offered {
        let queue = self.by_box.entry(whose.clone()).or_default();
        if queue.len() >= if whose.is_some() { PER_BOX } else { STRANGERS } {
            return Offered::Dropped;
        }
        if self.bytes + message.payload.len() > BYTES {
            return Offered::Full;
        }
        let held = queue.iter().filter(|message| message.place.is_some()).count() < HELD;
        if !held {
            message.place = None;
        }
        self.bytes += message.payload.len();
        if queue.is_empty() {
            self.turns.push_back(whose);
        }
        queue.push_back(message);
        if held { Offered::Held } else { Offered::Kept }
    }

    fn take(&mut self, most: usize) -> Vec<Message> {
        let mut batch = Vec::new();
        let mut taken: HashMap<Option<DeviceId>, usize> = HashMap::new();
        let mut rested = VecDeque::new();
        while batch.len() < most
            && let Some(whose) = self.turns.pop_front()
        {
            let Some(queue) = self.by_box.get_mut(&whose) else { continue };
            let Some(message) = queue.pop_front() else { continue };
            self.bytes -= message.payload.len();
            batch.push(message);
            let count = taken.entry(whose.clone()).or_default();
            *count += 1;
            if queue.is_empty() {
                self.by_box.remove(&whose);
            } else if *count < TURN {
                self.turns.push_back(whose);
            } else {
                rested.push_back(whose);
            }
        }
        self.turns.append(&mut rested);
        batch
    }
}

/// The queues between the connection and the ledger.
#[derive(Default)]
pub(super) struct Waiting {
    queues: Mutex<Queues>,
    news: Condvar,
    room: Notify,
}

impl Waiting {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message of `whose` into its queue.
    pub(super) fn offer(&self, whose: Option<DeviceId>, message: Message) -> Offered {
        let offered = self.queues().offer(whose, message);
        self.news.notify_one();
        offered
    }

    /// Counts a message of `whose` that was dropped, and says so now and then.
    pub(super) fn count_dropped(&self, whose: Option<DeviceId>) {
        let mut queues = self.queues();
        let count = queues.dropped.entry(whose.clone()).or_default();
        *count += 1;
        if count.ilog10() != (*count - 1).checked_ilog10().unwrap_or(u32::MAX) {
            let device = whose.as_ref().map_or("not enrolled", DeviceId::as_str);
            tracing::error!(
                device,
                dropped = *count,
                "floods the collector and its messages are dropped; others are served. It must be examined: shut it out at the \
                 broker (ACL, revoked certificate)"
            );
        }
    }

    /// The next messages, at most `most`, of the boxes in turn. Waits for the first; none when nothing comes in `patience`; `None`
    /// when it is closed and empty.
    pub(super) fn take(&self, most: usize, patience: Duration) -> Option<Vec<Message>> {
        let idle = |queues: &mut Queues| queues.turns.is_empty() && !queues.closed;
        let waited = self.news.wait_timeout_while(self.queues(), patience, idle);
        let (mut queues, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let batch = queues.take(most);
        if queues.bytes <= BYTES / 2 {
            self.room.notify_one();
        }
        (!batch.is_empty() || !queues.closed).then_some(batch)
    }

    /// Waits until half of all the room is free.
    pub(super) async fn has_room(&self) {
        while self.queues().bytes > BYTES / 2 {
            self.room.notified().await;
        }
    }

    /// Forgets all that waits: it was neither acknowledged nor receipted, so it comes again.
    pub(super) fn forget(&self) {
        let mut queues = self.queues();
        queues.by_box.clear();
        queues.turns.clear();
        queues.bytes = 0;
        self.room.notify_one();
    }

    /// Waits, at most so long, until it is closed. Says whether it is.
    pub(super) fn is_closed_within(&self, patience: Duration) -> bool {
        let open = |queues: &mut Queues| !queues.closed;
        let waited = self.news.wait_timeout_while(self.queues(), patience, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.queues().closed = true;
        self.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<DeviceId> {
        Some(DeviceId::new(name).expect("valid"))
    }

    fn message(from: &str, packet: u16, len: usize) -> Message {
        Message { topic: from.into(), payload: vec![0; len], place: Some(Place { connection: 1, packet }) }
    }

    #[test]
    fn a_flood_of_one_box_is_cut_and_others_wait_for_one_turn() {
        let mut queues = Queues::default();
        let mut outcomes = HashMap::new();
        for number in 0..5_000 {
            *outcomes.entry(format!("{:?}", queues.offer(named("loud"), message("loud", number, 10)))).or_insert(0) +=
                1;
        }
        let expected = [("Held", HELD), ("Kept", PER_BOX - HELD), ("Dropped", 5_000 - PER_BOX)];
        assert_eq!(outcomes, expected.map(|(name, count)| (name.to_owned(), count)).into());
        assert_eq!(queues.offer(named("quiet"), message("quiet", 1, 10)), Offered::Held);
        let batch = queues.take(128);
        assert_eq!(batch.iter().position(|message| message.topic == "quiet"), Some(1), "second of all");
        assert_eq!(batch.len(), TURN + 1, "no box takes a whole batch");
        assert_eq!(queues.take(usize::MAX).len(), TURN);
    }

    #[test]
    fn a_box_that_delivers_a_full_outbox_is_never_cut() {
        let mut queues = Queues::default();
        // Everything under way, and all of it once more after a reconnect.
        for packet in 0..256 {
            assert_ne!(queues.offer(named("door-1"), message("door-1", packet, 1_000)), Offered::Dropped);
        }
        let mut places = 0;
        let mut count = 0;
        loop {
            let batch = queues.take(128);
            if batch.is_empty() {
                break;
            }
            places += batch.iter().filter(|message| message.place.is_some()).count();
            count += batch.len();
        }
        assert_eq!((count, places, queues.bytes, queues.by_box.len()), (256, HELD, 0, 0));
    }

    #[test]
    fn strangers_share_one_small_queue_whatever_names_they_make_up() {
        let mut queues = Queues::default();
        let dropped =
            (0..1_000).filter(|&n| queues.offer(None, message("stranger", n, 10)) == Offered::Dropped).count();
        assert_eq!((dropped, queues.by_box.len()), (1_000 - STRANGERS, 1));
    }

    #[tokio::test]
    async fn without_room_nothing_is_taken_and_room_comes_back() {
        let waiting = Waiting::default();
        let large = BYTES / PER_BOX;
        let mut boxes = (0..).map(|n| named(&format!("door-{n}")));
        for _ in 0..PER_BOX {
            assert_eq!(waiting.offer(boxes.next().expect("endless"), message("x", 1, large)), Offered::Held);
        }
        assert_eq!(waiting.offer(boxes.next().expect("endless"), message("x", 1, 1)), Offered::Full);
        let (emptied, ()) = tokio::join!(
            async {
                let mut taken = 0;
                while taken < PER_BOX / 2 {
                    taken += waiting.take(16, Duration::from_secs(60)).map_or(0, |batch| batch.len());
                    tokio::task::yield_now().await;
                }
                taken
            },
            waiting.has_room(),
        );
        assert_eq!(emptied, PER_BOX / 2);
        assert_eq!(waiting.offer(named("door-0"), message("x", 1, 1)), Offered::Held);
        waiting.close();
        let mut rest = 0;
        while let Some(batch) = waiting.take(1_000, Duration::from_secs(60)) {
            rest += batch.len();
        }
        assert_eq!(rest, PER_BOX / 2 + 1, "what is there is still taken");
    }
}

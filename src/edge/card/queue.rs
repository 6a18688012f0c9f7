//! The bounded queue from the thread that watches the readers to the consumer of its events. Putting an event in never blocks.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    time::Duration,
};

use super::{CardError, CardEvent, QUEUE};

type Item = Result<CardEvent, CardError>;

/// The taking side is gone.
#[derive(Debug)]
pub(super) struct Abandoned;

/// The giving side.
#[derive(Debug)]
pub(super) struct Feed {
    items: SyncSender<Item>,
    lost: usize,
}

/// The taking side.
#[derive(Debug)]
pub(super) struct Events(Receiver<Item>);

/// Both sides of a new queue.
pub(super) fn queue() -> (Feed, Events) {
    let (items, events) = sync_channel(QUEUE);
    (Feed { items, lost: 0 }, Events(events))
}

impl Feed {
    /// Gives a tap or a removal; counts it as lost when the queue is full.
    pub(super) fn give(&mut self, event: CardEvent) -> Result<(), Abandoned> {
        self.confess()?;
        if self.lost > 0 {
            self.lost += 1;
            return Ok(());
        }
        match self.items.try_send(Ok(event)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.lost = 1;
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(Abandoned),
        }
    }

    /// Tells of lost events as soon as there is room.
    pub(super) fn confess(&mut self) -> Result<(), Abandoned> {
        if self.lost == 0 {
            return Ok(());
        }
        match self.items.try_send(Err(CardError::Overrun { lost: self.lost })) {
            Ok(()) => {
                self.lost = 0;
                Ok(())
            }
            Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Abandoned),
        }
    }

    /// Tells of an outage or its end, and waits for room: it must not get lost, and there is no tap to see meanwhile.
    pub(super) fn tell(&mut self, item: Item) -> Result<(), Abandoned> {
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.items.send(Err(CardError::Overrun { lost })).map_err(|_| Abandoned)?;
        }
        self.items.send(item).map_err(|_| Abandoned)
    }
}

impl Events {
    /// The next item, or `None` after `patience`.
    pub(super) fn next(&self, patience: Duration) -> Result<Option<CardEvent>, CardError> {
        match self.0.recv_timeout(patience) {
            Ok(item) => item.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(CardError::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::card::Slot;

    #[test]
    fn a_full_queue_tells_what_it_lost_before_anything_later() {
        let (mut feed, events) = queue();
        let removed = |n| CardEvent::Removed { slot: Slot(n) };
        for n in 0..20 {
            feed.give(removed(n)).unwrap();
        }
        let next = || events.next(Duration::ZERO);
        assert_eq!(next().unwrap(), Some(removed(0)));
        assert_eq!(next().unwrap(), Some(removed(1)));
        feed.give(removed(20)).unwrap();
        for n in 2..16 {
            assert_eq!(next().unwrap(), Some(removed(n)));
        }
        assert!(matches!(next(), Err(CardError::Overrun { lost: 4 })));
        assert_eq!(next().unwrap(), Some(removed(20)));
        assert_eq!(next().unwrap(), None);
        drop(feed);
        assert!(matches!(next(), Err(CardError::Closed)));
    }

    #[test]
    fn the_giving_side_learns_that_nobody_listens() {
        let (mut feed, events) = queue();
        drop(events);
        assert!(feed.give(CardEvent::Removed { slot: Slot(0) }).is_err());
        assert!(feed.tell(Err(CardError::NoReader)).is_err());
    }
}

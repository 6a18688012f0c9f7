//! Telemetry: counts what the other drivers note, and tells the fleet every few seconds, signed, over the line to the broker.
//!
//! It is best effort and in nobody's way: notes are taken without waiting, and what is told is cumulative, so a message that is lost takes nothing
//! with it. No student, card or proctor is named; scores leave in batches only (`tally.rs`).

mod noting;
mod others;
mod tally;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::watch;
use uuid::Uuid;

use self::tally::Tally;
pub use self::{
    noting::{Noted, Noting, Someone, Stage, Verified},
    others::{CompareWithOthers, Probed, probes},
};
use crate::{
    domain::{DeviceId, MonoTime, Timestamp},
    edge::{clock::Clock, mqtt::Link},
    wire::{
        keys::SigningKey,
        telemetry::{Place, Reading, Series, Telemetry, metrics},
        topic::DeviceTopic,
    },
};

/// How long the broker keeps a message: for a bridge that was away, and not for one that comes the day after.
const KEPT: Duration = Duration::from_secs(3600);

/// How long the thread waits at most: how often it tells that it is alive, and how soon it tells after the link came up.
const TURN: Duration = Duration::from_secs(1);

/// Who tells, and of which run.
#[derive(Clone, Debug)]
pub struct Teller {
    /// This box.
    pub device: DeviceId,
    /// Its signing key.
    pub key: SigningKey,
    /// This boot of the machine.
    pub boot_id: Uuid,
    /// This run of the program.
    pub run: u64,
    /// When it began, by the box's clock.
    pub since: Timestamp,
    /// From one message to the next; 1 s at least.
    pub every: Duration,
    /// The program's version.
    pub software: String,
    /// Ids of models by their role; `liveness` is the one that liveness scores are told of.
    pub models: BTreeMap<String, String>,
}

/// The driver of telemetry. Its own thread.
pub struct Tell {
    /// Who tells.
    pub teller: Teller,
    /// What is counted.
    pub notes: Receiver<Noted>,
    /// Where it comes from.
    pub noting: Noting,
    /// Over which line.
    pub link: watch::Receiver<Link>,
    /// By which clock.
    pub clock: Arc<dyn Clock>,
    /// Looks how the box is now: gauges. It may wait for a disk.
    pub measure: Box<dyn FnMut() -> Vec<Series> + Send>,
    /// Told at every turn that the thread is alive.
    pub alive: Box<dyn Fn() + Send>,
}

impl Tell {
    /// Counts and tells until [`Noted::Stop`], or until nobody can note anything any more. Then it tells once more.
    pub fn run(mut self) {
        let mut tally = Tally::new(self.teller.models.get("liveness").map_or(metrics::NONE, String::as_str));
        let (mut seq, mut due) = (1, self.clock.mono());
        loop {
            (self.alive)();
            let now = self.clock.mono();
            if due <= now {
                due = self.next(now, &mut tally, &mut seq);
            }
            match self.notes.recv_timeout(due.since(now).min(TURN)) {
                Ok(Noted::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(noted) => {
                    self.noting.counted();
                    tally.take(noted);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // What was noted before the end of the others.
        while let Ok(noted) = self.notes.try_recv() {
            tally.take(noted);
        }
        self.tell(&mut tally, &mut seq);
    }

    /// Tells, and says when the next time is.
    fn next(&mut self, now: MonoTime, tally: &mut Tally, seq: &mut u64) -> MonoTime {
        // A link that comes up is to be noticed soon.
        now.after(if self.tell(tally, seq) { self.teller.every } else { TURN })
    }

    /// Hands a message over to the line, if there is one with room. Says whether it did.
    fn tell(&mut self, tally: &mut Tally, seq: &mut u64) -> bool {
        let Link::Up(line) = self.link.borrow().clone() else { return false };
        let (waiting, lost) = self.noting.waiting_and_lost();
        tally.lost(lost);
        let mut series = tally.series();
        series.extend((self.measure)());
        let waits = Reading::Gauge(waiting as f64);
        series.push(Series { metric: &metrics::QUEUES, labels: vec!["telemetry".into()], reading: waits });
        let Teller { device, key, boot_id, run, since, every, software, models } = &self.teller;
        let telemetry = Telemetry {
            device: device.clone(),
            boot_id: *boot_id,
            place: Place { run: *run, seq: *seq },
            made: self.clock.wall(),
            since: *since,
            every: u32::try_from(every.as_secs()).unwrap_or(u32::MAX).max(1),
            clock: self.clock.trust(),
            software: software.clone(),
            models: models.clone(),
            series,
        };
        let is_told = line.try_retain_for(DeviceTopic::Telemetry.of(device), telemetry.encode(key), KEPT).is_ok();
        *seq += u64::from(is_told);
        is_told
    }
}

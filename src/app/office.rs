//! The proctor's console, built and run on a thread of its own: a flood of its pages never holds up the light, the screen or the
//! broker's line.

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, PoisonError, mpsc::SyncSender},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinSet,
    time::interval,
};

use super::{
    doctor::{self, State},
    limit,
    pulse::Parts,
};
use crate::{
    config::{self, Config},
    domain::{ClockTrust, Doors, Exam, ExamId, Invitation, MonoTime, Seq, Timestamp, WithSources},
    edge::{
        camera::CameraView,
        card::ReaderView,
        clock::Clock,
        console::{Console, Identity, Limits, Line, PartStatus, Status},
        system::Tail,
    },
    flow::{
        Oversee, Shelf, Submitted,
        deliver::{Delivery, Standing},
    },
    store::{EventStore, KeyFolder, Secret},
};

/// The console's own handles of the box's databases.
pub(super) struct Reading {
    pub(super) shelf: Shelf,
    pub(super) events: EventStore,
    /// For the status: it looks while the others are read.
    pub(super) look: EventStore,
}

/// How often the console shows that it is alive.
const TURN: Duration = Duration::from_secs(1);

/// What the console follows and feeds.
pub(super) struct Office {
    pub(super) in_force: watch::Receiver<Option<Exam>>,
    pub(super) doors: watch::Receiver<Doors>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reading: Reading,
    pub(super) submit: SyncSender<Submitted>,
    pub(super) invitations: watch::Receiver<Option<(Invitation, MonoTime)>>,
    pub(super) newest: watch::Receiver<Seq>,
    pub(super) camera: watch::Receiver<CameraView>,
    pub(super) reader: watch::Receiver<ReaderView>,
    pub(super) delivery: Option<watch::Receiver<Delivery>>,
    pub(super) log: Option<Tail>,
}

impl Office {
    /// Starts the console as `console` wants it and waits until it listens. It ends after `stop`.
    pub(super) async fn open(
        self,
        parts: &Parts,
        config: &Config,
        keys: &KeyFolder,
        console: &config::Console,
        stop: Arc<Notify>,
    ) -> Result<JoinHandle<()>> {
        let (identity, listen) = (identity(keys, &console.certificate)?, console.listen);
        let Self { in_force, doors, clock, reading, submit, invitations, newest, camera, reader, delivery, log } = self;
        let Reading { shelf, events, look } = reading;
        let pulse = Pulse {
            clock: Arc::clone(&clock),
            state: config.state.clone(),
            look: Mutex::new(look),
            serving: (in_force.clone(), doors),
            camera,
            reader,
            delivery,
            log,
        };
        let place = (config.room.clone(), in_force);
        let status = Box::new(move || pulse.status());
        let office = Arc::new(Oversee::new(place, Arc::clone(&clock), shelf, events, submit, status));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .thread_name("examgate-office")
            .build()
            .context("cannot start the console's runtime")?;
        let (tell, listening) = oneshot::channel();
        let thread = parts.thread("examgate-console", limit::CONSOLE, move |beat| {
            runtime.block_on(async {
                let following = Arc::clone(&office);
                let opened = Console::listen(listen, &identity, Limits::default(), office, invitations, newest, clock);
                let console = match opened.await {
                    Ok(console) => console,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let mut turns = interval(TURN);
                // The receiver is gone if the box is already shutting down.
                let _ = tell.send(Ok(console.address()));
                let mut serving = pin!(console.run());
                let mut follows = JoinSet::new();
                loop {
                    tokio::select! {
                        () = serving.as_mut() => return,
                        () = stop.notified() => return,
                        _ = turns.tick() => {
                            beat.tick();
                            // One at a time waits for the disk.
                            if follows.is_empty() {
                                let office = Arc::clone(&following);
                                follows.spawn_blocking(move || office.follow());
                            }
                        }
                        Some(followed) = follows.join_next() => if let Ok(Err(error)) = followed {
                            tracing::error!(error = %WithSources(&error), "the console cannot follow the roster");
                        }
                    }
                }
            });
            // A question that waits for a disk is not waited for.
            runtime.shutdown_background();
            Ok(())
        })?;
        let address = listening.await.context("the console has ended")??.context("the console has no address")?;
        tracing::info!(%address, "the console is served");
        Ok(thread)
    }
}

/// The console's certificate and key.
pub(super) fn identity(keys: &KeyFolder, certificate: &Path) -> Result<Identity> {
    Ok(Identity {
        certificate: std::fs::read(certificate)
            .with_context(|| format!("the console's certificate {} cannot be read", certificate.display()))?,
        key: keys.text(Secret::Console).context("the console's key cannot be used")?,
    })
}

/// Feels how the box is while it serves: what `doctor` would find, without taking anything apart.
pub(super) struct Pulse {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) serving: (watch::Receiver<Option<Exam>>, watch::Receiver<Doors>),
    pub(super) state: PathBuf,
    pub(super) look: Mutex<EventStore>,
    pub(super) camera: watch::Receiver<CameraView>,
    pub(super) reader: watch::Receiver<ReaderView>,
    pub(super) delivery: Option<watch::Receiver<Delivery>>,
    pub(super) log: Option<Tail>,
}

impl Pulse {
    /// How each part is.
    pub(super) fn findings(&self) -> Vec<doctor::PartHealth> {
        let (clock, found) = match self.clock.trust() {
            ClockTrust::Synchronised => (State::Well, "kept by a time server"),
            ClockTrust::Holdover => (State::Impaired, "no time server now; its own time is still good enough"),
            ClockTrust::Untrusted => (State::Unwell, "not to be believed; let the box reach its time server"),
        };
        let mut findings = vec![doctor::finding("clock", clock, found)];
        let camera = match &*self.camera.borrow() {
            CameraView::Starting => doctor::finding("camera", State::Impaired, "starting"),
            CameraView::Streaming(_) => doctor::finding("camera", State::Well, "gives pictures"),
            CameraView::Faulted(fault) => doctor::finding("camera", State::Unwell, fault.to_string()),
        };
        findings.push(camera);
        findings.push(readers(&self.reader.borrow()));
        findings.push(served(self.serving.0.borrow().as_ref(), &self.serving.1.borrow()));
        {
            let look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
            findings.push(doctor::recorded(&look));
            findings.extend(doctor::set_back(&look, self.clock.wall()));
        }
        doctor::disk(&self.state, &mut findings);
        findings.push(match &self.delivery {
            None => doctor::finding("broker", State::Impaired, "no [uplink] is configured: events wait in the outbox"),
            Some(delivery) => delivered(*delivery.borrow()),
        });
        findings
    }

    fn status(&self) -> Status {
        let lines = |kept: Vec<(_, String)>| {
            let line = |(at, text): (Timestamp, String)| Line { at: at.as_millisecond(), text };
            kept.into_iter().map(line).collect()
        };
        Status {
            findings: self.findings().into_iter().map(told).collect(),
            faults: self.log.as_ref().map(Tail::faults).map(lines).unwrap_or_default(),
            log: self.log.as_ref().map(Tail::lines).map(lines).unwrap_or_default(),
            ..Status::default()
        }
    }
}

fn readers(view: &ReaderView) -> doctor::PartHealth {
    match view {
        ReaderView::Starting => doctor::finding("reader", State::Impaired, "starting"),
        ReaderView::Ready { slots } => doctor::finding("reader", State::Well, format!("{slots} slots are watched")),
        ReaderView::Faulted(fault) => doctor::finding("reader", State::Unwell, WithSources(&**fault).to_string()),
    }
}

/// Which exam is served, and how the doors stand.
fn served(exam: Option<&Exam>, doors: &Doors) -> doctor::PartHealth {
    let name = exam.map_or_else(|| "no exam".to_owned(), |exam| exam.id.to_string());
    let (state, found) = match doors {
        Doors::Open { beside } if beside.is_empty() => (State::Well, format!("{name}: its doors are open")),
        Doors::Open { beside } => {
            let beside: Vec<_> = beside.iter().map(ExamId::as_str).collect();
            let words = format!(
                "{name} is served, which opened last; doors of {} are open here too: send its students to another room, or have the times mended",
                beside.join(", ")
            );
            (State::Unwell, words)
        }
        Doors::Closed { next: Some(next), .. } => {
            (State::Well, format!("doors are closed and open next at {next}; {name} is shown"))
        }
        Doors::Closed { next: None, last } => {
            let last = last.map_or(String::new(), |last| format!(" since {last}"));
            (State::Impaired, format!("doors are closed{last}, and no later exam is held; {name} is shown"))
        }
        Doors::Unknown => (State::Unwell, format!("the clock does not say whether doors are open; {name} is shown")),
        Doors::NothingHeld => (State::Impaired, "no exam is held: nobody is verified until a roster comes".into()),
    };
    doctor::finding("exam", state, found)
}

fn delivered(Delivery { standing, receipted }: Delivery) -> doctor::PartHealth {
    let (state, found) = match standing {
        Standing::Flowing => (State::Well, format!("events are delivered; the collector has {receipted}")),
        Standing::NoLink => (State::Impaired, "no link to the broker: events wait in the outbox".into()),
        Standing::NoReceipts => (State::Impaired, "the broker takes events, but no receipt comes".into()),
        Standing::NobodyListens => (State::Impaired, "the collector is not connected to the broker".into()),
        Standing::NoRecipient => {
            let words = "the fleet's trust document names no key that events could be sealed to now: they wait in the outbox; \
                 `examgate-fleet trust rotate events`";
            (State::Impaired, words.into())
        }
        Standing::Refused(why) => (State::Impaired, format!("the broker refuses events: {why}")),
        Standing::StorageFault => (State::Unwell, "the outbox cannot be read or written".into()),
        Standing::Unsendable(seq) => (State::Unwell, format!("event {seq} fits into no envelope")),
    };
    doctor::finding("broker", state, found)
}

fn told(finding: doctor::PartHealth) -> PartStatus {
    let doctor::PartHealth { part, state, found } = finding;
    let state = match state {
        State::Well => "well",
        State::Impaired => "impaired",
        State::Unwell => "unwell",
    };
    PartStatus { part, state, found }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::{ExamWindow, RosterVersion},
        edge::card::CardError,
    };

    #[test]
    fn the_status_says_which_exam_is_served_and_when_doors_open_next() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let exam = Exam {
            id: ExamId::new("MATH-1").unwrap(),
            title: "Mathematics".into(),
            window: ExamWindow { opens: at(100), closes: at(200) },
            version: RosterVersion(1),
        };
        let beside = vec![ExamId::new("BIO-2").unwrap()];
        for (doors, state, words) in [
            (Doors::Open { beside: vec![] }, State::Well, "MATH-1: its doors are open"),
            (Doors::Open { beside }, State::Unwell, "doors of BIO-2 are open here too"),
            (Doors::Closed { next: Some(at(100)), last: None }, State::Well, "open next at 1970-01-01T00:01:40Z"),
            (Doors::Closed { next: None, last: Some(at(200)) }, State::Impaired, "since 1970-01-01T00:03:20Z"),
            (Doors::Unknown, State::Unwell, "the clock"),
        ] {
            let found = served(Some(&exam), &doors);
            assert!(found.part == "exam" && found.state == state && found.found.contains(words), "{found:?}");
        }
        assert!(served(None, &Doors::NothingHeld).found.contains("no exam is held"));
    }

    #[test]
    fn a_reader_that_is_out_of_order_is_in_the_status() {
        for (view, state, words) in [
            (ReaderView::Starting, State::Impaired, "starting"),
            (ReaderView::Ready { slots: 2 }, State::Well, "2 slots"),
            (ReaderView::Faulted(Arc::new(CardError::NoReader)), State::Unwell, "no card reader is attached"),
            (
                ReaderView::Faulted(Arc::new(CardError::Hung { waited: Duration::from_secs(3) })),
                State::Unwell,
                "has not answered for 3 s",
            ),
        ] {
            let found = readers(&view);
            assert!(found.part == "reader" && found.state == state && found.found.contains(words), "{found:?}");
        }
    }
}

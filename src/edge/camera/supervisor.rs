//! Keeps one camera open and publishes its latest frame, or what is wrong with it.
//!
//! Two threads: `examgate-frames` opens the source and reads it, `examgate-camera` judges, publishes and opens again after a
//! fault (0.25 s, doubled up to 8 s). A driver may block in a read without end, and a blocked thread cannot be ended: it is
//! abandoned. After [`CameraSettings::abandoned`] such threads only a restart of the process helps.
//!
//! The device streams on between students, so that the first frame after a tap is there at once; idle frames are mostly
//! dropped. Every published frame may be from before the tap: compare its `captured_at`.

use std::{
    sync::{
        Arc, Weak,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Ailment, CameraError, Frame, MonoClock, Opener, Shot,
    health::{Health, Verdict},
    view::{CameraFault, CameraSettings, CameraView, Pace},
};
use crate::domain::MonoTime;

/// Messages that wait for the camera's thread. Frames that find it full are dropped: a later one is better.
const QUEUE: usize = 4;

/// A camera that is kept open. Dropping it closes it.
#[derive(Debug)]
pub struct Camera {
    messages: SyncSender<Message>,
    view: watch::Receiver<CameraView>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    /// Of the reader with this number.
    Read(u64, Result<Shot, CameraError>),
    Pace(Pace),
    Stop,
}

impl Camera {
    /// Starts opening and reading, at [`Pace::Idle`]. What goes wrong is told by the view.
    ///
    /// # Errors
    /// No thread.
    pub fn start(opener: Opener, clock: MonoClock, settings: CameraSettings) -> Result<Self, CameraError> {
        let (messages, inbox) = mpsc::sync_channel(QUEUE);
        let (publish, view) = watch::channel(CameraView::Starting);
        let mut keeper = Keeper {
            opener,
            clock,
            settings,
            messages: messages.clone(),
            inbox,
            publish,
            pace: Pace::Idle,
            published: None,
            health: Health::default(),
            readers: 0,
            abandoned: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("examgate-camera".into())
            .spawn(move || keeper.keep())
            .map_err(CameraError::StartThread)?;
        Ok(Self { messages, view, thread: Some(thread) })
    }

    /// Publishes all frames, or few.
    pub fn set_pace(&self, pace: Pace) {
        // It fails only when the camera's thread is gone, and then the view has closed too.
        let _ = self.messages.send(Message::Pace(pace));
    }

    /// What the camera shows, latest wins. It closes when the camera is dropped.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<CameraView> {
        self.view.clone()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic on that thread has been reported by the panic hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// The camera's thread.
struct Keeper {
    opener: Opener,
    clock: MonoClock,
    settings: CameraSettings,
    messages: SyncSender<Message>,
    inbox: Receiver<Message>,
    publish: watch::Sender<CameraView>,
    pace: Pace,
    published: Option<MonoTime>,
    health: Health,
    readers: u64,
    /// Readers that nobody waits for, as far as they still run.
    abandoned: Vec<JoinHandle<()>>,
}

/// The camera was dropped.
struct Stopped;

/// How one opening ended.
struct Ended {
    fault: CameraFault,
    retriable: bool,
    /// Whether it had been well for long enough to start over with short pauses.
    was_well: bool,
}

impl Keeper {
    fn keep(&mut self) {
        let mut pause = self.settings.first_pause;
        loop {
            self.abandoned.retain(|thread| !thread.is_finished());
            let hanging = self.abandoned.len();
            let ended = if hanging >= self.settings.abandoned {
                // If one of them comes back after all, so does the camera.
                Ok(Ended { fault: CameraFault::Wedged { hanging }, retriable: true, was_well: false })
            } else {
                self.stream()
            };
            let Ok(ended) = ended else { return };
            tracing::warn!(fault = %ended.fault, "camera");
            self.fault(ended.fault);
            if ended.was_well {
                pause = self.settings.first_pause;
            }
            if !ended.retriable {
                pause = self.settings.longest_pause;
            }
            if self.rest(pause).is_err() {
                return;
            }
            pause = (pause * 2).min(self.settings.longest_pause);
        }
    }

    /// Opens the source and publishes its frames until something is wrong with it.
    fn stream(&mut self) -> Result<Ended, Stopped> {
        self.readers += 1;
        let number = self.readers;
        // The reader goes on only as long as this lives.
        let lease = Arc::new(());
        let (opener, messages, held) = (Arc::clone(&self.opener), self.messages.clone(), Arc::downgrade(&lease));
        let reader = thread::Builder::new()
            .name("examgate-frames".into())
            .spawn(move || read(number, &opener, &messages, &held));
        let reader = match reader {
            Ok(reader) => reader,
            Err(source) => return Ok(self.failed(CameraError::StartThread(source), None)),
        };
        let ended = self.watch(number, &reader);
        self.abandoned.push(reader);
        ended
    }

    /// Publishes the frames of the reader with this `number`.
    fn watch(&mut self, number: u64, reader: &JoinHandle<()>) -> Result<Ended, Stopped> {
        self.health.start_over();
        let (mut well_since, mut ill_since) = (None, None);
        let mut heard = (self.clock)();
        let mut within = self.settings.open_within;
        loop {
            let waited = (self.clock)().since(heard);
            let Some(left) = within.checked_sub(waited).filter(|left| !left.is_zero()) else {
                if reader.is_finished() {
                    return Ok(self.failed(CameraError::ReaderEnded, well_since));
                }
                return Ok(self.ended(CameraFault::Stalled { waited }, true, well_since));
            };
            let shot = match self.inbox.recv_timeout(left) {
                Ok(Message::Read(from, _)) if from != number => continue,
                Ok(Message::Read(_, Ok(shot))) => shot,
                Ok(Message::Read(_, Err(why))) => return Ok(self.failed(why, well_since)),
                Ok(Message::Pace(pace)) => {
                    self.pace = pace;
                    continue;
                }
                Ok(Message::Stop) => return Err(Stopped),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => unreachable!("this thread holds a sender"),
            };
            let now = (self.clock)();
            (heard, within) = (now, self.settings.stalled_after);
            match self.health.judge(shot, now) {
                Verdict::Refused => {}
                Verdict::Good(frame) => {
                    ill_since = None;
                    well_since.get_or_insert(now);
                    self.show(frame, now);
                }
                Verdict::Ill(ailment) => {
                    let since = *ill_since.get_or_insert(now);
                    if ailment == Ailment::Frozen || now.since(since) >= self.settings.patience {
                        return Ok(self.ended(CameraFault::Ailing(ailment), true, well_since));
                    }
                    self.fault(CameraFault::Ailing(ailment));
                }
            }
        }
    }

    fn failed(&self, why: CameraError, well_since: Option<MonoTime>) -> Ended {
        let retriable = why.is_retriable();
        self.ended(CameraFault::Failed(Arc::new(why)), retriable, well_since)
    }

    fn ended(&self, fault: CameraFault, retriable: bool, well_since: Option<MonoTime>) -> Ended {
        let was_well = well_since.is_some_and(|since| (self.clock)().since(since) >= self.settings.longest_pause);
        Ended { fault, retriable, was_well }
    }

    fn show(&mut self, frame: Frame, now: MonoTime) {
        let due = match self.pace {
            Pace::Live => true,
            Pace::Idle => self.published.is_none_or(|at| now.since(at) >= self.settings.idle_interval),
        };
        if due {
            self.published = Some(now);
            self.publish.send_replace(CameraView::Streaming(Arc::new(frame)));
        }
    }

    fn fault(&mut self, fault: CameraFault) {
        // The first good frame is shown at once.
        self.published = None;
        self.publish.send_replace(CameraView::Faulted(fault));
    }

    /// Waits, listening.
    fn rest(&mut self, pause: Duration) -> Result<(), Stopped> {
        let until = (self.clock)().after(pause);
        loop {
            let left = until.since((self.clock)());
            if left.is_zero() {
                return Ok(());
            }
            match self.inbox.recv_timeout(left) {
                Ok(Message::Pace(pace)) => self.pace = pace,
                Ok(Message::Stop) => return Err(Stopped),
                Ok(Message::Read(..)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("this thread holds a sender"),
            }
        }
    }
}

/// The reader's thread: opens, reads and tells until nobody wants it any more or an error ends it.
fn read(number: u64, opener: &Opener, messages: &SyncSender<Message>, lease: &Weak<()>) {
    let tell_end = |why| {
        if lease.strong_count() > 0 {
            // The receiver is gone only when the camera is.
            let _ = messages.send(Message::Read(number, Err(why)));
        }
    };
    let mut source = match opener() {
        Ok(source) => source,
        Err(why) => return tell_end(why),
    };
    loop {
        let shot = match source.next() {
            Ok(shot) => shot,
            Err(why) => return tell_end(why),
        };
        if lease.strong_count() == 0 {
            return;
        }
        match messages.try_send(Message::Read(number, Ok(shot))) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => return,
        }
    }
}

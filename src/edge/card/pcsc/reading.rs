//! Reads one card at a time on a thread of its own, under a watchdog: a mute card blocks the transmit call without end,
//! and PC/SC has no way to call it back. Such a thread is left behind with its context and a fresh one takes over.
//!
//! Lets no identifier and no APDU out.

use std::{
    cell::Cell,
    convert::Infallible,
    ffi::{CStr, CString},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use ::pcsc::{Context, Disposition, Error, MAX_ATR_SIZE, Protocols, Scope, ShareMode};
use zeroize::Zeroizing;

use super::sam::SamLine;
use crate::{
    domain::{CardProblem, CredentialProfile, MonoTime},
    edge::card::{
        CardError, CardReads,
        asking::{Asked, AtHand, Naming},
    },
};

/// What a card may take to say everything. An identifier takes milliseconds; a DESFire card proves itself in a tenth or two of a second.
const LIMIT: Duration = Duration::from_millis(1500);

/// The same where PIV cards are read: they send a certificate of two kilobytes, and sign with RSA in up to a second
/// (docs/decisions/0161).
const PIV_LIMIT: Duration = Duration::from_millis(2500);

/// What all tries of a tap may take together.
const TAP_LIMIT: Duration = Duration::from_millis(2800);

/// Tries a tap: a card on the edge of the field often answers at the second.
pub(super) const TRIES: usize = 3;

/// Pause before a card that another program holds is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Threads that may be stuck at a time. The driver holds a stuck reader, so more than a few means that it is broken.
const MOST_STUCK: usize = 4;

/// What one try gave.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Attempt {
    /// The card answered, or it is certain that it will not.
    Judged(Asked),
    /// The exchange broke off; perhaps the card is still there.
    Interrupted,
    /// Another program holds the card.
    Busy,
}

type Try = Box<dyn FnMut(&CStr) -> Attempt + Send>;

/// A thread that tries cards, as long as both ends are held.
struct Worker {
    readers: SyncSender<CString>,
    attempts: Receiver<Attempt>,
}

/// Tells the monotonic time.
type Mono = Arc<dyn Fn() -> MonoTime + Send + Sync>;

/// Reads cards with one worker, replaced when it is stuck.
pub(super) struct Reading {
    new_try: Box<dyn Fn() -> Try + Send>,
    mono: Mono,
    /// What one try may take.
    limit: Duration,
    worker: Option<Worker>,
    /// One clone in every live thread, so the count tells how many there are.
    threads: Arc<()>,
}

impl Reading {
    /// Reads through PC/SC; every thread has a context of its own.
    pub(super) fn over_pcsc(naming: Arc<Naming>) -> Self {
        let (mono, limit) = (Arc::clone(&naming.surroundings.mono), limit(&naming.reads));
        let new_try: Box<dyn Fn() -> Try + Send> = Box::new(move || {
            let naming = Arc::clone(&naming);
            let mut held = Held { context: None, sam: SamLine::new(&naming.reads) };
            Box::new(move |reader| attempt(&mut held, reader, &naming))
        });
        Self::with(new_try, mono, limit)
    }

    fn with(new_try: Box<dyn Fn() -> Try + Send>, mono: Mono, limit: Duration) -> Self {
        Self { new_try, mono, limit, worker: None, threads: Arc::new(()) }
    }

    /// Reads the card in `reader`: at most three tries, less than three seconds in all. `stopped` cuts pauses short.
    ///
    /// # Errors
    /// When too many threads are stuck, or none can be started.
    pub(super) fn read(&mut self, reader: &CStr, stopped: &Receiver<Infallible>) -> Result<Asked, CardError> {
        let begun = (self.mono)();
        for _ in 0..TRIES {
            let left = TAP_LIMIT.saturating_sub((self.mono)().since(begun));
            if left.is_zero() {
                break;
            }
            match self.once(reader, self.limit.min(left))? {
                Attempt::Judged(asked) => return Ok(asked),
                Attempt::Interrupted => {}
                Attempt::Busy => match stopped.recv_timeout(BUSY_PAUSE) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                    Ok(never) => match never {},
                },
            }
        }
        Ok(CardProblem::Unreadable.into())
    }

    fn once(&mut self, reader: &CStr, limit: Duration) -> Result<Attempt, CardError> {
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.start()?,
        };
        let attempt = match worker.readers.send(reader.to_owned()) {
            Ok(()) => worker.attempts.recv_timeout(limit),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        match attempt {
            Ok(attempt) => {
                self.worker = Some(worker);
                Ok(attempt)
            }
            Err(RecvTimeoutError::Timeout) => {
                let stuck = Arc::strong_count(&self.threads) - 1;
                tracing::warn!(stuck, "the card or its reader did not answer in time");
                if stuck >= MOST_STUCK { Err(CardError::Stuck { stuck }) } else { Ok(unreadable()) }
            }
            Err(RecvTimeoutError::Disconnected) => Ok(Attempt::Interrupted),
        }
    }

    fn start(&self) -> Result<Worker, CardError> {
        let (readers, jobs) = sync_channel::<CString>(1);
        let (results, attempts) = sync_channel(1);
        let mut attempt = (self.new_try)();
        let alive = Arc::clone(&self.threads);
        thread::Builder::new()
            .name("examgate-card-read".into())
            .spawn(move || {
                let _alive = alive;
                for reader in jobs {
                    if results.send(attempt(&reader)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|source| CardError::StartThread { source })?;
        Ok(Worker { readers, attempts })
    }
}

fn unreadable() -> Attempt {
    Attempt::Judged(CardProblem::Unreadable.into())
}

/// What one try may take where cards are read in this way.
fn limit(reads: &CardReads) -> Duration {
    if reads.profiles.contains(&CredentialProfile::Piv) { PIV_LIMIT } else { LIMIT }
}

/// What a thread keeps from one try for the next.
struct Held {
    context: Option<Context>,
    sam: SamLine,
}

/// One try, in the context kept from the last one or a new one.
fn attempt(held: &mut Held, reader: &CStr, naming: &Naming) -> Attempt {
    let context = match held.context.take().map_or_else(|| Context::establish(Scope::System), Ok) {
        Ok(context) => context,
        Err(error) => {
            tracing::debug!(%error, "no PC/SC service to read the card with");
            return unreadable();
        }
    };
    let Held { context: kept, sam } = held;
    let mono = &*naming.surroundings.mono;
    let asked = exchange(&context, reader, mono, |atr, spent, transmit| {
        naming.ask(atr, &mut AtHand { spent, sam: &mut |command| sam.transmit(command) }, transmit)
    });
    match asked {
        Ok(asked) => {
            *kept = Some(context);
            Attempt::Judged(asked)
        }
        Err(Error::SharingViolation) => {
            *kept = Some(context);
            Attempt::Busy
        }
        Err(error) => {
            // Pulled: `RemovedCard` or `NotTransacted` by driver; reset by another program: `ResetCard`; service gone:
            // `CommError`, `NoService`, `InvalidHandle`. A new context serves them all.
            tracing::debug!(%error, "the exchange with the card broke off");
            Attempt::Interrupted
        }
    }
}

/// Sends a command to the card and returns its response.
pub(super) type Transmit<'t> = dyn FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, Error> + 't;

/// Talks to the card in `reader`: hands its ATR, the time for which it has had commands by `mono`, and the way to it to `ask`.
pub(super) fn exchange<T>(
    context: &Context,
    reader: &CStr,
    mono: &dyn Fn() -> MonoTime,
    ask: impl FnOnce(&[u8], &dyn Fn() -> Duration, &mut Transmit<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    // A short response has 258 bytes at most (ISO/IEC 7816-3). Some cards give a PIV object whole, in one of any length: the largest
    // object of the standard fits. PC/SC refuses a longer one.
    let mut buffer = Zeroizing::new([0_u8; 4098]);
    let mut card = context.connect(reader, ShareMode::Shared, Protocols::ANY)?;
    let transaction = card.transaction()?;
    // A reader may have several names. Without the ATR the card is asked all the same.
    let (mut names, mut atr) = ([0; 512], [0; MAX_ATR_SIZE]);
    let atr = match transaction.status2(&mut names, &mut atr) {
        Ok(status) => status.atr(),
        Err(Error::InsufficientBuffer) => &[],
        Err(error) => return Err(error),
    };
    let spent = Cell::new(Duration::ZERO);
    let said = ask(atr, &|| spent.get(), &mut |command| {
        let sent = mono();
        let response = transaction.transmit(command, &mut *buffer);
        spent.set(spent.get() + mono().since(sent));
        Ok(Zeroizing::new(response?.to_vec()))
    })?;
    // The answer is there; what is left only tidies up, and may fail because the card is gone already.
    let _ = transaction.end(Disposition::LeaveCard);
    let _ = card.disconnect(Disposition::LeaveCard);
    Ok(said)
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::domain::Credential;

    /// Reads with tries that play `script`, over all threads; after its end a try blocks until the test is over.
    fn scripted(script: Vec<Attempt>) -> (Reading, SyncSender<Infallible>) {
        let script = Arc::new(Mutex::new(script.into_iter()));
        let (over, held) = mpsc::sync_channel(0);
        let held = Arc::new(Mutex::new(held));
        let new_try: Box<dyn Fn() -> Try + Send> = Box::new(move || {
            let (script, held) = (Arc::clone(&script), Arc::clone(&held));
            Box::new(move |_| {
                let next = script.lock().unwrap().next();
                next.unwrap_or_else(|| {
                    // Fails when the sender is dropped; those that wait for the lock follow.
                    let _: Result<Infallible, _> = held.lock().unwrap().recv();
                    Attempt::Interrupted
                })
            })
        });
        (Reading::with(new_try, Arc::new(MonoTime::default), LIMIT), over)
    }

    fn read(reading: &mut Reading) -> Result<Result<Credential, CardProblem>, CardError> {
        let (_running, stopped) = mpsc::sync_channel(0);
        Ok(reading.read(c"reader", &stopped)?.read)
    }

    #[test]
    fn no_try_begins_when_the_time_of_a_tap_is_over() {
        let (mut reading, _over) = scripted(vec![Attempt::Interrupted, Attempt::Judged(CardProblem::Unstable.into())]);
        let looks = Mutex::new(0);
        // Half of the tap's time goes by between two looks: at the start, before the first try, before the second.
        reading.mono = Arc::new(move || {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            MonoTime::from_start(TAP_LIMIT / 2 * *looks)
        });
        assert_eq!(read(&mut reading).unwrap(), Err(CardProblem::Unreadable));
    }

    #[test]
    fn a_card_that_signs_slowly_has_more_time() {
        let mut reads = CardReads::default();
        assert_eq!(limit(&reads), LIMIT);
        reads.profiles.insert(0, CredentialProfile::Piv);
        assert_eq!(limit(&reads), PIV_LIMIT);
        assert!(PIV_LIMIT < TAP_LIMIT && TAP_LIMIT < Duration::from_secs(3), "every tap ends within three seconds");
    }

    #[test]
    fn tries_again_when_interrupted_or_busy_and_gives_up() {
        use Attempt::{Busy, Interrupted, Judged};
        let unstable = || Judged(CardProblem::Unstable.into());
        let table = [
            (vec![unstable()], CardProblem::Unstable),
            (vec![Interrupted, unstable()], CardProblem::Unstable),
            (vec![Busy, Interrupted, unstable()], CardProblem::Unstable),
            (vec![Interrupted, Interrupted, Interrupted, unstable()], CardProblem::Unreadable),
            (vec![unreadable(), unstable()], CardProblem::Unreadable),
        ];
        for (script, expected) in table {
            let (mut reading, _over) = scripted(script.clone());
            assert_eq!(read(&mut reading).unwrap(), Err(expected), "{script:?}");
        }
    }

    #[test]
    fn stuck_threads_are_replaced_then_given_up() {
        let (mut reading, over) = scripted(vec![]);
        for _ in 1..MOST_STUCK {
            assert_eq!(read(&mut reading).unwrap(), Err(CardProblem::Unreadable));
        }
        let error = read(&mut reading).unwrap_err();
        assert!(matches!(error, CardError::Stuck { stuck: MOST_STUCK }) && !error.is_retriable(), "{error}");
        drop(over);
    }

    #[test]
    fn a_thread_that_comes_back_counts_no_more() {
        let (mut reading, over) = scripted(vec![]);
        assert_eq!(read(&mut reading).unwrap(), Err(CardProblem::Unreadable));
        drop(over);
        while Arc::strong_count(&reading.threads) > 1 {
            thread::yield_now();
        }
        for _ in 0..MOST_STUCK {
            assert_eq!(read(&mut reading).unwrap(), Err(CardProblem::Unreadable));
        }
    }
}

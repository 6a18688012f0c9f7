//! Reads one card at a time on a thread of its own, under a watchdog: a mute card blocks the transmit call without end,
//! and PC/SC has no way to call it back. Such a thread is left behind with its context and a fresh one takes over.
//!
//! Lets no identifier and no APDU out.

use std::{
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

use crate::{
    domain::{CardProblem, Credential},
    edge::card::{CardError, asking::Naming},
};

/// What a card may take to answer: it takes milliseconds when all is well.
const LIMIT: Duration = Duration::from_millis(1500);

/// The same for every further try.
const RETRY_LIMIT: Duration = Duration::from_millis(500);

/// Tries a tap: a card on the edge of the field often answers at the second.
const TRIES: usize = 3;

/// Pause before a card that another program holds is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Threads that may be stuck at a time. The driver holds a stuck reader, so more than a few means that it is broken.
const MOST_STUCK: usize = 4;

/// What one try gave.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Attempt {
    /// The card answered, or it is certain that it will not.
    Judged(Result<Credential, CardProblem>),
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

/// Reads cards with one worker, replaced when it is stuck.
pub(super) struct Reading {
    new_try: Box<dyn Fn() -> Try + Send>,
    worker: Option<Worker>,
    /// One clone in every live thread, so the count tells how many there are.
    threads: Arc<()>,
}

impl Reading {
    /// Reads through PC/SC; every thread has a context of its own.
    pub(super) fn over_pcsc(naming: Arc<Naming>) -> Self {
        Self::with(Box::new(move || {
            let naming = Arc::clone(&naming);
            let mut context = None;
            Box::new(move |reader| attempt(&mut context, reader, &naming))
        }))
    }

    fn with(new_try: Box<dyn Fn() -> Try + Send>) -> Self {
        Self { new_try, worker: None, threads: Arc::new(()) }
    }

    /// Reads the card in `reader`: at most three tries, less than three seconds in all. `stopped` cuts pauses short.
    ///
    /// # Errors
    /// When too many threads are stuck, or none can be started.
    pub(super) fn read(
        &mut self,
        reader: &CStr,
        stopped: &Receiver<Infallible>,
    ) -> Result<Result<Credential, CardProblem>, CardError> {
        let mut limit = LIMIT;
        for _ in 0..TRIES {
            match self.once(reader, limit)? {
                Attempt::Judged(read) => return Ok(read),
                Attempt::Interrupted => {}
                Attempt::Busy => match stopped.recv_timeout(BUSY_PAUSE) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                    Ok(never) => match never {},
                },
            }
            limit = RETRY_LIMIT;
        }
        Ok(Err(CardProblem::Unreadable))
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

const fn unreadable() -> Attempt {
    Attempt::Judged(Err(CardProblem::Unreadable))
}

/// One try, in the context kept from the last one or a new one.
fn attempt(context: &mut Option<Context>, reader: &CStr, naming: &Naming) -> Attempt {
    let held = match context.take().map_or_else(|| Context::establish(Scope::System), Ok) {
        Ok(held) => held,
        Err(error) => {
            tracing::debug!(%error, "no PC/SC service to read the card with");
            return unreadable();
        }
    };
    match exchange(&held, reader, |atr, transmit| naming.ask(atr, transmit)) {
        Ok(read) => {
            *context = Some(held);
            Attempt::Judged(read)
        }
        Err(Error::SharingViolation) => {
            *context = Some(held);
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

/// Talks to the card in `reader`: hands its ATR and the way to it to `ask`.
pub(super) fn exchange<T>(
    context: &Context,
    reader: &CStr,
    ask: impl FnOnce(&[u8], &mut dyn FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, Error>) -> Result<T, Error>,
) -> Result<T, Error> {
    // Longest short response: 256 bytes of data and the status word, ISO/IEC 7816-3. PC/SC refuses a longer one.
    let mut buffer = Zeroizing::new([0_u8; 258]);
    let mut card = context.connect(reader, ShareMode::Shared, Protocols::ANY)?;
    let transaction = card.transaction()?;
    // A reader may have several names. Without the ATR the card is asked all the same.
    let (mut names, mut atr) = ([0; 512], [0; MAX_ATR_SIZE]);
    let atr = match transaction.status2(&mut names, &mut atr) {
        Ok(status) => status.atr(),
        Err(Error::InsufficientBuffer) => &[],
        Err(error) => return Err(error),
    };
    let said = ask(atr, &mut |command| {
        let response = transaction.transmit(command, &mut *buffer)?;
        Ok(Zeroizing::new(response.to_vec()))
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

    /// Reads with tries that play `script`, over all threads; after its end a try blocks until the test is over.
    fn scripted(script: Vec<Attempt>) -> (Reading, SyncSender<Infallible>) {
        let script = Arc::new(Mutex::new(script.into_iter()));
        let (over, held) = mpsc::sync_channel(0);
        let held = Arc::new(Mutex::new(held));
        let reading = Reading::with(Box::new(move || {
            let (script, held) = (Arc::clone(&script), Arc::clone(&held));
            Box::new(move |_| {
                let next = script.lock().unwrap().next();
                next.unwrap_or_else(|| {
                    // Fails when the sender is dropped; those that wait for the lock follow.
                    let _: Result<Infallible, _> = held.lock().unwrap().recv();
                    Attempt::Interrupted
                })
            })
        }));
        (reading, over)
    }

    fn read(reading: &mut Reading) -> Result<Result<Credential, CardProblem>, CardError> {
        let (_running, stopped) = mpsc::sync_channel(0);
        reading.read(c"reader", &stopped)
    }

    #[test]
    fn tries_again_when_interrupted_or_busy_and_gives_up() {
        use Attempt::{Busy, Interrupted, Judged};
        let unstable = || Judged(Err(CardProblem::Unstable));
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

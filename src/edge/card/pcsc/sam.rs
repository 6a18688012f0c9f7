//! The SAM in a reader of its own: found by the reader's name, opened when it is needed, and again after it was pulled.
//!
//! A SAM that does not answer blocks the call to it without end, as a card does. So one thread speaks to it, and the others wait for it only a
//! while. Nothing that is said is logged.

use std::{
    ffi::{CStr, CString},
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread,
    time::Duration,
};

use ::pcsc::{Card, Context, Disposition, Error, Protocols, Scope, ShareMode};
use zeroize::Zeroizing;

use crate::{
    domain::WithSources,
    edge::card::{
        CardReads,
        asking::{NotOpened, SamReads},
    },
    wire::sam::{Asked, KILL_AUTHENTICATION, SamError, SamVersion, is_judgement},
};

/// What a SAM may take to answer, with everything that goes before: it is connected and opened in about a tenth of a second, and answers in
/// hundredths. A tap waits for it no longer (`reading.rs` has the limits of a tap).
const ANSWERED_WITHIN: Duration = Duration::from_millis(700);

/// Why a SAM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SamFault {
    /// The PC/SC service does not answer.
    #[error("the PC/SC service does not answer; see `systemctl status pcscd.socket pcscd`")]
    Service {
        /// The cause.
        source: Error,
    },
    /// No reader has that in its name.
    #[error(
        "no reader has {wanted:?} in its name: see card.desfire.sam.reader, and whether the reader of the SAM is plugged in"
    )]
    NoReader {
        /// What is in the configuration.
        wanted: String,
    },
    /// Several have.
    #[error("several readers have {wanted:?} in their names, {}: set card.desfire.sam.reader to what one alone has", found.join(" and "))]
    SeveralReaders {
        /// What is in the configuration.
        wanted: String,
        /// Their names.
        found: Vec<String>,
    },
    /// The reader does not let its card be used.
    #[error("the SAM in {reader:?} cannot be reached: see whether it is in the reader")]
    Reader {
        /// The reader's name.
        reader: String,
        /// The cause.
        source: Error,
    },
    /// What lies there is no SAM AV3, or it does not open.
    #[error("the SAM in {reader:?} is of no use")]
    Sam {
        /// The reader's name.
        reader: String,
        /// The cause.
        source: SamError,
    },
    /// The thread that speaks to it could not be started.
    #[error("cannot start the thread that speaks to the SAM")]
    StartThread {
        /// The cause.
        source: io::Error,
    },
    /// It does not answer.
    #[error("the SAM does not answer within {:.0} s: take it out and put it in again", waited.as_secs_f32())]
    Mute {
        /// How long was waited.
        waited: Duration,
    },
}

impl SamFault {
    /// Whether the SAM and this box have different keys: trying again is of no use as long as the same SAM is there, and perhaps it counts.
    const fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Sam {
                source: SamError::OtherHostKey | SamError::NoHostKey | SamError::Refused { asked: Asked::Host, .. },
                ..
            }
        )
    }
}

/// A SAM that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamSeen {
    /// The name of its reader.
    pub reader: String,
    /// What it says of itself.
    pub version: SamVersion,
}

/// Looks whether the SAM is there, opens, and speaks for the card key. Waits for it no longer than `patience`.
///
/// # Errors
/// [`SamFault`].
pub fn look_at_sam(reads: &SamReads, patience: Duration) -> Result<SamSeen, SamFault> {
    let (tell, told) = sync_channel(1);
    let reads = reads.clone();
    let look = move || {
        let looked = Line::open(&reads).map_err(|(fault, _)| fault).and_then(|Line { card, reader, version }| {
            let tried = reads.try_key(|command| transmit(&card, command));
            tried.map_err(|error| fault(&reader, error))?;
            Ok(SamSeen { reader, version })
        });
        // Nobody waits any more for an answer that comes too late.
        let _ = tell.send(looked);
    };
    let thread = thread::Builder::new().name("examgate-sam-look".into());
    thread.spawn(look).map_err(|source| SamFault::StartThread { source })?;
    told.recv_timeout(patience).unwrap_or(Err(SamFault::Mute { waited: patience }))
}

/// Whether this `reader` holds the SAM: what lies in it is no tap.
pub(super) fn is_sam(reads: &CardReads, reader: &CStr) -> bool {
    sam_of(reads).is_some_and(|sam| sam.is_in(&reader.to_string_lossy()))
}

fn sam_of(reads: &CardReads) -> Option<&SamReads> {
    reads.desfire.as_ref().and_then(|desfire| desfire.sam.as_ref())
}

/// A response that was waited for; `None`: there is no SAM.
type Answer = Option<Zeroizing<Vec<u8>>>;

/// What the thread that speaks to the SAM is to send, and where the response goes.
type Job = (Zeroizing<Vec<u8>>, SyncSender<Answer>);

/// The way to the SAM, if the site has one.
pub(super) struct SamLine {
    reads: Option<SamReads>,
    jobs: Option<SyncSender<Job>>,
    /// A response that was not waited for: the thread is busy until it is there.
    late: Option<Receiver<Answer>>,
}

impl SamLine {
    pub(super) fn new(reads: &CardReads) -> Self {
        Self { reads: sam_of(reads).cloned(), jobs: None, late: None }
    }

    /// Sends a command and returns the response. `None`: there is no SAM, or it does not answer.
    pub(super) fn transmit(&mut self, command: &[u8]) -> Answer {
        if let Some(Err(TryRecvError::Empty)) = self.late.as_ref().map(Receiver::try_recv) {
            return None;
        }
        self.late = None;
        let jobs = self.jobs.take().or_else(|| self.start())?;
        let (tell, told) = sync_channel(1);
        jobs.send((Zeroizing::new(command.to_vec()), tell)).ok()?;
        self.jobs = Some(jobs);
        match told.recv_timeout(ANSWERED_WITHIN) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the SAM did not answer in time");
                self.late = Some(told);
                None
            }
            // The thread has ended; the next command starts another.
            Err(RecvTimeoutError::Disconnected) => {
                self.jobs = None;
                None
            }
        }
    }

    fn start(&self) -> Option<SyncSender<Job>> {
        let mut speaker = Speaker { reads: self.reads.clone()?, state: State::Closed };
        let (jobs, due) = sync_channel::<Job>(1);
        let speak = move || {
            for (command, tell) in due {
                // Nobody waits any more for an answer that comes too late.
                let _ = tell.send(speaker.say(&command));
            }
        };
        match thread::Builder::new().name("examgate-sam".into()).spawn(speak) {
            Ok(_) => Some(jobs),
            Err(source) => {
                tracing::error!(error = %WithSources(&SamFault::StartThread { source }), "the SAM cannot be used");
                None
            }
        }
    }
}

/// What the thread knows of the SAM.
enum State {
    /// Nothing: it is opened when a card is to be proved.
    Closed,
    /// It is open.
    Open(Line),
    /// It does not open. It is not tried again until it is taken out, as it may count attempts.
    Refused(Card),
}

/// A SAM that is connected.
struct Line {
    card: Card,
    reader: String,
    version: SamVersion,
}

impl Line {
    /// Finds the SAM, connects it and opens it.
    ///
    /// # Errors
    /// Why it is of no use, with the SAM if there is one.
    fn open(reads: &SamReads) -> Result<Self, (SamFault, Option<Card>)> {
        let alone = |fault| (fault, None);
        let context = Context::establish(Scope::System).map_err(|source| alone(SamFault::Service { source }))?;
        let name = find(&context, reads).map_err(alone)?;
        let reader = name.to_string_lossy().into_owned();
        let card = match context.connect(&name, ShareMode::Shared, Protocols::ANY) {
            Ok(card) => card,
            Err(source) => return Err(alone(SamFault::Reader { reader, source })),
        };
        let draw = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(io::Error::other);
        match reads.open(draw, |command| transmit(&card, command)) {
            Ok(version) => Ok(Self { card, reader, version }),
            Err(error) => Err((fault(&reader, error), Some(card))),
        }
    }
}

/// The one reader whose name says that it has the SAM.
fn find(context: &Context, reads: &SamReads) -> Result<CString, SamFault> {
    let readers = match context.list_readers_owned() {
        Ok(readers) => readers,
        Err(Error::NoReadersAvailable) => Vec::new(),
        Err(source) => return Err(SamFault::Service { source }),
    };
    let wanted = reads.reader.clone();
    let mut found: Vec<_> = readers.into_iter().filter(|reader| reads.is_in(&reader.to_string_lossy())).collect();
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(SamFault::NoReader { wanted }),
        (Some(reader), true) => Ok(reader),
        (Some(last), false) => {
            found.push(last);
            let found = found.iter().map(|reader| reader.to_string_lossy().into_owned()).collect();
            Err(SamFault::SeveralReaders { wanted, found })
        }
    }
}

fn fault(reader: &str, error: NotOpened<Error>) -> SamFault {
    let reader = reader.to_owned();
    match error {
        NotOpened::Line(source) => SamFault::Reader { reader, source },
        NotOpened::Sam(source) => SamFault::Sam { reader, source },
    }
}

/// The side of the thread.
struct Speaker {
    reads: SamReads,
    state: State,
}

impl Speaker {
    fn say(&mut self, command: &[u8]) -> Answer {
        // With this every proof begins (`asking/sam.rs`): until the next one the SAM has to stay as it is.
        let begins = command == KILL_AUTHENTICATION;
        if begins {
            self.make_ready();
        }
        match self.try_to_say(command) {
            // It was taken out and put in again since the last proof.
            None if begins => {
                self.make_ready();
                self.try_to_say(command)
            }
            answer => answer,
        }
    }

    fn try_to_say(&mut self, command: &[u8]) -> Answer {
        let State::Open(line) = &self.state else { return None };
        let response = transmit(&line.card, command);
        match &response {
            Ok(response) if command == KILL_AUTHENTICATION || is_judgement(response) => {}
            // It does not do what it is asked: perhaps it forgot that it was opened. The next proof begins from its reset.
            Ok(_) => {
                if let State::Open(line) = std::mem::replace(&mut self.state, State::Closed) {
                    // Fails only when it is gone, which is as good.
                    let _ = line.card.disconnect(Disposition::ResetCard);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the exchange with the SAM broke off");
                self.state = State::Closed;
            }
        }
        response.ok()
    }

    /// Opens the SAM unless it is open, or was refused and is still the same.
    fn make_ready(&mut self) {
        match &self.state {
            State::Open(_) => return,
            State::Refused(card) if card.status2_owned().is_ok() => return,
            State::Refused(_) | State::Closed => {}
        }
        self.state = match Line::open(&self.reads) {
            Ok(line) => {
                tracing::info!(reader = %line.reader, version = %line.version, "the SAM is open");
                State::Open(line)
            }
            Err((fault, card)) => {
                tracing::error!(error = %WithSources(&fault), "the SAM cannot be used");
                match card {
                    Some(card) if fault.is_lasting() => State::Refused(card),
                    Some(_) | None => State::Closed,
                }
            }
        };
    }
}

/// Sends a command to the SAM and returns its response.
fn transmit(card: &Card, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Longest short response: 256 bytes of data and the status word, ISO/IEC 7816-3.
    let mut buffer = Zeroizing::new([0_u8; 258]);
    Ok(Zeroizing::new(card.transmit(command, &mut *buffer)?.to_vec()))
}

//! Looks at cards at a desk: everything that a card and its reader say, with identifiers. Only for a person who asked for it; nothing
//! of it is logged.

use std::{
    ffi::{CStr, CString},
    sync::{Arc, mpsc::sync_channel},
    thread,
    time::Duration,
};

use ::pcsc::{Context, Error, ReaderState, Scope, State};

use super::{
    reading::{TRIES, Transmit, exchange},
    sam::{SamLine, is_sam},
};
use crate::{
    domain::CredentialProfile,
    edge::card::{
        CardError, CardReads, Interview, Proof, ReaderModel, Surroundings, Times,
        asking::{AtHand, Walked},
    },
};

/// How long one wait for a card lasts before readers are listed again.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a card may take to say everything. It takes well under a second when all is well.
const SAID_WITHIN: Duration = Duration::from_secs(5);

/// A card on a reader.
#[derive(Debug)]
pub struct Laid {
    /// The reader's name.
    pub reader: String,
    /// What is known of such readers.
    pub model: ReaderModel,
    /// What the card said; `None`: it was pulled, is held by another program, or does not answer.
    pub interview: Option<Interview>,
}

/// How long a card took to prove itself, several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The profile that named the card; `None`: none did.
    pub named_by: Option<CredentialProfile>,
    /// How long it had the commands of that profile.
    pub times: Option<Times>,
    /// Half of the good rounds took so long as a whole, or less: with the reader's and the box's share, and what was asked before.
    pub whole: Option<Duration>,
    /// Rounds that gave nothing: the proof was not good, the card was taken away, or did not answer.
    pub failed: usize,
}

/// The names of all readers.
///
/// # Errors
/// [`CardError::Service`], [`CardError::NoReader`].
pub fn readers() -> Result<Vec<String>, CardError> {
    let context = Context::establish(Scope::System).map_err(|source| CardError::Service { source })?;
    Ok(list(&context)?.iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

fn list(context: &Context) -> Result<Vec<CString>, CardError> {
    match context.list_readers_owned() {
        Ok(readers) if !readers.is_empty() => Ok(readers),
        Ok(_) | Err(Error::NoReadersAvailable) => Err(CardError::NoReader),
        Err(source) => Err(CardError::Service { source }),
    }
}

/// Waits at most `patience` until a card lies on a reader, and asks each that does everything. A card that goes too early, or that another
/// program holds, is tried again in that time. Empty: there was none.
///
/// # Errors
/// [`CardError::Service`], [`CardError::NoReader`].
pub fn wait_for_cards(
    reads: &CardReads,
    surroundings: &Surroundings,
    patience: Duration,
) -> Result<Vec<Laid>, CardError> {
    wait(reads, patience, |reader, is_last| look(reads, surroundings, reader, is_last))
}

/// Waits at most `patience` until a card lies on a reader, and lets the first that does prove itself as at the door, `rounds` times. `None`:
/// there was none.
///
/// # Errors
/// [`CardError::Service`], [`CardError::NoReader`].
pub fn time_proofs(
    reads: &CardReads,
    surroundings: &Surroundings,
    rounds: usize,
    patience: Duration,
) -> Result<Option<Timed>, CardError> {
    let found = wait(reads, patience, |reader, _| {
        let (mut measured, mut whole, mut named_by, mut failed) = (Vec::new(), Vec::new(), None, 0);
        for _ in 0..rounds {
            match prove(reads, surroundings, reader) {
                Held::Said((Some((profile, took)), all)) => {
                    measured.push(took);
                    whole.push(all);
                    named_by = Some(profile);
                }
                Held::Said((None, _)) | Held::BrokenOff => failed += 1,
                Held::Mute => {
                    failed += 1;
                    break;
                }
            }
        }
        let whole = Times::of(whole).map(|whole| whole.median);
        Some(Timed { named_by, times: Times::of(measured), whole, failed })
    })?;
    Ok(found.into_iter().next())
}

/// Lets the card in `reader` prove itself once. With the profile that named it, if one did, comes how long that took, and how long all did. An
/// exchange that breaks off is tried again, as at the door: a service that takes the power off an idle card may be in the middle of that.
fn prove(
    reads: &CardReads,
    surroundings: &Surroundings,
    reader: &CStr,
) -> Held<(Option<(CredentialProfile, Duration)>, Duration)> {
    for _ in 0..TRIES {
        let begun = (surroundings.mono)();
        let (reads, around) = (reads.clone(), surroundings.clone());
        let held = hold(reader.to_owned(), surroundings, move |atr, spent, mut transmit| {
            let mut sam = SamLine::new(&reads);
            let mut at_hand = AtHand { spent, sam: &mut |command| sam.transmit(command) };
            let Walked { profile, took, proof } = reads.walk(&around, atr, &mut at_hand, &mut transmit)?;
            Ok(matches!(proof, Proof::Proved(_)).then_some((profile, took)))
        });
        match held {
            Held::Said(named) => return Held::Said((named, (surroundings.mono)().since(begun))),
            Held::BrokenOff => {}
            Held::Mute => return Held::Mute,
        }
    }
    Held::BrokenOff
}

/// Waits at most `patience` until `ask` gives something for a reader with a card; it is told whether it is asked for the last time.
fn wait<T>(
    reads: &CardReads,
    patience: Duration,
    mut ask: impl FnMut(&CStr, bool) -> Option<T>,
) -> Result<Vec<T>, CardError> {
    let context = Context::establish(Scope::System).map_err(|source| CardError::Service { source })?;
    let mut waited = Duration::ZERO;
    loop {
        let mut readers = list(&context)?;
        readers.retain(|reader| !is_sam(reads, reader));
        let mut states: Vec<_> = readers.iter().map(|name| ReaderState::new(name.clone(), State::UNAWARE)).collect();
        // Comes back at once with how things are.
        change(&context, &mut states)?;
        let is_last = waited >= patience;
        let present = states.iter().filter(|state| state.event_state().contains(State::PRESENT));
        let found: Vec<_> = present.filter_map(|state| ask(state.name(), is_last)).collect();
        if !found.is_empty() || is_last {
            return Ok(found);
        }
        states.iter_mut().for_each(ReaderState::sync_current_state);
        change(&context, &mut states)?;
        waited += LOOK_EVERY;
    }
}

/// Waits for a change, not long.
fn change(context: &Context, states: &mut [ReaderState]) -> Result<(), CardError> {
    match context.get_status_change(LOOK_EVERY, states) {
        // Nothing happened, or a reader went between two calls.
        Ok(()) | Err(Error::Timeout | Error::UnknownReader) => Ok(()),
        Err(source) => Err(CardError::Service { source }),
    }
}

/// Asks the card in `reader`. `None`: it could not be asked, and may be tried again unless this `is_last`.
fn look(reads: &CardReads, surroundings: &Surroundings, reader: &CStr, is_last: bool) -> Option<Laid> {
    let (reads, around) = (reads.clone(), surroundings.clone());
    let held = hold(reader.to_owned(), surroundings, move |atr, spent, transmit| {
        let mut sam = SamLine::new(&reads);
        let mut at_hand = AtHand { spent, sam: &mut |command| sam.transmit(command) };
        Interview::hold(&reads, &around, atr, &mut at_hand, transmit)
    });
    let interview = match held {
        Held::Said(interview) => Some(interview),
        Held::BrokenOff if !is_last => return None,
        Held::BrokenOff | Held::Mute => None,
    };
    let name = reader.to_string_lossy().into_owned();
    Some(Laid { model: ReaderModel::of(&name), reader: name, interview })
}

/// How asking a card ended.
enum Held<T> {
    /// It said everything.
    Said(T),
    /// It went, or another program holds it.
    BrokenOff,
    /// It does not answer.
    Mute,
}

/// Asks the card in `reader` on a thread of its own: a mute card blocks it without end, and it is left behind then.
fn hold<T: Send + 'static>(
    reader: CString,
    surroundings: &Surroundings,
    ask: impl FnOnce(&[u8], &dyn Fn() -> Duration, &mut Transmit<'_>) -> Result<T, Error> + Send + 'static,
) -> Held<T> {
    let (tell, told) = sync_channel(1);
    let mono = Arc::clone(&surroundings.mono);
    let hold = move || {
        let held = Context::establish(Scope::System).and_then(|context| exchange(&context, &reader, &*mono, ask));
        // Nobody waits any more for an answer that comes too late.
        let _ = tell.send(held.ok());
    };
    if thread::Builder::new().name("examgate-card-desk".into()).spawn(hold).is_err() {
        return Held::BrokenOff;
    }
    match told.recv_timeout(SAID_WITHIN) {
        Ok(Some(said)) => Held::Said(said),
        Ok(None) => Held::BrokenOff,
        Err(_) => Held::Mute,
    }
}

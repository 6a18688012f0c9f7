//! Looks at cards at a desk: everything that a card and its reader say, with identifiers. Only for a person who asked for it; nothing
//! of it is logged.

use std::{
    ffi::{CStr, CString},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use ::pcsc::{Context, Error, ReaderState, Scope, State};

use super::reading::exchange;
use crate::edge::card::{CardError, CardReads, Interview, ReaderModel};

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
pub fn wait_for_cards(reads: &CardReads, patience: Duration) -> Result<Vec<Laid>, CardError> {
    let context = Context::establish(Scope::System).map_err(|source| CardError::Service { source })?;
    let mut waited = Duration::ZERO;
    loop {
        let readers = list(&context)?;
        let mut states: Vec<_> = readers.iter().map(|name| ReaderState::new(name.clone(), State::UNAWARE)).collect();
        // Comes back at once with how things are.
        change(&context, &mut states)?;
        let is_last = waited >= patience;
        let present = states.iter().filter(|state| state.event_state().contains(State::PRESENT));
        let laid: Vec<_> = present.filter_map(|state| look(reads, state.name(), is_last)).collect();
        if !laid.is_empty() || is_last {
            return Ok(laid);
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
fn look(reads: &CardReads, reader: &CStr, is_last: bool) -> Option<Laid> {
    let interview = match interview(reads.clone(), reader.to_owned()) {
        Held::Said(interview) => Some(interview),
        Held::BrokenOff if !is_last => return None,
        Held::BrokenOff | Held::Mute => None,
    };
    let name = reader.to_string_lossy().into_owned();
    Some(Laid { model: ReaderModel::of(&name), reader: name, interview })
}

/// How asking a card ended.
enum Held {
    /// It said everything.
    Said(Interview),
    /// It went, or another program holds it.
    BrokenOff,
    /// It does not answer.
    Mute,
}

/// On a thread of its own: a mute card blocks it without end, and it is left behind then.
fn interview(reads: CardReads, reader: CString) -> Held {
    let (tell, told) = sync_channel(1);
    let hold = move || {
        let held = Context::establish(Scope::System)
            .and_then(|context| exchange(&context, &reader, |atr, transmit| Interview::hold(&reads, atr, transmit)));
        // Nobody waits any more for an answer that comes too late.
        let _ = tell.send(held.ok());
    };
    if thread::Builder::new().name("examgate-card-desk".into()).spawn(hold).is_err() {
        return Held::BrokenOff;
    }
    match told.recv_timeout(SAID_WITHIN) {
        Ok(Some(interview)) => Held::Said(interview),
        Ok(None) => Held::BrokenOff,
        Err(_) => Held::Mute,
    }
}

//! A SAM as the holder of the card key: how it is opened, and how it speaks for one card.
//!
//! It gets no command of which an answer could be kept for later: every proof begins with a challenge of the card and one of the SAM.

use std::io;

use zeroize::Zeroizing;

use super::{ToSam, holder::KeyHolder};
use crate::wire::{
    desfire::{Authentication, Communication, DesfireError, Protocol},
    sam::{self, GET_VERSION, HostKey, KILL_AUTHENTICATION, KeyEntry, Opening, Protection, SamError, SamVersion},
};

/// Where the SAM is, and by which of its keys cards prove themselves.
#[derive(Clone, Debug)]
pub struct SamReads {
    /// A part of the name of its reader, which no other reader has in its name.
    pub reader: String,
    /// The card key in its store.
    pub key: KeyEntry,
    /// How it is opened; `None`: it has no host key and needs no opening.
    pub host: Option<SamHost>,
}

/// How a SAM is opened.
#[derive(Clone, Debug)]
pub struct SamHost {
    /// By which command.
    pub opening: Opening,
    /// The host key in the SAM's store.
    pub entry: KeyEntry,
    /// The same key; `None`: it is missing.
    pub key: Option<HostKey>,
}

/// Why a SAM was not opened.
#[derive(Debug)]
pub(in crate::edge::card) enum NotOpened<E> {
    /// What the way to it gave.
    Line(E),
    /// What it said, or what is missing.
    Sam(SamError),
}

impl<E> From<SamError> for NotOpened<E> {
    fn from(error: SamError) -> Self {
        Self::Sam(error)
    }
}

impl SamReads {
    /// Whether the SAM is in the reader of this `name`.
    #[must_use]
    pub fn is_in(&self, name: &str) -> bool {
        name.contains(&self.reader)
    }

    /// Opens the SAM that answers `transmit`: four commands at most.
    ///
    /// # Errors
    /// What `transmit` gave; that it is no SAM AV3, or does not open.
    pub(in crate::edge::card) fn open<E>(
        &self,
        draw: fn(&mut [u8]) -> io::Result<()>,
        mut transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<SamVersion, NotOpened<E>> {
        let mut ask = |command: &[u8]| transmit(command).map_err(NotOpened::Line);
        let version = SamVersion::read(&ask(&GET_VERSION)?)?;
        version.check()?;
        let Some(SamHost { opening, entry, key }) = &self.host else { return Ok(version) };
        let key = key.as_ref().ok_or(SamError::NoHostKey)?;
        let (mut first, mut second) = ([0; 12], [0; 16]);
        draw(&mut first).and_then(|()| draw(&mut second)).map_err(|_| SamError::NoRandomness)?;
        let (command, pass) = opening.begin(*entry, key)?;
        let (command, pass) = pass.answered(&ask(&command)?, first)?;
        let (command, pass) = pass.answered(&ask(&command)?, second)?;
        pass.answered(&ask(&command)?)?;
        Ok(version)
    }

    /// Finds out whether an open SAM speaks for the card key: begins with a card that is not there.
    ///
    /// # Errors
    /// What `transmit` gave; that the SAM has no such key, or may not use it so.
    pub(in crate::edge::card) fn try_key<E>(
        &self,
        mut transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<(), NotOpened<E>> {
        let mut ask = |command: &[u8]| transmit(command).map_err(NotOpened::Line);
        let begun = sam::answered(&ask(&sam::authenticate(self.key, &[0; 16], None)?)?);
        ask(&KILL_AUTHENTICATION)?;
        begun?;
        Ok(())
    }
}

/// The SAM, for one card.
pub(super) struct SamKeys<'a> {
    key: KeyEntry,
    /// `None`: it does not answer.
    ask: ToSam<'a>,
    draw: &'a mut dyn FnMut(&mut [u8]),
}

impl<'a> SamKeys<'a> {
    /// The SAM that `ask` reaches speaks for the next card. `draw` is told when the challenge of the card is made, though the SAM makes it.
    pub(super) fn new(reads: &SamReads, ask: ToSam<'a>, draw: &'a mut dyn FnMut(&mut [u8])) -> Self {
        Self { key: reads.key, ask, draw }
    }

    fn ask(&mut self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, SamError> {
        (self.ask)(command).ok_or(SamError::Silent)
    }
}

impl KeyHolder for SamKeys<'_> {
    fn answer(
        &mut self,
        authentication: &Authentication,
        challenge: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        if authentication.protocol != Protocol::Ev2 {
            return Err(SamError::OnlyEv2.into());
        }
        // Ends what a card that was pulled has left behind. Where there was nothing, whatever it answers will do.
        self.ask(&KILL_AUTHENTICATION)?;
        let input = authentication.diversification.as_ref().map(|input| input.as_slice());
        let command = sam::authenticate(self.key, challenge, input)?;
        let answer = sam::answered(&self.ask(&command)?)?;
        (self.draw)(&mut []);
        Ok(answer)
    }

    fn accept(&mut self, answer: &[u8]) -> Result<(), DesfireError> {
        let command = sam::confirm(answer)?;
        Ok(sam::confirmed(&self.ask(&command)?)?)
    }

    fn guard(&mut self, command: u8, header: &[u8], mode: Communication) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        let mac = sam::guarded(&self.ask(&sam::guard(command, header, protection(mode)?)?)?)?;
        Ok(Zeroizing::new([header, &mac].concat()))
    }

    fn open(
        &mut self,
        status: u8,
        answer: &[u8],
        length: usize,
        mode: Communication,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        let protection = protection(mode)?;
        let command = sam::open(status, answer, protection)?;
        let content = sam::opened(&self.ask(&command)?, answer, protection)?;
        if content.len() == length {
            Ok(content)
        } else {
            Err(DesfireError::Length { found: content.len(), wanted: length })
        }
    }
}

fn protection(mode: Communication) -> Result<Protection, DesfireError> {
    match mode {
        Communication::Plain => Err(DesfireError::Unguarded),
        Communication::Mac => Ok(Protection::Mac),
        Communication::Full => Ok(Protection::Full),
    }
}

#[cfg(test)]
mod tests;

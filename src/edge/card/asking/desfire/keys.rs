//! This process as the holder of the key of a site's cards.

use zeroize::Zeroizing;

use crate::{
    edge::card::asking::holder::KeyHolder,
    wire::desfire::{Authentication, CardKey, Communication, DesfireError, Handshake, Session},
};

/// The holder in this process.
pub(in crate::edge::card::asking) struct Keys<'a> {
    key: Option<&'a CardKey>,
    draw: &'a mut dyn FnMut(&mut [u8]),
    state: State,
}

enum State {
    /// Nothing was said, or what was said was wrong.
    None,
    /// Our challenge is on its way.
    Asked(Handshake),
    /// Both have proved themselves.
    Standing(Session),
}

impl<'a> Keys<'a> {
    /// Holds the site's `key`; `draw` fills our challenge with randomness.
    pub(in crate::edge::card::asking) fn new(key: Option<&'a CardKey>, draw: &'a mut dyn FnMut(&mut [u8])) -> Self {
        Self { key, draw, state: State::None }
    }

    fn session(&mut self) -> Result<&mut Session, DesfireError> {
        match &mut self.state {
            State::Standing(session) => Ok(session),
            State::None | State::Asked(_) => Err(DesfireError::NoSession),
        }
    }
}

impl KeyHolder for Keys<'_> {
    fn answer(
        &mut self,
        authentication: &Authentication,
        challenge: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        let key = self.key.ok_or(DesfireError::NoKey)?;
        let key = match &authentication.diversification {
            Some(input) => key.diversified(input)?,
            None => key.clone(),
        };
        let mut rnd_a = Zeroizing::new([0; 16]);
        (self.draw)(&mut *rnd_a);
        let (handshake, answer) = Handshake::answer(authentication.protocol, key, rnd_a, challenge)?;
        self.state = State::Asked(handshake);
        Ok(answer)
    }

    fn accept(&mut self, answer: &[u8]) -> Result<(), DesfireError> {
        match std::mem::replace(&mut self.state, State::None) {
            State::Asked(handshake) => self.state = State::Standing(handshake.accept(answer)?),
            State::None | State::Standing(_) => return Err(DesfireError::NoSession),
        }
        Ok(())
    }

    fn guard(&mut self, command: u8, header: &[u8], mode: Communication) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        self.session()?.guard(command, header, mode)
    }

    fn open(
        &mut self,
        status: u8,
        answer: &[u8],
        length: usize,
        mode: Communication,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        self.session()?.open(status, answer, length, mode)
    }
}

//! Secure messaging: what is said in a session is guarded, and what is answered is believed only if its MAC or checksum fits.
//!
//! EV1's (after AUTHENTICATE AES): libfreefare, `mifare_desfire_crypto.c`. EV2's: MF2DL(H)x0, section 9.3.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Communication, DesfireError,
    aes::{BLOCK, CardKey, checksum},
};
use crate::wire::aes::travelling;

/// Bytes of a MAC on the wire.
const MAC: usize = 8;

/// A session with a card that proved itself. Its keys are wiped when dropped.
pub struct Session(Messaging);

enum Messaging {
    Aes(Ev1),
    Ev2(Ev2),
}

impl Session {
    pub(super) const fn aes(key: CardKey) -> Self {
        Self(Messaging::Aes(Ev1 { key, iv: [0; BLOCK] }))
    }

    pub(super) const fn ev2(encipher: CardKey, mac: CardKey, transaction: [u8; 4]) -> Self {
        Self(Messaging::Ev2(Ev2 { encipher, mac, transaction, counter: 0 }))
    }

    /// Guards a command: gives what is sent after the command byte, the `header` and what guards it.
    ///
    /// # Errors
    /// [`DesfireError::Unguarded`].
    pub fn guard(
        &mut self,
        command: u8,
        header: &[u8],
        mode: Communication,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        let mut sent = Zeroizing::new(Vec::with_capacity(header.len() + MAC));
        sent.extend_from_slice(header);
        match &mut self.0 {
            Messaging::Aes(session) => session.guard(command, header),
            Messaging::Ev2(session) => sent.extend_from_slice(&session.guard(command, header, mode)?),
        }
        Ok(sent)
    }

    /// Opens the answer to the last command: all its parts put together, the last of which ended in `status`. Gives its content, which
    /// has to be `length` bytes long.
    ///
    /// # Errors
    /// The answer has another length, or is not what the card said, or was not said to that command.
    pub fn open(
        &mut self,
        status: u8,
        answer: &[u8],
        length: usize,
        mode: Communication,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        match &mut self.0 {
            Messaging::Aes(session) => session.open(status, answer, length, mode),
            Messaging::Ev2(session) => session.open(status, answer, length, mode),
        }
    }
}

/// One key, and an initialisation vector that runs through all that is said: an answer that is said again, or to another command, does
/// not fit.
struct Ev1 {
    key: CardKey,
    iv: [u8; BLOCK],
}

impl Ev1 {
    /// The command's CMAC is not sent: the card computes it too.
    fn guard(&mut self, command: u8, header: &[u8]) {
        self.run_on(&[&[command], header]);
    }

    fn open(
        &mut self,
        status: u8,
        answer: &[u8],
        length: usize,
        mode: Communication,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        match mode {
            Communication::Plain | Communication::Mac => {
                let (content, mac) = split(answer, length, MAC)?;
                self.run_on(&[content, &[status]]);
                same(&self.iv[..MAC], mac).ok_or(DesfireError::Mac)?;
                Ok(Zeroizing::new(content.to_vec()))
            }
            Communication::Full => {
                let wanted = (length + 4).next_multiple_of(BLOCK);
                let mut content = Zeroizing::new(split(answer, wanted, 0)?.0.to_vec());
                self.key.decipher(&mut self.iv, &mut content);
                let (said, rest) = content.split_at(length);
                let (sum, padding) = rest.split_at(4);
                same(&checksum(&[said, &[status]]), sum).ok_or(DesfireError::Checksum)?;
                same(&[0; BLOCK][..padding.len()], padding).ok_or(DesfireError::Padding)?;
                content.truncate(length);
                Ok(content)
            }
        }
    }

    /// The CMAC of what was said becomes the next initialisation vector, and is computed from the one before. A library's CMAC begins with
    /// zeros: a block before the message that enciphers to the vector has the same effect.
    fn run_on(&mut self, parts: &[&[u8]]) {
        let mut before = self.iv;
        self.key.decipher(&mut [0; BLOCK], &mut before);
        let parts: Vec<&[u8]> = std::iter::once(&before[..]).chain(parts.iter().copied()).collect();
        self.iv = *self.key.cmac(&parts);
    }
}

/// Two keys, the transaction's identifier, and how many commands there were: each is in the MAC of every command and answer, so an
/// answer that is said again, to another command or in another transaction, does not fit.
struct Ev2 {
    encipher: CardKey,
    mac: CardKey,
    transaction: [u8; 4],
    counter: u16,
}

impl Ev2 {
    fn guard(&self, command: u8, header: &[u8], mode: Communication) -> Result<[u8; MAC], DesfireError> {
        match mode {
            Communication::Plain => Err(DesfireError::Unguarded),
            Communication::Mac | Communication::Full => Ok(self.mac(command, header)),
        }
    }

    fn open(
        &mut self,
        status: u8,
        answer: &[u8],
        length: usize,
        mode: Communication,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        let said = match mode {
            Communication::Plain => return Err(DesfireError::Unguarded),
            Communication::Mac => length,
            // Padding by ISO/IEC 9797-1, method 2: at least one byte.
            Communication::Full => (length + 1).next_multiple_of(BLOCK),
        };
        let (said, mac) = split(answer, said, MAC)?;
        // A tap has a handful of commands.
        self.counter = self.counter.checked_add(1).ok_or(DesfireError::NoSession)?;
        same(&self.mac(status, said), mac).ok_or(DesfireError::Mac)?;
        let mut content = Zeroizing::new(said.to_vec());
        if mode == Communication::Full {
            self.encipher.decipher(&mut self.answers_iv(), &mut content);
            let padding = &content[length..];
            let mut wanted = [0; BLOCK];
            wanted[0] = 0x80;
            same(&wanted[..padding.len()], padding).ok_or(DesfireError::Padding)?;
            content.truncate(length);
        }
        Ok(content)
    }

    /// Of a command, or of an answer with its status.
    fn mac(&self, command_or_status: u8, said: &[u8]) -> [u8; MAC] {
        travelling(&self.mac.cmac(&[&[command_or_status], &self.counter.to_le_bytes(), &self.transaction, said]))
    }

    fn answers_iv(&self) -> [u8; BLOCK] {
        let mut iv = [0; BLOCK];
        iv[..2].copy_from_slice(&[0x5A, 0xA5]);
        iv[2..6].copy_from_slice(&self.transaction);
        iv[6..8].copy_from_slice(&self.counter.to_le_bytes());
        self.encipher.encipher(&mut [0; BLOCK], &mut iv);
        iv
    }
}

/// The first `length` bytes and the `more` behind them, if that is all there is.
fn split(answer: &[u8], length: usize, more: usize) -> Result<(&[u8], &[u8]), DesfireError> {
    let wanted = length + more;
    if answer.len() != wanted {
        return Err(DesfireError::Length { found: answer.len(), wanted });
    }
    Ok(answer.split_at(length))
}

/// Compares in constant time.
fn same(one: &[u8], other: &[u8]) -> Option<()> {
    bool::from(one.ct_eq(other)).then_some(())
}

#[cfg(test)]
mod tests;

//! Who holds the key of a site's cards and speaks for it: this process (`desfire/keys.rs`), or a SAM (`sam.rs`).

use zeroize::Zeroizing;

use crate::wire::desfire::{Authentication, Communication, DesfireError};

/// Holds the card key and speaks for it. One holder is for one session.
///
/// [`DesfireError::is_of_keys`] says whether the holder or the card is the cause of an error.
pub(super) trait KeyHolder {
    /// The card's first answer to AUTHENTICATE (its enciphered challenge, 16 bytes): gives the 32 bytes that are sent back with AF.
    fn answer(&mut self, authentication: &Authentication, challenge: &[u8])
    -> Result<Zeroizing<Vec<u8>>, DesfireError>;

    /// The card's second answer (16 bytes of `Aes`, 32 of `Ev2`): checks it. After it the session stands.
    fn accept(&mut self, answer: &[u8]) -> Result<(), DesfireError>;

    /// Guards a command in this `mode`: gives what is sent after the command byte, the `header` and what guards it. The commands only
    /// read, so there is nothing to encipher.
    fn guard(&mut self, command: u8, header: &[u8], mode: Communication) -> Result<Zeroizing<Vec<u8>>, DesfireError>;

    /// Opens the answer to the command that was guarded last: all its parts put together, without status words, of which the last ended
    /// in `status` (00). Checks the MAC, deciphers. `length` is how many bytes of content there have to be.
    fn open(
        &mut self,
        status: u8,
        answer: &[u8],
        length: usize,
        mode: Communication,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError>;
}

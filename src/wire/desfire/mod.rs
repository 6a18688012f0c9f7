//! MIFARE DESFire EV1 to EV3: commands in ISO/IEC 7816-4 APDUs, AES authentication, secure messaging, and keys of single cards.
//!
//! Challenges arrive as arguments. Everything that a card answers is outside input: it is judged, and no error repeats a byte of it.
//!
//! Sources: MF2DL(H)x0 (DESFire Light data sheet, rev. 3.3) and NT4H2421Gx (NTAG 424 DNA data sheet) for EV2's authentication and
//! messaging, AN12196 for its worked examples, AN10922 for keys of single cards. NXP publishes no document of EV1's messaging; it is
//! written after libfreefare (github.com/nfc-tools/libfreefare) and tested with what a real card said ("DESFire EV1 Communication Examples",
//! github.com/sotechcllc/RFDoorLock).

mod aes;
mod diversification;
mod exchange;
mod handshake;
mod messaging;
mod number;
mod terms;

pub use aes::CardKey;
pub use diversification::{Diversification, InputPart};
pub use exchange::{Reply, authenticate, get_card_uid, more_frames, native, read_data, select_application};
pub use handshake::Handshake;
pub use messaging::Session;
pub use number::{DesfireNumber, DesfireTextError};
pub use terms::{Application, Authentication, Communication, DesfireError, Doing, Identity, Plan, Protocol};

#[cfg(test)]
mod tests;

//! Commands in the class of DESFire's own, wrapped in ISO/IEC 7816-4 APDUs (MF2DL(H)x0, section 8.4): `90 INS 00 00 Lc data 00`.
//! What comes back ends in 91 and a status.

use zeroize::Zeroizing;

use super::{Application, DesfireError, Doing, Protocol};

/// READ DATA with DESFire's own chaining. Every generation has it.
pub(super) const READ_DATA: u8 = 0xBD;

/// READ DATA with the chaining of ISO/IEC 14443-4: from EV2 on, and the only one of DESFire Light.
pub(super) const READ_DATA_ISO: u8 = 0xAD;

/// GET CARD UID.
pub(super) const GET_CARD_UID: u8 = 0x51;

/// The next part of an answer, and the second half of AUTHENTICATE.
const MORE: u8 = 0xAF;

/// Success, 91 before it.
const SUCCESS: u16 = 0x9100;

/// Success, and there is more to come.
const MORE_TO_COME: u16 = 0x91AF;

/// Any command, with what follows the command byte.
#[must_use]
pub fn native(command: u8, data: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut apdu = Zeroizing::new(Vec::with_capacity(data.len() + 6));
    apdu.extend_from_slice(&[0x90, command, 0, 0]);
    if let Some(length) = u8::try_from(data.len()).ok().filter(|length| *length > 0) {
        apdu.push(length);
        apdu.extend_from_slice(data);
    }
    apdu.push(0);
    apdu
}

/// SELECT APPLICATION.
///
/// ```
/// use examgate::wire::desfire::{Application, select_application};
///
/// let command = select_application(Application([0xF5, 0x1C, 0xDB]));
/// assert_eq!(*command, [0x90, 0x5A, 0, 0, 3, 0xDB, 0x1C, 0xF5, 0]);
/// ```
#[must_use]
pub fn select_application(application: Application) -> Zeroizing<Vec<u8>> {
    native(0x5A, &application.on_the_wire())
}

/// The first half of AUTHENTICATE, by the key of this number. EV2's says that the reader has no capabilities to announce.
#[must_use]
pub fn authenticate(protocol: Protocol, key: u8) -> Zeroizing<Vec<u8>> {
    match protocol {
        Protocol::Aes => native(0xAA, &[key]),
        Protocol::Ev2 => native(0x71, &[key, 0]),
    }
}

/// What goes with AF: the second half of AUTHENTICATE, or nothing to ask for the next part of an answer.
#[must_use]
pub fn more_frames(data: &[u8]) -> Zeroizing<Vec<u8>> {
    native(MORE, data)
}

/// The command byte and header of READ DATA: file, offset, length.
#[must_use]
pub fn read_data(protocol: Protocol, file: u8, offset: u32, length: u8) -> (u8, [u8; 7]) {
    let command = match protocol {
        Protocol::Aes => READ_DATA,
        Protocol::Ev2 => READ_DATA_ISO,
    };
    let [low, middle, high, _] = offset.to_le_bytes();
    (command, [file, low, middle, high, length, 0, 0])
}

/// The command byte of GET CARD UID, which has no header.
#[must_use]
pub const fn get_card_uid() -> u8 {
    GET_CARD_UID
}

/// A response, divided: what it holds, and its status. Borrows the response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reply<'r> {
    /// SW1 SW2.
    status: u16,
    data: &'r [u8],
}

impl<'r> Reply<'r> {
    /// Divides the `response` to what was being done.
    ///
    /// # Errors
    /// There is not even a status.
    pub fn of(doing: Doing, response: &'r [u8]) -> Result<Self, DesfireError> {
        let Some((data, &status)) = response.split_last_chunk() else {
            return Err(DesfireError::TooShort { doing, length: response.len() });
        };
        Ok(Self { status: u16::from_be_bytes(status), data })
    }

    /// What SELECT APPLICATION is answered with: nothing.
    ///
    /// # Errors
    /// [`DesfireError::NoApplication`] for anything but success.
    pub const fn selected(&self) -> Result<(), DesfireError> {
        match self.status {
            SUCCESS => Ok(()),
            status => Err(DesfireError::NoApplication { status }),
        }
    }

    /// What the first half of AUTHENTICATE is answered with: the enciphered challenge, and that the card waits for more.
    ///
    /// # Errors
    /// The card refuses, or says that it is done.
    pub const fn challenge(&self) -> Result<&'r [u8], DesfireError> {
        let doing = Doing::Challenge;
        match self.status {
            MORE_TO_COME => Ok(self.data),
            status @ SUCCESS => Err(DesfireError::OutOfTurn { doing, status }),
            status => Err(DesfireError::Refused { doing, status }),
        }
    }

    /// What the second half is answered with: the card's proof, and that it is done.
    ///
    /// # Errors
    /// The card refuses, which it does when it was our answer that did not fit; or it wants more.
    pub const fn proof(&self) -> Result<&'r [u8], DesfireError> {
        let doing = Doing::Proof;
        match self.status {
            SUCCESS => Ok(self.data),
            status @ MORE_TO_COME => Err(DesfireError::OutOfTurn { doing, status }),
            status => Err(DesfireError::Refused { doing, status }),
        }
    }

    /// A part of an answer, and whether it was the last.
    ///
    /// # Errors
    /// The card refuses.
    pub const fn part(&self, doing: Doing) -> Result<(&'r [u8], bool), DesfireError> {
        match self.status {
            SUCCESS => Ok((self.data, true)),
            MORE_TO_COME => Ok((self.data, false)),
            status => Err(DesfireError::Refused { doing, status }),
        }
    }
}

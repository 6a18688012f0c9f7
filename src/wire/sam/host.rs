//! Three passes by which this box and a SAM prove to each other that they hold the same host key. Only then does a SAM speak for keys that
//! it gives to nobody else: whoever takes the SAM out of the box has no use for it.
//!
//! What is said afterwards travels in plain (host mode 0): the wire to the SAM has to be inside the box.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Asked, DONE, KeyEntry, NEXT_PART, SamError, command, data};
use crate::wire::aes::{BLOCK, cmac, decipher, encipher, travelling};

/// Bytes of the random numbers of the first two passes.
const SHORT_RANDOM: usize = 12;

/// Host mode of SAM_AuthenticateHost: what follows travels in plain.
const PLAIN: u8 = 0;

/// The constant at the end of what the key of the third pass is derived from.
const DERIVED_FOR_PASS_THREE: u8 = 0x91;

/// A session's key or a challenge, wiped when dropped.
type Key = Zeroizing<[u8; BLOCK]>;

/// The AES-128 key by which a SAM knows its host. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct HostKey([u8; BLOCK]);

impl HostKey {
    /// The key.
    #[must_use]
    pub const fn from_bytes(key: [u8; BLOCK]) -> Self {
        Self(key)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey(redacted)")
    }
}

/// By which command a SAM is opened: that is set in the SAM when it is made ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opening {
    /// SAM_AuthenticateHost: the card key asks for a host that is authenticated.
    #[default]
    AuthenticateHost,
    /// SAM_LockUnlock: the whole SAM is locked after each power-on.
    Unlock,
}

impl Opening {
    const fn instruction(self) -> u8 {
        match self {
            Self::AuthenticateHost => 0xA4,
            Self::Unlock => 0x10,
        }
    }

    /// The first pass: names the host key in the SAM's key store.
    ///
    /// # Errors
    /// None for these lengths.
    pub fn begin(self, entry: KeyEntry, key: &HostKey) -> Result<(Zeroizing<Vec<u8>>, FirstPass), SamError> {
        let named = [entry.number, entry.version, PLAIN];
        let named = match self {
            Self::AuthenticateHost => &named[..],
            Self::Unlock => &named[..2],
        };
        let sent = command([self.instruction(), 0, 0], &[named], true)?;
        Ok((sent, FirstPass { opening: self, key: key.clone() }))
    }
}

/// After the first pass.
#[derive(Debug)]
pub struct FirstPass {
    opening: Opening,
    key: HostKey,
}

impl FirstPass {
    /// The SAM's random number came. `ours` is a fresh one of this box. Gives the second pass.
    ///
    /// # Errors
    /// The SAM refuses (no such key, or not locked), or answers nonsense.
    pub fn answered(
        self,
        response: &[u8],
        ours: [u8; SHORT_RANDOM],
    ) -> Result<(Zeroizing<Vec<u8>>, SecondPass), SamError> {
        let theirs = data(Asked::Host, response, NEXT_PART)?;
        let theirs = <[u8; SHORT_RANDOM]>::try_from(theirs).map_err(|_| length(theirs))?;
        let sent = command([self.opening.instruction(), 0, 0], &[&proof(&self.key, &theirs), &ours], true)?;
        Ok((sent, SecondPass { opening: self.opening, key: self.key, ours, theirs }))
    }
}

/// After the second pass.
pub struct SecondPass {
    opening: Opening,
    key: HostKey,
    ours: [u8; SHORT_RANDOM],
    theirs: [u8; SHORT_RANDOM],
}

impl SecondPass {
    /// The SAM's proof and its challenge came. `ours` is a fresh random number. Gives the third pass.
    ///
    /// # Errors
    /// The SAM refuses this box's proof, answers nonsense, or does not hold the host key.
    pub fn answered(self, response: &[u8], ours: [u8; BLOCK]) -> Result<(Zeroizing<Vec<u8>>, ThirdPass), SamError> {
        let answer = data(Asked::Host, response, NEXT_PART).map_err(other_key)?;
        let (theirs, challenge) = answer.split_first_chunk::<8>().ok_or(length(answer))?;
        let mut challenge: Key = Zeroizing::new(challenge.try_into().map_err(|_| length(answer))?);
        if !bool::from(proof(&self.key, &self.ours).ct_eq(theirs)) {
            return Err(SamError::OtherHostKey);
        }
        let key = pass_three_key(&self.key, &self.ours, &self.theirs);
        decipher(&key, &mut [0; BLOCK], &mut *challenge);
        challenge.rotate_left(2);
        let mut sent = Zeroizing::new([0; 2 * BLOCK]);
        sent[..BLOCK].copy_from_slice(&ours);
        sent[BLOCK..].copy_from_slice(&*challenge);
        encipher(&key, &mut [0; BLOCK], &mut *sent);
        let sent = command([self.opening.instruction(), 0, 0], &[&*sent], true)?;
        Ok((sent, ThirdPass { key, ours: Zeroizing::new(ours) }))
    }
}

/// After the third pass.
pub struct ThirdPass {
    key: Key,
    ours: Key,
}

impl ThirdPass {
    /// The SAM's answer to this box's challenge came. After it the SAM is open.
    ///
    /// # Errors
    /// The SAM refuses this box's answer, answers nonsense, or gives a wrong answer itself.
    pub fn answered(self, response: &[u8]) -> Result<(), SamError> {
        let answer = data(Asked::Host, response, DONE).map_err(other_key)?;
        let mut answer: Key = Zeroizing::new(answer.try_into().map_err(|_| length(answer))?);
        decipher(&self.key, &mut [0; BLOCK], &mut *answer);
        answer.rotate_right(2);
        if bool::from(answer.ct_eq(&*self.ours)) { Ok(()) } else { Err(SamError::OtherHostKey) }
    }
}

/// Debug names the pass alone: random numbers and keys are nobody's business.
macro_rules! redacted {
    ($($pass:ident),*) => {$(
        impl fmt::Debug for $pass {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($pass), "(redacted)"))
            }
        }
    )*};
}

redacted!(SecondPass, ThirdPass);

/// A SAM that finds this box's proof wrong says that the authentication failed.
const fn other_key(error: SamError) -> SamError {
    if let SamError::Refused { status: super::CARD_NOT_PROVED, .. } = error { SamError::OtherHostKey } else { error }
}

const fn length(answer: &[u8]) -> SamError {
    SamError::Length { asked: Asked::Host, length: answer.len() }
}

/// MAC over the other side's random number, the host mode (for SAM_LockUnlock: P1, which is 0 too) and three zeros.
fn proof(key: &HostKey, random: &[u8; SHORT_RANDOM]) -> [u8; 8] {
    let mut message = [0; BLOCK];
    message[..SHORT_RANDOM].copy_from_slice(random);
    message[SHORT_RANDOM] = PLAIN;
    travelling(&cmac(&key.0, &[&message]))
}

/// The key of the third pass: the host key applied to parts of both random numbers.
fn pass_three_key(key: &HostKey, ours: &[u8; SHORT_RANDOM], theirs: &[u8; SHORT_RANDOM]) -> Key {
    let mut derived = Zeroizing::new([0; BLOCK]);
    derived[..5].copy_from_slice(&ours[7..]);
    derived[5..10].copy_from_slice(&theirs[7..]);
    for (n, byte) in derived[10..15].iter_mut().enumerate() {
        *byte = ours[n] ^ theirs[n];
    }
    derived[15] = DERIVED_FOR_PASS_THREE;
    encipher(&key.0, &mut [0; BLOCK], &mut *derived);
    derived
}

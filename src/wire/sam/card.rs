//! What a SAM does for a card: the authentication by AuthenticateEV2First in two parts (SAM_AuthenticatePICC), and the secure messaging of
//! EV2 (SAM_Apply_SM, SAM_Remove_SM).

use zeroize::Zeroizing;

use super::{Asked, DONE, KeyEntry, NEXT_PART, SamError, command, data};
use crate::wire::aes::BLOCK;

/// SAM_AuthenticatePICC.
const AUTHENTICATE: u8 = 0x0A;
/// Its P1: AuthenticateEV2First, the key named by its entry.
const EV2_FIRST: u8 = 0x80;
/// Added to it: the key is diversified, by AN10922 (which SAMs call the method of AV2).
const DIVERSIFIED: u8 = 0x01 | 0x10;
/// The byte after the key's version: AES, not LRP.
const AES: u8 = 0x00;

/// SAM_Apply_SM and SAM_Remove_SM.
const APPLY: u8 = 0xAE;
const REMOVE: u8 = 0xAD;

/// Most bytes of a diversification input: AN10922, section 2.2, has 31.
const MOST_DIVERSIFICATION: usize = 31;

/// Bytes of a MAC under EV2.
const MAC: usize = 8;

/// What a SAM may answer to the second part: the capabilities of card and reader, or nothing.
const CONFIRMED_LENGTHS: [usize; 2] = [12, 0];

/// How a command and its answer are guarded. A SAM has a third way, not at all, which proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// By a MAC.
    Mac,
    /// Enciphered, and by a MAC.
    Full,
}

impl Protection {
    const fn p2(self) -> u8 {
        match self {
            Self::Mac => 0x10,
            Self::Full => 0x30,
        }
    }
}

/// The first part: the card's `challenge` (its enciphered RndB), for the key in `entry`. `diversification` is the input of AN10922 without the
/// constant before and the padding behind it, which the SAM adds.
///
/// # Errors
/// [`SamError::CardNotProved`] for a challenge that is not 16 bytes long; [`SamError::TooLong`].
pub fn authenticate(
    entry: KeyEntry,
    challenge: &[u8],
    diversification: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, SamError> {
    let input = diversification.unwrap_or_default();
    if challenge.len() != BLOCK {
        return Err(SamError::CardNotProved);
    }
    if input.len() > MOST_DIVERSIFICATION {
        return Err(SamError::TooLong { length: input.len() });
    }
    let p1 = if diversification.is_some() { EV2_FIRST | DIVERSIFIED } else { EV2_FIRST };
    command([AUTHENTICATE, p1, 0], &[&[entry.number, entry.version, AES], challenge, input], true)
}

/// The SAM's answer to the first part: the 32 bytes that go to the card.
///
/// # Errors
/// The SAM refuses (no such key, not unlocked), or answers nonsense.
pub fn answered(response: &[u8]) -> Result<Zeroizing<Vec<u8>>, SamError> {
    let answer = data(Asked::Authenticate, response, NEXT_PART)?;
    if answer.len() != 2 * BLOCK {
        return Err(SamError::Length { asked: Asked::Authenticate, length: answer.len() });
    }
    Ok(Zeroizing::new(answer.to_vec()))
}

/// The second part: the card's second `answer`.
///
/// # Errors
/// [`SamError::CardNotProved`] for a card whose answer has another length: the SAM would take a single byte for the card's status.
pub fn confirm(answer: &[u8]) -> Result<Zeroizing<Vec<u8>>, SamError> {
    if answer.len() != 2 * BLOCK {
        return Err(SamError::CardNotProved);
    }
    command([AUTHENTICATE, 0, 0], &[answer], true)
}

/// The SAM's judgement of the card.
///
/// # Errors
/// [`SamError::CardNotProved`], or the SAM answers nonsense.
pub fn confirmed(response: &[u8]) -> Result<(), SamError> {
    let answer = data(Asked::Authenticate, response, DONE)?;
    if !CONFIRMED_LENGTHS.contains(&answer.len()) {
        return Err(SamError::Length { asked: Asked::Authenticate, length: answer.len() });
    }
    Ok(())
}

/// Asks the SAM to guard a command that only reads: `code`, then `header`, which always travels in plain.
///
/// # Errors
/// [`SamError::TooLong`].
pub fn guard(code: u8, header: &[u8], protection: Protection) -> Result<Zeroizing<Vec<u8>>, SamError> {
    let ins = [APPLY, 0, protection.p2()];
    match protection {
        Protection::Mac => command(ins, &[&[code], header], true),
        Protection::Full => {
            // Where the part that is enciphered would begin: there is none.
            let offset = u8::try_from(1 + header.len()).map_err(|_| SamError::TooLong { length: header.len() })?;
            command(ins, &[&[offset, code], header], true)
        }
    }
}

/// What follows the header of a command that was guarded: its MAC.
///
/// # Errors
/// The SAM refuses, or answers another length.
pub fn guarded(response: &[u8]) -> Result<Zeroizing<Vec<u8>>, SamError> {
    let answer = data(Asked::Guard, response, DONE)?;
    if answer.len() != MAC {
        return Err(SamError::Length { asked: Asked::Guard, length: answer.len() });
    }
    Ok(Zeroizing::new(answer.to_vec()))
}

/// Asks the SAM to check and open a card's `answer`, which ended in `status`.
///
/// # Errors
/// [`SamError::TooLong`].
pub fn open(status: u8, answer: &[u8], protection: Protection) -> Result<Zeroizing<Vec<u8>>, SamError> {
    command([REMOVE, 0, protection.p2()], &[&[status], answer], true)
}

/// The content of a card's `answer` that the SAM has checked.
///
/// # Errors
/// [`SamError::CardNotProved`] when the MAC is wrong. The SAM refuses, or answers nonsense.
pub fn opened(response: &[u8], answer: &[u8], protection: Protection) -> Result<Zeroizing<Vec<u8>>, SamError> {
    let content = data(Asked::Open, response, DONE)?;
    let body = answer.len().checked_sub(MAC).map(|end| &answer[..end]).ok_or(SamError::CardNotProved)?;
    let is_whole = content.len() == body.len();
    let content = match protection {
        // The content travelled in plain. Whether the SAM repeats it once it has found the MAC right is not published.
        Protection::Mac if content.is_empty() || content == body => body,
        Protection::Full if content.len() < body.len() || body.is_empty() && is_whole => content,
        // As long as the cipher text: then the padding, which is never nothing, is still there.
        Protection::Full if is_whole => match content.iter().rposition(|byte| *byte != 0) {
            Some(end) if content[end] == 0x80 => &content[..end],
            Some(_) | None => return Err(SamError::Length { asked: Asked::Open, length: content.len() }),
        },
        Protection::Mac | Protection::Full => {
            return Err(SamError::Length { asked: Asked::Open, length: content.len() });
        }
    };
    Ok(Zeroizing::new(content.to_vec()))
}

//! Asks a card by the profile `desfire_aes`: it proves that it holds a key, and what it is called is read under the session's keys.
//!
//! At most seven commands (SELECT, the two halves of AUTHENTICATE, and two whose answers have two parts each), and as many for the identifier
//! in the clear as that takes, whatever is answered.

mod keys;

use zeroize::Zeroizing;

use self::keys::Keys;
use super::{
    Around, NoNumber, Proof,
    holder::KeyHolder,
    sam::{SamKeys, SamReads},
    uid,
};
use crate::{
    domain::CardProblem,
    wire::{
        desfire::{
            Authentication, CardKey, Communication, DesfireError, DesfireNumber, Diversification, Doing, Identity,
            Plan, Reply, authenticate, get_card_uid, more_frames, native, read_data, select_application,
        },
        uid::{ReaderOrder, Uid},
    },
};

/// Parts of one answer at most. A part holds 59 bytes, and an identity of 32 takes 56 with padding and MAC.
const MOST_PARTS: usize = 2;

/// Bytes of the identifier that a card proves (MF2DL(H)x0, section 11.3.3).
const UID: usize = 7;

/// How the profile `desfire_aes` is read.
#[derive(Clone, Debug)]
pub struct DesfireReads {
    /// Where the key and the identity are, and how they are spoken to.
    pub plan: Plan,
    /// The site's key; `None`: it is not at hand, and a card that has the application is referred.
    pub key: Option<CardKey>,
    /// The SAM that holds the key instead; `None`: this process does.
    pub sam: Option<SamReads>,
}

impl DesfireReads {
    /// Asks for the card's identity. `order` is how the reader gives the identifier in the clear.
    ///
    /// # Errors
    /// What `transmit` gave.
    pub(in crate::edge::card) fn read<E>(
        &self,
        order: ReaderOrder,
        around: &mut Around<'_>,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Proof<DesfireNumber>, E> {
        let selected = transmit(&select_application(self.plan.application))?;
        if let Err(why) = Reply::of(Doing::Select, &selected).and_then(|reply| reply.selected()) {
            return Ok(Proof::NotThere(why.into()));
        }
        // The reader answers this itself: the card's application stays selected.
        let in_the_clear = uid::identifier(order, transmit)?.ok();
        let in_the_clear = in_the_clear.as_ref();
        let proved = match &self.sam {
            Some(sam) => self.prove(in_the_clear, &mut SamKeys::new(sam, around.sam, around.draw), transmit)?,
            None => self.prove(in_the_clear, &mut Keys::new(self.key.as_ref(), around.draw), transmit)?,
        };
        Ok(match proved {
            Ok(number) => Proof::Proved(number),
            Err(why) => {
                let problem = if why.is_of_keys() {
                    CardProblem::KeysMissing
                } else if why.is_no_answer() {
                    CardProblem::Unreadable
                } else {
                    CardProblem::Unproved
                };
                Proof::Failed(problem, NoNumber::from(why))
            }
        })
    }

    /// Everything after the application was found.
    fn prove<E>(
        &self,
        in_the_clear: Option<&Uid>,
        keys: &mut impl KeyHolder,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Result<DesfireNumber, DesfireError>, E> {
        let fixed = in_the_clear.filter(|uid| !uid.is_random());
        let authentication = match self.authentication(fixed) {
            Ok(authentication) => authentication,
            Err(why) => return Ok(Err(why)),
        };
        if let Err(why) = shake_hands(&authentication, keys, transmit)? {
            return Ok(Err(why));
        }
        let identity = match self.plan.identity {
            Identity::File { number, offset, length, communication } => {
                let (command, header) = read_data(self.plan.protocol, number, offset, length);
                let read = Ask { doing: Doing::Read, command, header: &header, length: length.into(), communication };
                match read.of_the_card(keys, transmit)? {
                    Ok(identity) => Some(identity),
                    Err(why) => return Ok(Err(why)),
                }
            }
            Identity::Uid => None,
        };
        let ask = Ask {
            doing: Doing::CardUid,
            command: get_card_uid(),
            header: &[],
            length: UID,
            communication: Communication::Full,
        };
        let proved = match ask.of_the_card(keys, transmit)? {
            Ok(proved) => proved,
            Err(why) => return Ok(Err(why)),
        };
        // A card that makes one up says its real one here alone.
        if fixed.is_some_and(|fixed| fixed.as_bytes() != &**proved) {
            return Ok(Err(DesfireError::OtherIdentifier));
        }
        Ok(DesfireNumber::new(identity.as_ref().unwrap_or(&proved)))
    }

    fn authentication(&self, fixed: Option<&Uid>) -> Result<Authentication, DesfireError> {
        let Plan { application, protocol, key, ref diversification, .. } = self.plan;
        let input =
            |diversification: &Diversification| diversification.input(fixed.map(Uid::as_bytes), application, key);
        let diversification = diversification.as_ref().map(input).transpose()?;
        Ok(Authentication { protocol, key, diversification })
    }
}

/// Lets card and holder prove themselves to each other.
fn shake_hands<E>(
    authentication: &Authentication,
    keys: &mut impl KeyHolder,
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Result<(), DesfireError>, E> {
    let response = transmit(&authenticate(authentication.protocol, authentication.key))?;
    let challenge = Reply::of(Doing::Challenge, &response).and_then(|reply| reply.challenge());
    let answer = match challenge.and_then(|challenge| keys.answer(authentication, challenge)) {
        Ok(answer) => answer,
        Err(why) => return Ok(Err(why)),
    };
    let response = transmit(&more_frames(&answer))?;
    let proof = Reply::of(Doing::Proof, &response).and_then(|reply| reply.proof());
    Ok(proof.and_then(|proof| keys.accept(proof)))
}

/// A command within the session.
struct Ask<'a> {
    doing: Doing,
    command: u8,
    header: &'a [u8],
    /// Bytes of content that the answer has to have.
    length: usize,
    communication: Communication,
}

impl Ask<'_> {
    /// Asks it, and gives the content of the answer.
    fn of_the_card<E>(
        &self,
        keys: &mut impl KeyHolder,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Result<Zeroizing<Vec<u8>>, DesfireError>, E> {
        let guarded = match keys.guard(self.command, self.header, self.communication) {
            Ok(guarded) => guarded,
            Err(why) => return Ok(Err(why)),
        };
        // Room for all parts at once: a vector that grows leaves copies behind.
        let mut answer = Zeroizing::new(Vec::with_capacity(MOST_PARTS * 256));
        let mut apdu = native(self.command, &guarded);
        for _ in 0..MOST_PARTS {
            let response = transmit(&apdu)?;
            match Reply::of(self.doing, &response).and_then(|reply| reply.part(self.doing)) {
                Err(why) => return Ok(Err(why)),
                // A response of an extended length is no part of such an answer.
                Ok((part, _)) if part.len() > 256 => {
                    return Ok(Err(DesfireError::Length { found: part.len(), wanted: self.length }));
                }
                Ok((part, is_last)) => {
                    answer.extend_from_slice(part);
                    if is_last {
                        return Ok(keys.open(0, &answer, self.length, self.communication));
                    }
                }
            }
            apdu = more_frames(&[]);
        }
        Ok(Err(DesfireError::Endless { doing: self.doing }))
    }
}

#[cfg(test)]
mod tests;

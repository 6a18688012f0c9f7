//! Asks a card, profile by profile, over a `transmit` that sends a command and returns the response. No PC/SC, no thread, no clock.
//!
//! At the door the first profile of the list that gives a number is taken: [`Naming::ask`]. At the desk all are asked:
//! [`Interview::hold`]. Every profile ends after a bounded number of commands, whatever is answered. A card that has the application of a
//! profile and does not prove itself by it is asked for nothing weaker.

mod applications;
mod desfire;
mod holder;
mod interview;
mod limits;
mod pacs;
mod piv;
mod sam;
mod surroundings;
mod uid;

use std::{cell::Cell, time::Duration};

use zeroize::Zeroizing;

pub(super) use self::sam::NotOpened;
pub use self::{
    applications::{Applications, DesfireCard},
    desfire::DesfireReads,
    interview::{Interview, PacsAnswer, UidAnswer},
    limits::{CardLimits, Times},
    pacs::PacsReads,
    piv::{PivFileError, PivFiles, PivReads, PivStanding},
    sam::{SamHost, SamReads},
    surroundings::Surroundings,
    uid::MadeUp,
};
use crate::{
    domain::{CardProblem, Credential, CredentialProfile, Pepper, Timestamp},
    wire::{
        apdu::{ApduError, Step, Transfer},
        atr::Family,
        desfire::{DesfireError, DesfireNumber},
        pacs::{PacsError, PacsForm, PacsNumber, SecureElementError},
        piv::{PivError, PivNumber},
        uid::{ReaderOrder, Uid},
    },
};

/// How the cards of a site are read.
#[derive(Clone, Debug)]
pub struct CardReads {
    /// In which order readers give identifiers.
    pub order: ReaderOrder,
    /// What is asked of a card, in this order: the strongest first.
    pub profiles: Vec<CredentialProfile>,
    /// How the profile `pacs` is read.
    pub pacs: PacsReads,
    /// How the profile `desfire_aes` is read; `None`: it is not.
    pub desfire: Option<DesfireReads>,
    /// How the profile `piv` is read; `None`: it is not.
    pub piv: Option<PivReads>,
    /// How long a proof may take.
    pub limits: CardLimits,
}

impl Default for CardReads {
    /// Identifiers only.
    fn default() -> Self {
        Self {
            order: ReaderOrder::default(),
            profiles: vec![CredentialProfile::Uid],
            pacs: PacsReads::default(),
            desfire: None,
            piv: None,
            limits: CardLimits::default(),
        }
    }
}

impl From<ReaderOrder> for CardReads {
    fn from(order: ReaderOrder) -> Self {
        Self { order, ..Self::default() }
    }
}

/// How asking a card by one profile ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof<T> {
    /// The card has no such application (SELECT refused), or does not speak the protocol: the next profile is asked.
    NotThere(NoNumber),
    /// It has the application and did not prove itself, or its proof is not good: no weaker profile is asked.
    Failed(CardProblem, NoNumber),
    /// It proved to be this.
    Proved(T),
}

impl<T> Proof<T> {
    /// The same with another value.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Proof<U> {
        match self {
            Self::NotThere(why) => Proof::NotThere(why),
            Self::Failed(problem, why) => Proof::Failed(problem, why),
            Self::Proved(value) => Proof::Proved(to(value)),
        }
    }
}

/// Why a profile gives no number. Holds no byte of what was answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNumber {
    /// The exchange itself.
    #[error(transparent)]
    Apdu(#[from] ApduError),
    /// The secure element.
    #[error(transparent)]
    SecureElement(#[from] SecureElementError),
    /// The bits.
    #[error(transparent)]
    Bits(#[from] PacsError),
    /// No form that is in use has so many bits.
    #[error("there are {bits} bits, and no form of that length is in use")]
    NoForm {
        /// How many there are.
        bits: u32,
    },
    /// An identifier of a length that the form in use does not leave.
    #[error("the reader gives {bytes} bytes, which are no {form} number with zeros before it")]
    NotAligned {
        /// How many there are.
        bytes: usize,
        /// The form in use.
        form: PacsForm,
    },
    /// It has contacts: its reader knows no number of it.
    #[error("the card lies on its contacts")]
    Contact,
    /// The identifier is another one at each tap.
    #[error("the card makes up its identifier")]
    MadeUp(MadeUp),
    /// Cards of this family hold no applications.
    #[error("{} holds no applications", .0.name())]
    NoApplications(Family),
    /// The exchange with a DESFire card.
    #[error(transparent)]
    Desfire(#[from] DesfireError),
    /// The exchange with a PIV card.
    #[error(transparent)]
    Piv(#[from] PivError),
    /// The profile is listed and there is nothing that says how to read it.
    #[error("it is not configured how this profile is read")]
    NotConfigured,
    /// The challenge would not have been random: whatever the card proved counts for nothing.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// Sends a command to the box's SAM and returns the response; `None`: there is none, or it does not answer.
pub(super) type ToSam<'a> = &'a mut dyn FnMut(&[u8]) -> Option<Zeroizing<Vec<u8>>>;

/// What a profile has at hand beside the card.
pub(super) struct Around<'a> {
    /// Fills the bytes with randomness, and marks when the challenge was made: draw (where somebody else makes the challenge, of no bytes)
    /// just before it is sent. The walk notices when there is no randomness, and then believes no proof.
    pub(super) draw: &'a mut dyn FnMut(&mut [u8]),
    /// Marks that the challenge was answered, where the card says other things afterwards. What follows is not in the time that is told.
    pub(super) answered: &'a dyn Fn(),
    /// The wall clock; `None`: it is not believed.
    pub(super) now: Option<Timestamp>,
    /// The way to the box's SAM.
    pub(super) sam: ToSam<'a>,
}

/// What the edge has at hand for one card.
pub(super) struct AtHand<'a> {
    /// For how long the card has had commands so far.
    pub(super) spent: &'a dyn Fn() -> Duration,
    /// As in [`Around`].
    pub(super) sam: ToSam<'a>,
}

/// What asking a card gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// What it proved, or why nothing.
    pub(super) read: Result<Credential, CardProblem>,
    /// How long the card had the commands of the profile that named it, or was too slow: those since the challenge, where there is one.
    /// `None`: no profile did.
    pub(super) took: Option<Duration>,
}

impl From<CardProblem> for Asked {
    fn from(problem: CardProblem) -> Self {
        Self { read: Err(problem), took: None }
    }
}

/// What a card is called, by the profile that found it.
pub(super) enum Called {
    Uid(Uid),
    /// What was proved by it depends on where the number was.
    Pacs(PacsNumber, CredentialProfile),
    Desfire(DesfireNumber),
    Piv(PivNumber),
}

/// How asking a card by one profile after the other ended.
pub(super) struct Walked {
    /// The last that was asked.
    pub(super) profile: CredentialProfile,
    /// For how long the card had its commands since the challenge, or since the first where there is no challenge.
    pub(super) took: Duration,
    pub(super) proof: Proof<Called>,
}

/// How identifiers become credentials. Shared by the threads that read.
#[derive(Debug)]
pub(super) struct Naming {
    pub(super) reads: CardReads,
    pub(super) pepper: Pepper,
    pub(super) surroundings: Surroundings,
}

impl Naming {
    /// Asks the card with this `atr` what it is called, by `transmit`.
    ///
    /// # Errors
    /// What `transmit` gave; what the card answered is judged within.
    pub(super) fn ask<E>(
        &self,
        atr: &[u8],
        at_hand: &mut AtHand<'_>,
        mut transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Asked, E> {
        let Walked { profile, took, proof } = self.reads.walk(&self.surroundings, atr, at_hand, &mut transmit)?;
        let called = match proof {
            Proof::NotThere(NoNumber::MadeUp(kind)) => return Ok(kind.problem().into()),
            Proof::NotThere(_) => return Ok(CardProblem::Unreadable.into()),
            Proof::Failed(problem, _) => return Ok(problem.into()),
            Proof::Proved(called) => called,
        };
        let is_slow = self.reads.limits.of(profile).is_some_and(|slowest| took > slowest);
        let read = if is_slow { Err(CardProblem::Slow) } else { Ok(self.name(&called)) };
        Ok(Asked { read, took: Some(took) })
    }

    fn name(&self, called: &Called) -> Credential {
        use CredentialProfile::{DesfireAes, Pacs, Piv, Uid};
        let (pseudonym, profile) = match called {
            Called::Uid(uid) => (self.pepper.pseudonym(Uid, uid.as_bytes()), Uid),
            // A number has one pseudonym, however it was read.
            Called::Pacs(number, proved) => (self.pepper.pseudonym(Pacs, &number.identifier()), *proved),
            Called::Desfire(number) => (self.pepper.pseudonym(DesfireAes, number.identifier()), DesfireAes),
            Called::Piv(number) => (self.pepper.pseudonym(Piv, number.identifier()), Piv),
        };
        Credential { pseudonym, profile }
    }
}

impl CardReads {
    /// Asks the card with this `atr` by one profile after the other, until it proves to be something or fails to.
    ///
    /// # Errors
    /// What `transmit` gave.
    pub(super) fn walk<E>(
        &self,
        surroundings: &Surroundings,
        atr: &[u8],
        at_hand: &mut AtHand<'_>,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Walked, E> {
        let family = Family::of(atr);
        let proof = Proof::NotThere(NoNumber::NotConfigured);
        let mut walked = Walked { profile: CredentialProfile::Uid, took: Duration::ZERO, proof };
        for &profile in &self.profiles {
            let lap = Lap::beginning((at_hand.spent)());
            let proof = self.by(profile, family, surroundings, at_hand, &lap, transmit)?;
            let took = lap.took((at_hand.spent)());
            let is_over = match &proof {
                Proof::NotThere(why) => {
                    tracing::debug!(%profile, %why, "the profile gives no number");
                    false
                }
                // Whatever can be copied of that card is answered by its copy too: nothing weaker is asked.
                Proof::Failed(problem, why) => {
                    tracing::debug!(%profile, ?problem, %why, "the card did not prove itself");
                    true
                }
                Proof::Proved(_) => {
                    tracing::debug!(%profile, ?took, "the card is named");
                    true
                }
            };
            walked = Walked { profile, took, proof };
            if is_over {
                break;
            }
        }
        Ok(walked)
    }

    /// Asks a card of this `family` by one `profile`; `lap` is set as [`prove`] says.
    fn by<E>(
        &self,
        profile: CredentialProfile,
        family: Family,
        surroundings: &Surroundings,
        at_hand: &mut AtHand<'_>,
        lap: &Lap,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Proof<Called>, E> {
        Ok(match (profile, &self.desfire, &self.piv) {
            (CredentialProfile::Uid, ..) => match uid::identifier(self.order, transmit)? {
                Ok(uid) if uid.is_random() => Proof::NotThere(NoNumber::MadeUp(uid::made_up(family, transmit)?)),
                Ok(uid) => Proof::Proved(Called::Uid(uid)),
                Err(why) => Proof::NotThere(why.into()),
            },
            (CredentialProfile::Pacs, ..) => {
                self.pacs.number(family, transmit)?.map(|(number, proved)| Called::Pacs(number, proved))
            }
            (CredentialProfile::DesfireAes, Some(desfire), _) => {
                prove(family, surroundings, at_hand, lap, |around| desfire.read(self.order, around, transmit))?
                    .map(Called::Desfire)
            }
            (CredentialProfile::Piv, _, Some(piv)) => {
                prove(family, surroundings, at_hand, lap, |around| piv.read(around, transmit))?.map(Called::Piv)
            }
            (CredentialProfile::DesfireAes, None, _) | (CredentialProfile::Piv, _, None) => {
                Proof::NotThere(NoNumber::NotConfigured)
            }
        })
    }
}

/// The part of an exchange whose time is told, by the time for which the card has had commands.
pub(super) struct Lap {
    begun: Cell<Duration>,
    ended: Cell<Option<Duration>>,
}

impl Lap {
    pub(super) const fn beginning(spent: Duration) -> Self {
        Self { begun: Cell::new(spent), ended: Cell::new(None) }
    }

    /// How long it was, if it has not ended before now.
    fn took(&self, spent: Duration) -> Duration {
        self.ended.get().unwrap_or(spent).saturating_sub(self.begun.get())
    }
}

/// Lets a card of this `family` prove itself by `read`. The `lap` begins when the challenge is drawn and ends when the profile says that
/// it was answered: a relay may know from an earlier tap what the card says before and after.
fn prove<T, E>(
    family: Family,
    surroundings: &Surroundings,
    at_hand: &mut AtHand<'_>,
    lap: &Lap,
    read: impl FnOnce(&mut Around<'_>) -> Result<Proof<T>, E>,
) -> Result<Proof<T>, E> {
    if !family.may_hold_applications() {
        return Ok(Proof::NotThere(NoNumber::NoApplications(family)));
    }
    let (mut is_drawn, mut is_first) = (true, true);
    let AtHand { spent, sam } = at_hand;
    let spent = *spent;
    let mut draw = |bytes: &mut [u8]| {
        is_drawn &= (surroundings.draw)(bytes).is_ok();
        if is_first {
            is_first = false;
            lap.begun.set(spent());
        }
    };
    let answered = || lap.ended.set(Some(spent()));
    let now = (surroundings.today)();
    let proof = read(&mut Around { draw: &mut draw, answered: &answered, now, sam: &mut **sam })?;
    Ok(match proof {
        Proof::Proved(_) if !is_drawn => Proof::Failed(CardProblem::KeysMissing, NoNumber::NoRandomness),
        Proof::NotThere(_) | Proof::Failed(..) | Proof::Proved(_) => proof,
    })
}

/// One command and its whole answer.
fn transfer<E>(
    command: &[u8],
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Result<Zeroizing<Vec<u8>>, ApduError>, E> {
    let mut transfer = Transfer::new(command);
    loop {
        let response = transmit(transfer.command())?;
        if let Step::Done(ended) = transfer.answered(&response) {
            return Ok(ended);
        }
    }
}

#[cfg(test)]
mod tests;

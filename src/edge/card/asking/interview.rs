//! Everything that a card says to all profiles: for the desk, which shows it to a person who asked for it. The door asks otherwise.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Applications, AtHand, CardReads, Lap, MadeUp, NoNumber, Proof, Surroundings, prove, transfer, uid};
use crate::wire::{
    apdu::GET_UID,
    atr::Family,
    desfire::DesfireNumber,
    pacs::{PacsBits, PacsError, PacsForm, PacsNumber, PacsSource},
    piv::PivNumber,
    uid::Uid,
};

/// What a card said to the profile `uid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UidAnswer {
    /// An identifier that is always the same.
    Fixed(Uid),
    /// One that is made up at each tap.
    MadeUp(MadeUp),
    /// None.
    None(NoNumber),
}

/// What a card's reader said to the profile `pacs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacsAnswer {
    /// Numbers: one for each form whose length and parity fit, the likeliest first. Of 37 bits there are two forms.
    Numbers(Vec<PacsNumber>),
    /// Bits that fit no form.
    Bits {
        /// How many.
        bits: u32,
        /// The last form that was tried; `None`: none has that length.
        why: Option<PacsError>,
    },
    /// None.
    None(NoNumber),
}

/// Everything that a card says to all profiles. Holds identifiers: for the desk alone, never for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interview {
    /// By its ATR.
    pub family: Family,
    /// Which applications it tells of.
    pub applications: Applications,
    /// What it is called.
    pub uid: UidAnswer,
    /// What its reader knows of it.
    pub pacs: PacsAnswer,
    /// What it proved by `desfire_aes`; `None`: it is not configured how that is read.
    pub desfire: Option<Proof<DesfireNumber>>,
    /// What it proved by `piv`; `None`: it is not configured how that is read.
    pub piv: Option<Proof<PivNumber>>,
}

impl Interview {
    /// Asks the card with this `atr` everything, by `transmit`. Numbers are looked for in the forms of `reads`, or in every form where
    /// it has none.
    ///
    /// # Errors
    /// What `transmit` gave.
    pub(in crate::edge::card) fn hold<E>(
        reads: &CardReads,
        surroundings: &Surroundings,
        atr: &[u8],
        at_hand: &mut AtHand<'_>,
        mut transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        let family = Family::of(atr);
        let lap = Lap::beginning(Duration::ZERO);
        let piv = reads.piv.as_ref();
        let piv = piv
            .map(|piv| prove(family, surroundings, at_hand, &lap, |around| piv.read(around, &mut transmit)))
            .transpose()?;
        let desfire = reads.desfire.as_ref();
        let desfire = desfire
            .map(|desfire| {
                prove(family, surroundings, at_hand, &lap, |around| desfire.read(reads.order, around, &mut transmit))
            })
            .transpose()?;
        let pacs = reads.pacs_answer(family, &mut transmit)?;
        let uid = match (uid::identifier(reads.order, &mut transmit)?, reads.pacs.source) {
            (Ok(uid), PacsSource::SecureElement) if uid.is_random() => {
                UidAnswer::MadeUp(uid::made_up(family, &mut transmit)?)
            }
            (Ok(uid), _) => UidAnswer::Fixed(uid),
            (Err(why), _) => UidAnswer::None(why.into()),
        };
        let applications = Applications::of(family, &mut transmit)?;
        Ok(Self { family, applications, uid, pacs, desfire, piv })
    }
}

impl CardReads {
    /// What its reader knows of the card.
    fn pacs_answer<E>(
        &self,
        family: Family,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<PacsAnswer, E> {
        let forms = if self.pacs.forms.is_empty() { &PacsForm::ALL[..] } else { &self.pacs.forms[..] };
        let bits = match (family, self.pacs.source) {
            (Family::Contact, _) => Err(NoNumber::Contact),
            (_, PacsSource::SecureElement) => self.pacs.bits(transmit)?,
            (_, PacsSource::GetData) => {
                let data = transfer(&GET_UID, transmit)?;
                data.map_err(NoNumber::from).and_then(|data| {
                    let form = forms[0];
                    PacsBits::right_aligned(&data, form).ok_or(NoNumber::NotAligned { bytes: data.len(), form })
                })
            }
        };
        let bits = match bits {
            Err(why) => return Ok(PacsAnswer::None(why)),
            Ok(bits) => bits,
        };
        let fitting = forms.iter().filter(|form| form.bits() == bits.length());
        let (numbers, problems): (Vec<_>, Vec<_>) = fitting.map(|form| form.read(&bits)).partition(Result::is_ok);
        Ok(if numbers.is_empty() {
            PacsAnswer::Bits { bits: bits.length(), why: problems.into_iter().find_map(Result::err) }
        } else {
            PacsAnswer::Numbers(numbers.into_iter().flatten().collect())
        })
    }
}

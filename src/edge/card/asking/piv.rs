//! Asks a card by the profile `piv`: its certificate, a challenge signed with the certificate's key, and the CHUID, whose number the
//! certificate must repeat.
//!
//! A card without the application, or without a card authentication certificate, is asked by the next profile. Every other end is a
//! failure. Certificates and keys are judged in `piv/`; nothing of them is logged.

mod certificate;
mod challenge;
mod trust;

use jiff::tz::TimeZone;
use zeroize::Zeroizing;

pub use self::trust::{PivFileError, PivFiles, PivStanding};
use self::{challenge::Challenge, trust::Trust};
use super::{Around, Proof, transfer};
use crate::{
    domain::CardProblem,
    wire::{
        apdu::{ApduError, Step, Transfer},
        piv::{self, CertificatePurpose, Chuid, MOST_PARTS, Object, PivError, PivNumber, RevocationOverdue},
    },
};

/// How the profile `piv` is read.
#[derive(Clone, Debug)]
pub struct PivReads {
    trust: Trust,
    overdue: RevocationOverdue,
    purpose: CertificatePurpose,
}

/// Why the reading ends before there is a number.
enum Stop<E> {
    /// There is no way to the card any more.
    Transmit(E),
    Piv(PivError),
}

impl<E> From<PivError> for Stop<E> {
    fn from(why: PivError) -> Self {
        Self::Piv(why)
    }
}

impl PivReads {
    /// Reads the files of anchors and revocation lists.
    ///
    /// # Errors
    /// See [`PivFileError`]; each names the file and says what to do.
    pub fn load(
        files: PivFiles,
        overdue: RevocationOverdue,
        purpose: CertificatePurpose,
    ) -> Result<Self, PivFileError> {
        Ok(Self { trust: Trust::load(files)?, overdue, purpose })
    }

    /// Whom this trusts, and until when.
    #[must_use]
    pub fn standing(&self) -> PivStanding {
        self.trust.standing()
    }

    /// Lets the card prove itself: at most 58 commands, whatever it answers.
    pub(in crate::edge::card) fn read<E>(
        &self,
        around: &mut Around<'_>,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Proof<PivNumber>, E> {
        match self.number(around, transmit) {
            Ok(number) => Ok(Proof::Proved(number)),
            Err(Stop::Piv(why)) => Ok(ended(why)),
            Err(Stop::Transmit(error)) => Err(error),
        }
    }

    fn number<E>(
        &self,
        around: &mut Around<'_>,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<PivNumber, Stop<E>> {
        let selected = transfer(&piv::SELECT, transmit).map_err(Stop::Transmit)?;
        let selected = selected.map_err(|why| refused(why, |_| PivError::NoApplication))?;
        if !piv::is_selected(&selected) {
            return Err(PivError::NoApplication.into());
        }
        let object = fetch(Object::CardCertificate, |_| false, transmit)?;
        let object = object.map_err(|why| refused(why, |_| PivError::NoCertificate))?;
        let stored = piv::StoredCertificate::read(Object::content(&object)?).ok_or(PivError::NoCertificate)?;
        let leaf = certificate::read(stored)?;
        let now = around.now.ok_or(PivError::NoClock)?;
        self.trust.check(&leaf, now, self.overdue)?;
        let names = certificate::names(&leaf, self.purpose)?;

        let challenge = Challenge::draw(&leaf, around.draw)?;
        let answer = sign(&challenge, transmit)?;
        (around.answered)();
        challenge.check(&answer)?;

        // Last, since its end is not fetched and nothing may follow then.
        let object = fetch(Object::Chuid, |so_far| Chuid::begun(so_far).is_some(), transmit)?;
        let object = object.map_err(|why| refused(why, |_| PivError::NoObject { length: 0 }))?;
        let chuid = Chuid::begun(&object).map_or_else(|| Chuid::read(Object::content(&object)?), Ok)?;
        // To the end of that day in UTC.
        if now.to_zoned_datetime(TimeZone::UTC).date() > chuid.expires() {
            return Err(PivError::CardExpired.into());
        }
        Ok(names.number_of(&chuid)?)
    }
}

/// What the reading came to for the walk through the profiles.
fn ended(why: PivError) -> Proof<PivNumber> {
    match why {
        PivError::NoApplication | PivError::NoCertificate => Proof::NotThere(why.into()),
        PivError::CertificateExpired | PivError::CardExpired => Proof::Failed(CardProblem::Expired, why.into()),
        PivError::NoAnswer { .. } => Proof::Failed(CardProblem::Unreadable, why.into()),
        PivError::NoObject { .. }
        | PivError::Field { .. }
        | PivError::NoExpiration
        | PivError::NoNumber
        | PivError::NoClock
        | PivError::Certificate
        | PivError::NoPath { .. }
        | PivError::Revoked
        | PivError::NoRevocationList
        | PivError::RevocationOverdue
        | PivError::Usage
        | PivError::Algorithm
        | PivError::NoSignature { .. }
        | PivError::Signature
        | PivError::OtherCard => Proof::Failed(CardProblem::Unproved, why.into()),
    }
}

/// What it means that a command was not answered with success: `refusal` by a status word, or there is no card any more. Some readers give
/// nothing for a card that was pulled.
fn refused(why: ApduError, refusal: impl FnOnce(u16) -> PivError) -> PivError {
    match why {
        ApduError::Status { status } => refusal(status),
        ApduError::TooShort { length } | ApduError::Length { length } => PivError::NoAnswer { length },
    }
}

/// The answer to GET DATA for an `object`: whole, or as much of it as `is_enough`.
fn fetch<E>(
    object: Object,
    is_enough: impl Fn(&[u8]) -> bool,
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Result<Zeroizing<Vec<u8>>, ApduError>, Stop<E>> {
    let mut transfer = Transfer::in_parts(&object.get(), MOST_PARTS);
    loop {
        let response = transmit(transfer.command()).map_err(Stop::Transmit)?;
        match transfer.answered(&response) {
            Step::Done(ended) => return Ok(ended),
            Step::Send if is_enough(transfer.so_far()) => return Ok(Ok(Zeroizing::new(transfer.so_far().to_vec()))),
            Step::Send => {}
        }
    }
}

/// Lets the card sign: its answer with the signature in it.
fn sign<E>(
    challenge: &Challenge,
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Zeroizing<Vec<u8>>, Stop<E>> {
    let commands = challenge.commands();
    let mut answer = Zeroizing::default();
    for command in &commands {
        let ended = transfer(command, transmit).map_err(Stop::Transmit)?;
        answer = ended.map_err(|why| refused(why, |status| PivError::NoSignature { status }))?;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;

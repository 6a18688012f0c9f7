//! Asks a card, profile by profile, over a `transmit` that sends a command and returns the response. No PC/SC, no thread, no clock.
//!
//! At the door the first profile of the list that gives a number is taken: [`Naming::ask`]. At the desk all are asked:
//! [`Interview::hold`]. Every profile ends after a few commands, whatever is answered.

use zeroize::Zeroizing;

use crate::{
    domain::{CardProblem, Credential, CredentialProfile, Pepper},
    wire::{
        apdu::{ApduError, Exchange, Step, Transfer},
        atr::Family,
        pacs::{self, PacsBits, PacsError, PacsForm, PacsNumber, PacsSource, SecureElementError},
        uid::{ReaderOrder, Uid},
    },
};

/// SELECT by name, ISO/IEC 7816-4 section 11.1.1: P1 04, the name's length after it.
const SELECT: [u8; 4] = [0x00, 0xA4, 0x04, 0x00];

/// The application by which readers find out which wallet a phone or watch has. Apple's and Google's both have it, and say so in the
/// answer (docs/decisions/0151).
const WALLET: &[u8] = b"OSE.VAS.01";

/// What wallets call themselves in the answer.
const WALLETS: [&[u8]; 2] = [b"ApplePay", b"AndroidPay"];

/// The application of Seos, on plastic cards and in phones; it repeats its name in the answer (docs/decisions/0151).
const SEOS: [u8; 10] = [0xA0, 0x00, 0x00, 0x04, 0x40, 0x00, 0x01, 0x01, 0x00, 0x01];

/// How the cards of a site are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardReads {
    /// In which order readers give identifiers.
    pub order: ReaderOrder,
    /// What is asked of a card, in this order: the strongest first. Profiles that this version cannot read are passed over.
    pub profiles: Vec<CredentialProfile>,
    /// How the profile `pacs` is read.
    pub pacs: PacsReads,
}

/// How the profile `pacs` is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacsReads {
    /// Where the number is.
    pub source: PacsSource,
    /// The forms in use, of different lengths.
    pub forms: Vec<PacsForm>,
    /// Commands to the reader's secure element, tried in this order.
    pub commands: Vec<Vec<u8>>,
}

impl Default for PacsReads {
    fn default() -> Self {
        let commands = pacs::COMMANDS.map(|command| command.to_vec()).into();
        Self { source: PacsSource::default(), forms: Vec::new(), commands }
    }
}

impl Default for CardReads {
    /// Identifiers only.
    fn default() -> Self {
        Self { order: ReaderOrder::default(), profiles: vec![CredentialProfile::Uid], pacs: PacsReads::default() }
    }
}

impl From<ReaderOrder> for CardReads {
    fn from(order: ReaderOrder) -> Self {
        Self { order, ..Self::default() }
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
}

/// How identifiers become credentials. Shared by the threads that read.
#[derive(Debug)]
pub(super) struct Naming {
    pub(super) reads: CardReads,
    pub(super) pepper: Pepper,
}

impl Naming {
    /// Asks the card with this `atr` what it is called, by `transmit`.
    ///
    /// # Errors
    /// What `transmit` gave; what the card answered is judged within.
    pub(super) fn ask<E>(
        &self,
        atr: &[u8],
        mut transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Result<Credential, CardProblem>, E> {
        let family = Family::of(atr);
        let mut problem = CardProblem::Unreadable;
        for profile in &self.reads.profiles {
            match profile {
                CredentialProfile::Pacs => match self.reads.number(family, &mut transmit)? {
                    Ok((number, proved)) => return Ok(Ok(self.by_number(&number, proved))),
                    Err(why) => tracing::debug!(%why, "no card number from the reader"),
                },
                CredentialProfile::Uid => match identifier(self.reads.order, &mut transmit)? {
                    Ok(uid) if uid.is_random() => problem = made_up(family, &mut transmit)?.problem(),
                    Ok(uid) => return Ok(Ok(self.by_identifier(&uid))),
                    Err(why) => tracing::debug!(%why, "no identifier in the answer"),
                },
                // Read by no code yet: the configuration refuses them.
                CredentialProfile::DesfireAes | CredentialProfile::Piv => {}
            }
        }
        Ok(Err(problem))
    }

    fn by_identifier(&self, uid: &Uid) -> Credential {
        let profile = CredentialProfile::Uid;
        Credential { pseudonym: self.pepper.pseudonym(profile, uid.as_bytes()), profile }
    }

    /// A number has one pseudonym, however it was read; what was `proved` by it depends on that.
    fn by_number(&self, number: &PacsNumber, proved: CredentialProfile) -> Credential {
        let pseudonym = self.pepper.pseudonym(CredentialProfile::Pacs, &number.identifier());
        Credential { pseudonym, profile: proved }
    }
}

impl CardReads {
    /// The number that a reader has for a card of this `family`, and what was proved by it.
    fn number<E>(
        &self,
        family: Family,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Result<(PacsNumber, CredentialProfile), NoNumber>, E> {
        if family == Family::Contact {
            return Ok(Err(NoNumber::Contact));
        }
        match self.pacs.source {
            PacsSource::SecureElement => {
                let bits = self.pacs.bits(transmit)?;
                Ok(bits.and_then(|bits| Ok((self.pacs.read(&bits)?, CredentialProfile::Pacs))))
            }
            // A blank card whose identifier is that number gives the same answer.
            PacsSource::GetData => {
                let data = transfer(&crate::wire::apdu::GET_UID, transmit)?;
                Ok(data
                    .map_err(NoNumber::from)
                    .and_then(|data| Ok((self.pacs.read_aligned(&data)?, CredentialProfile::Uid))))
            }
        }
    }
}

impl PacsReads {
    /// The bits out of the reader's secure element: of the first command that gives some.
    fn bits<E>(
        &self,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Result<PacsBits, NoNumber>, E> {
        let mut why = NoNumber::SecureElement(SecureElementError::NoBits { length: 0 });
        for command in &self.commands {
            why = match transfer(command, transmit)? {
                Ok(data) => match PacsBits::of_secure_element(&data) {
                    Ok(bits) => return Ok(Ok(bits)),
                    Err(refused) => refused.into(),
                },
                Err(refused) => refused.into(),
            };
        }
        Ok(Err(why))
    }

    fn read(&self, bits: &PacsBits) -> Result<PacsNumber, NoNumber> {
        let form = self.forms.iter().find(|form| form.bits() == bits.length());
        let form = form.ok_or(NoNumber::NoForm { bits: bits.length() })?;
        Ok(form.read(bits)?)
    }

    fn read_aligned(&self, data: &[u8]) -> Result<PacsNumber, NoNumber> {
        let Some(&form) = self.forms.first() else { return Err(NoNumber::NoForm { bits: 0 }) };
        let bits = PacsBits::right_aligned(data, form);
        Ok(form.read(&bits.ok_or(NoNumber::NotAligned { bytes: data.len(), form })?)?)
    }
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

/// The card's identifier.
fn identifier<E>(
    order: ReaderOrder,
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Result<Uid, ApduError>, E> {
    let mut exchange = Exchange::new(order);
    loop {
        let response = transmit(exchange.command())?;
        if let Step::Done(ended) = exchange.answered(&response) {
            return Ok(ended);
        }
    }
}

/// What makes up its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeUp {
    /// A phone's or watch's wallet: it says so.
    Wallet,
    /// Seos, plastic or in a phone: its number takes a reader with HID's keys.
    Seos,
    /// Nothing tells.
    Unknown,
}

impl MadeUp {
    const fn problem(self) -> CardProblem {
        match self {
            Self::Wallet => CardProblem::Wallet,
            Self::Seos | Self::Unknown => CardProblem::Unstable,
        }
    }
}

/// What it is that makes up its identifier, as far as it answers to names. Only a processor card can.
fn made_up<E>(family: Family, transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>) -> Result<MadeUp, E> {
    if family != Family::Processor {
        return Ok(MadeUp::Unknown);
    }
    // A phone may hold a Seos card: that it is a phone is the surer answer.
    for (application, proofs, kind) in
        [(WALLET, &WALLETS[..], MadeUp::Wallet), (&SEOS[..], &[&SEOS[..]][..], MadeUp::Seos)]
    {
        let length = u8::try_from(application.len()).unwrap_or(u8::MAX);
        let command = [&SELECT[..], &[length], application, &[0]].concat();
        let answer = transfer(&command, transmit)?;
        // Some cards answer to any name: what they say counts.
        let holds = |proof: &&[u8]| answer.iter().any(|data| data.windows(proof.len()).any(|part| part == *proof));
        if proofs.iter().any(holds) {
            tracing::debug!(?kind, "the card makes up its identifier");
            return Ok(kind);
        }
    }
    Ok(MadeUp::Unknown)
}

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
    /// What it is called.
    pub uid: UidAnswer,
    /// What its reader knows of it.
    pub pacs: PacsAnswer,
}

impl Interview {
    /// Asks the card with this `atr` everything, by `transmit`. Numbers are looked for in the forms of `reads`, or in every form where
    /// it has none.
    ///
    /// # Errors
    /// What `transmit` gave.
    pub fn hold<E>(
        reads: &CardReads,
        atr: &[u8],
        mut transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        let family = Family::of(atr);
        let forms = if reads.pacs.forms.is_empty() { &PacsForm::ALL[..] } else { &reads.pacs.forms[..] };
        let bits = match (family, reads.pacs.source) {
            (Family::Contact, _) => Err(NoNumber::Contact),
            (_, PacsSource::SecureElement) => reads.pacs.bits(&mut transmit)?,
            (_, PacsSource::GetData) => {
                let data = transfer(&crate::wire::apdu::GET_UID, &mut transmit)?;
                data.map_err(NoNumber::from).and_then(|data| {
                    let form = forms[0];
                    PacsBits::right_aligned(&data, form).ok_or(NoNumber::NotAligned { bytes: data.len(), form })
                })
            }
        };
        let pacs = match bits {
            Err(why) => PacsAnswer::None(why),
            Ok(bits) => {
                let fitting = forms.iter().filter(|form| form.bits() == bits.length());
                let (numbers, problems): (Vec<_>, Vec<_>) =
                    fitting.map(|form| form.read(&bits)).partition(Result::is_ok);
                if numbers.is_empty() {
                    PacsAnswer::Bits { bits: bits.length(), why: problems.into_iter().find_map(Result::err) }
                } else {
                    PacsAnswer::Numbers(numbers.into_iter().flatten().collect())
                }
            }
        };
        let uid = match (identifier(reads.order, &mut transmit)?, reads.pacs.source) {
            (Ok(uid), PacsSource::SecureElement) if uid.is_random() => {
                UidAnswer::MadeUp(made_up(family, &mut transmit)?)
            }
            (Ok(uid), _) => UidAnswer::Fixed(uid),
            (Err(why), _) => UidAnswer::None(why.into()),
        };
        Ok(Self { family, uid, pacs })
    }
}

#[cfg(test)]
mod tests;

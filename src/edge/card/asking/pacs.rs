//! Asks a card's reader by the profile `pacs`: facility code and card number, from its secure element or in the identifier's place.

use zeroize::Zeroizing;

use super::{NoNumber, Proof, transfer};
use crate::{
    domain::CredentialProfile,
    wire::{
        apdu::GET_UID,
        atr::Family,
        pacs::{self, PacsBits, PacsForm, PacsNumber, PacsSource, SecureElementError},
    },
};

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

impl PacsReads {
    /// The number that a reader has for a card of this `family`, and what was proved by it.
    pub(super) fn number<E>(
        &self,
        family: Family,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Proof<(PacsNumber, CredentialProfile)>, E> {
        let read = match (family, self.source) {
            (Family::Contact, _) => Err(NoNumber::Contact),
            (_, PacsSource::SecureElement) => {
                let bits = self.bits(transmit)?;
                bits.and_then(|bits| Ok((self.read(&bits)?, CredentialProfile::Pacs)))
            }
            // A blank card whose identifier is that number gives the same answer.
            (_, PacsSource::GetData) => {
                let data = transfer(&GET_UID, transmit)?;
                data.map_err(NoNumber::from).and_then(|data| Ok((self.read_aligned(&data)?, CredentialProfile::Uid)))
            }
        };
        Ok(read.map_or_else(Proof::NotThere, Proof::Proved))
    }

    /// The bits out of the reader's secure element: of the first command that gives some.
    pub(super) fn bits<E>(
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

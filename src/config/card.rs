//! The card reader: which profiles are read, and how.

use serde::Deserialize;

use super::{ConfigError, value};
use crate::{
    domain::CredentialProfile,
    wire::{
        pacs::{COMMANDS, PacsForm, PacsSource},
        uid::ReaderOrder,
    },
};

/// The card reader.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// In which order the reader gives a card's identifier: `as-sent` or, as some readers do, `reversed`.
    #[serde(default)]
    pub uid_order: ReaderOrder,
    /// What is asked of a card, the strongest first: the first that gives a number counts.
    #[serde(default = "Card::identifiers_only")]
    pub profiles: Vec<CredentialProfile>,
    /// How the profile `pacs` is read. There if and only if `profiles` names it.
    pub pacs: Option<Pacs>,
}

/// How the profile `pacs` is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pacs {
    /// The forms of the site's cards, each of another length.
    pub forms: Vec<PacsForm>,
    /// Where the reader gives the number.
    #[serde(default)]
    pub source: PacsSource,
    /// Commands to the reader's secure element in hexadecimal, tried in this order. Left out: the two that are known.
    pub commands: Option<Vec<String>>,
}

impl Default for Card {
    fn default() -> Self {
        Self { uid_order: ReaderOrder::default(), profiles: Self::identifiers_only(), pacs: None }
    }
}

impl Card {
    fn identifiers_only() -> Vec<CredentialProfile> {
        vec![CredentialProfile::Uid]
    }

    /// The strongest profile that a card can reach here. A number that stands in the identifier's place proves no more than one.
    #[must_use]
    pub fn strongest(&self) -> CredentialProfile {
        let listed = self.profiles.iter().copied().max().unwrap_or(CredentialProfile::Uid);
        match &self.pacs {
            Some(Pacs { source: PacsSource::GetData, .. }) => CredentialProfile::Uid,
            Some(Pacs { source: PacsSource::SecureElement, .. }) | None => listed,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let listed = || self.profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(", ");
        if self.profiles.is_empty() || !self.profiles.is_sorted_by(|one, next| one > next) {
            let allowed =
                "one or more profiles, the strongest first, none twice: [\"pacs\", \"uid\"], [\"pacs\"] or [\"uid\"]";
            return Err(value("card.profiles", &listed(), allowed));
        }
        if self.profiles.iter().any(|profile| *profile > CredentialProfile::Pacs) {
            let allowed = "this version reads \"pacs\" and \"uid\"";
            return Err(value("card.profiles", &listed(), allowed));
        }
        match (&self.pacs, self.profiles.contains(&CredentialProfile::Pacs)) {
            (None, false) => Ok(()),
            (Some(pacs), true) => pacs.check(&self.profiles),
            (None, true) => {
                let allowed =
                    "\"pacs\" needs a table [card.pacs] with the forms of the cards, as in forms = [\"h10301\"]";
                Err(value("card.profiles", &listed(), allowed))
            }
            (Some(_), false) => {
                let allowed = "there is a table [card.pacs]: add \"pacs\" here, or take the table out";
                Err(value("card.profiles", &listed(), allowed))
            }
        }
    }
}

impl Pacs {
    fn check(&self, profiles: &[CredentialProfile]) -> Result<(), ConfigError> {
        let named = || self.forms.iter().map(|form| form.name()).collect::<Vec<_>>().join(", ");
        let of_one_length = |form: &PacsForm| self.forms.iter().filter(|other| other.bits() == form.bits()).count() > 1;
        if self.forms.is_empty() || self.forms.iter().any(of_one_length) {
            let allowed = "one or more forms, each of another length: of 37 bits either h10302 or h10304";
            return Err(value("card.pacs.forms", &named(), allowed));
        }
        if self.source == PacsSource::GetData {
            if self.forms.len() > 1 {
                let allowed = "with source = \"get-data\" one form: nothing else says how many bits there are";
                return Err(value("card.pacs.forms", &named(), allowed));
            }
            if profiles.contains(&CredentialProfile::Uid) {
                let allowed = "with source = \"get-data\" only [\"pacs\"]: such a reader gives the number in the identifier's place";
                return Err(value("card.profiles", "pacs, uid", allowed));
            }
        }
        for command in self.commands.iter().flatten() {
            let bytes = hex::decode(command).unwrap_or_default();
            if !(5..=64).contains(&bytes.len()) || bytes[0] != 0xFF {
                let allowed =
                    "commands to the reader in hexadecimal: 5 to 64 bytes, the first of them FF, the last of them Le";
                return Err(value("card.pacs.commands", command, allowed));
            }
        }
        if !self.commands.as_ref().is_none_or(|commands| (1..=4).contains(&commands.len())) {
            return Err(value("card.pacs.commands", "", "one to four commands; left out: the two that are known"));
        }
        Ok(())
    }

    /// The commands to send to the reader's secure element.
    #[must_use]
    pub fn commands(&self) -> Vec<Vec<u8>> {
        match &self.commands {
            Some(commands) => commands.iter().filter_map(|command| hex::decode(command).ok()).collect(),
            None => COMMANDS.map(|command| command.to_vec()).into(),
        }
    }
}

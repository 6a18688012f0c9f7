//! The card reader: which profiles are read, and how.

mod desfire;
mod piv;
mod sam;

use serde::Deserialize;

pub use self::{
    desfire::{Desfire, KeysIn},
    piv::Piv,
    sam::{Sam, SamHost},
};
use super::{ConfigError, value, within};
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
    /// How the profile `desfire_aes` is read. There if and only if `profiles` names it.
    pub desfire: Option<Desfire>,
    /// How the profile `piv` is read. There if and only if `profiles` names it.
    pub piv: Option<Piv>,
    /// What is too slow for a card that lies on the reader.
    #[serde(default)]
    pub slowest_ms: SlowestMs,
}

/// How long a proof may take, in milliseconds, by profile. A card that takes longer may be elsewhere, and its answers be relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowestMs {
    /// By `desfire_aes`. Left out: the time is recorded only.
    pub desfire_aes: Option<u64>,
    /// By `piv`. Left out: the time is recorded only.
    pub piv: Option<u64>,
}

/// The least and the most that may be a limit, milliseconds: no card proves itself in less than the first, and a tap never lasts as long
/// as the second.
const LIMITS_MS: (u64, u64) = (20, 2500);

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
        Self {
            uid_order: ReaderOrder::default(),
            profiles: Self::identifiers_only(),
            pacs: None,
            desfire: None,
            piv: None,
            slowest_ms: SlowestMs::default(),
        }
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
            Some(Pacs { source: PacsSource::GetData, .. }) if listed == CredentialProfile::Pacs => {
                CredentialProfile::Uid
            }
            Some(_) | None => listed,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let listed = || self.profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(", ");
        if self.profiles.is_empty() || !self.profiles.is_sorted_by(|one, next| one > next) {
            let allowed = "one or more of \"piv\", \"desfire_aes\", \"pacs\", \"uid\", in this order (the strongest first), none twice";
            return Err(value("card.profiles", &listed(), allowed));
        }
        let tables = [
            (
                CredentialProfile::Pacs,
                self.pacs.is_some(),
                "\"pacs\" needs a table [card.pacs] with the forms of the cards, as in forms = [\"h10301\"]",
                "there is a table [card.pacs]: add \"pacs\" here, or take the table out",
            ),
            (
                CredentialProfile::DesfireAes,
                self.desfire.is_some(),
                "\"desfire_aes\" needs a table [card.desfire] that says where the card holds its identity: see docs/cards.md",
                "there is a table [card.desfire]: add \"desfire_aes\" here, or take the table out",
            ),
            (
                CredentialProfile::Piv,
                self.piv.is_some(),
                "\"piv\" needs a table [card.piv] with the anchors of the cards' certificates, as in anchors = [\"/etc/examgate/piv/anchors.pem\"]",
                "there is a table [card.piv]: add \"piv\" here, or take the table out",
            ),
        ];
        for (profile, is_there, missing, left_over) in tables {
            match (self.profiles.contains(&profile), is_there) {
                (true, false) => return Err(value("card.profiles", &listed(), missing)),
                (false, true) => return Err(value("card.profiles", &listed(), left_over)),
                (true, true) | (false, false) => {}
            }
        }
        for (profile, key, limit) in [
            (CredentialProfile::DesfireAes, "card.slowest_ms.desfire_aes", self.slowest_ms.desfire_aes),
            (CredentialProfile::Piv, "card.slowest_ms.piv", self.slowest_ms.piv),
        ] {
            let Some(limit) = limit else { continue };
            if !self.profiles.contains(&profile) {
                let allowed =
                    "a limit for a profile that card.profiles lists: add the profile there, or take the limit out";
                return Err(value(key, &limit.to_string(), allowed));
            }
            let allowed = "20 to 2500 milliseconds: `examgate card --times 50` measures your cards and proposes one";
            within(key, limit, LIMITS_MS.0, LIMITS_MS.1, allowed)?;
        }
        self.pacs.as_ref().map_or(Ok(()), |pacs| pacs.check(&self.profiles))?;
        self.desfire.as_ref().map_or(Ok(()), Desfire::check)?;
        self.piv.as_ref().map_or(Ok(()), Piv::check)
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
            // The proof of a DESFire card is compared with the identifier, which such a reader does not give.
            for (profile, both) in
                [(CredentialProfile::Uid, "pacs, uid"), (CredentialProfile::DesfireAes, "desfire_aes, pacs")]
            {
                if profiles.contains(&profile) {
                    let allowed = "with source = \"get-data\" neither \"uid\" nor \"desfire_aes\": such a reader gives the number in the identifier's place";
                    return Err(value("card.profiles", both, allowed));
                }
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

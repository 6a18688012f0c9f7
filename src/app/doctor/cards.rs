//! Which profiles of cards this box can read with what it has, and which it accepts.
//!
//! It asks the key folder, never a card. Whether the keys are the site's is found out by laying a card down: `examgate card --config`.

use super::{PartHealth, State, finding};
use crate::{
    config::{Card, Config, KeysIn},
    domain::{CredentialProfile, WithSources},
    store::{KeyFolder, Secret},
};

/// One finding about all of them.
pub(super) fn look(config: &Config, keys: &KeyFolder, findings: &mut Vec<PartHealth>) {
    let mut state = State::Well;
    let mut read = Vec::new();
    for profile in &config.card.profiles {
        let lacks = lacks(*profile, &config.card, keys);
        let name = format!("{profile} ({})", profile.assurance());
        read.push(match lacks {
            None => name,
            Some(why) => {
                state = State::Unwell;
                format!("{name}, but NOT now, so such cards go to the proctor (card_keys_missing): {why}")
            }
        });
    }
    let weakest = config.policy.weakest_profile.unwrap_or(CredentialProfile::Uid);
    let accepted = match weakest {
        CredentialProfile::Uid => "all of them are accepted".into(),
        CredentialProfile::Pacs | CredentialProfile::DesfireAes | CredentialProfile::Piv => {
            format!("what is weaker than {weakest} goes to the proctor")
        }
    };
    findings.push(finding("cards", state, format!("the box reads {}; {accepted}", read.join(", "))));
}

/// What is missing to read cards by this profile. A SAM and the files of authorities have findings of their own.
fn lacks(profile: CredentialProfile, card: &Card, keys: &KeyFolder) -> Option<String> {
    match profile {
        CredentialProfile::DesfireAes
            if card.desfire.as_ref().is_some_and(|desfire| desfire.keys == KeysIn::Folder) =>
        {
            keys.card_key(Secret::CardDesfire).err().map(|error| WithSources(&error).to_string())
        }
        CredentialProfile::DesfireAes | CredentialProfile::Piv | CredentialProfile::Pacs | CredentialProfile::Uid => {
            None
        }
    }
}

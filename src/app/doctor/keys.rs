//! The box's secrets: whether each is there and a key, and whether it lies sealed or plain.
//!
//! Never shows one.

use super::{PartHealth, State, finding};
use crate::{
    config::{Config, KeysIn},
    domain::WithSources,
    store::{KeyError, KeyFolder, KeyName, Secret, Source},
};

/// What this box needs of its secrets.
pub(super) fn look(config: &Config, keys: &KeyFolder, findings: &mut Vec<PartHealth>) {
    let (mut faults, mut sealed, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for secret in Secret::ALL {
        let (is_needed, is_text) = match secret {
            Secret::Root | Secret::Pepper => (true, false),
            // The same: the box went over to another signing key, which is derived from the root key.
            Secret::Device => (config.uplink.is_some() && keys.signing_number().is_ok_and(|number| number == 0), false),
            // Erased, once the broker had taken a renewed certificate with a key of its own.
            Secret::Tls => (config.uplink.is_some() && keys.renewed().is_ok_and(|renewed| renewed.is_empty()), true),
            Secret::Console => (config.console.is_some(), true),
            Secret::CardDesfire => {
                (config.card.desfire.as_ref().is_some_and(|desfire| desfire.keys == KeysIn::Folder), false)
            }
            Secret::CardSam => {
                let sam = config.card.desfire.as_ref().and_then(|desfire| desfire.sam.as_ref());
                (sam.is_some_and(|sam| sam.host.is_some()), false)
            }
        };
        if !is_needed {
            continue;
        }
        let read = if matches!(secret, Secret::CardDesfire | Secret::CardSam) {
            keys.card_key(secret).map(drop)
        } else if is_text {
            keys.text(secret).map(drop)
        } else {
            keys.secret(secret).map(drop)
        };
        match (read, keys.source(secret)) {
            (Err(error), _) | (Ok(()), Err(error)) => faults.push(told(secret, &error)),
            (Ok(()), Ok(Some(Source::Credential))) => sealed.push(secret.name()),
            (Ok(()), Ok(Some(Source::Folder) | None)) => plain.push(secret.name()),
        }
    }
    // That the root key is there; whether it is the right one.
    if let Err(error @ (KeyError::AnotherRoot { .. } | KeyError::RootMissing { .. })) = keys.lacks_root() {
        faults.push(WithSources(&error).to_string());
    }
    let second = sealed.contains(&Secret::Root.name()) && keys.folder().join(Secret::Root.name()).exists();
    let shown = keys.folder().display();
    if second {
        faults.push(format!(
            "root.key is a credential, and another one lies plain in {shown}, where an import without the credential made or used it: see \
             which one opens the rosters, and remove the other"
        ));
    }
    findings.extend(faults.into_iter().map(|found| finding("keys", State::Unwell, found)));
    if !plain.is_empty() {
        let found = format!(
            "{} plain in {shown}: a thief of the disk can read them; seal them as credentials of examgate.service (see the manual, Keys)",
            lie(&plain)
        );
        findings.push(finding("keys", State::Impaired, found));
    }
    if !sealed.is_empty() {
        findings.push(finding("keys", State::Well, format!("{} handed over as credentials", are(&sealed))));
    }
    let has_made_keys = match &config.exam {
        Some(exam) => keys.holds(KeyName::Exam(exam)),
        None => keys.has_shares().unwrap_or_default(),
    };
    if !has_made_keys {
        return;
    }
    if !keys.is_bound() {
        let found = "the key folder does not say which root key it belongs to: it will after the next start";
        findings.push(finding("keys", State::Well, found));
    }
}

fn told(secret: Secret, error: &KeyError) -> String {
    let what = match secret {
        Secret::Root => "what all keys of databases are derived from",
        Secret::Pepper => "the fleet's, which turns card numbers into pseudonyms",
        Secret::Device => "which signs events",
        Secret::Tls => "of the box's certificate at the broker",
        Secret::Console => "of the console's certificate",
        Secret::CardDesfire => "by which cards prove themselves",
        Secret::CardSam => "by which the SAM knows this box",
    };
    format!("{} ({what}): {}", secret.name(), WithSources(error))
}

fn lie(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "lies" } else { "lie" })
}

fn are(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

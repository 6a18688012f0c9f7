//! The fleet's trust document as the box holds it: whether it is there and whole, which keys count by it, and what the configuration says
//! against it.

use super::{PartHealth, State, finding};
use crate::{
    app::fleet,
    config::Config,
    domain::{Timestamp, WithSources},
    flow::trust::{FleetKeys, newest},
    store::{Incoming, Layout},
    wire::{keys::PublicKey, trust::TrustDocument},
};

/// Looks at the document, where the configuration names a root.
pub(super) fn look(config: &Config, now: Timestamp, findings: &mut Vec<PartHealth>) {
    let Some(fleet) = &config.fleet else { return };
    let Some(root) = &fleet.root else { return };
    let root: PublicKey = match root.parse() {
        Ok(root) => root,
        Err(error) => {
            let found = format!("fleet.root is no Ed25519 public key ({error}): copy the 64 digits of root.pub");
            return findings.push(finding("trust", State::Unwell, found));
        }
    };
    let enrolled = fleet.trust.as_deref().map(fleet::enrolled).transpose().map(Option::flatten);
    let enrolled = enrolled.unwrap_or_else(|error| {
        findings.push(finding("trust", State::Impaired, format!("{error:#}")));
        None
    });
    let kept = Incoming::look(Layout::new(&config.state).incoming()).trust().unwrap_or_else(|error| {
        findings.push(finding("trust", State::Impaired, WithSources(&error).to_string()));
        None
    });
    let held = newest(&root, enrolled.as_deref(), kept.as_deref(), |which, error| {
        let found = format!("the document {which} cannot be used: {error}");
        findings.push(finding("trust", State::Impaired, found));
    });
    let Some(document) = held else {
        let found = "no trust document is held, so no roster, command or receipt counts: it comes over the line where `examgate-fleetd \
                     keep` runs with --trust";
        return findings.push(finding("trust", State::Unwell, found));
    };
    let keys = FleetKeys::of(&document, now.max(Timestamp::from_second(document.issued).unwrap_or(now)));
    findings.push(counting(&document, &keys));
    findings.extend(contradictions(config, &document, &keys));
}

/// Which keys count by the document.
fn counting(document: &TrustDocument, keys: &FleetKeys) -> PartHealth {
    let issued = Timestamp::from_second(document.issued).unwrap_or(Timestamp::UNIX_EPOCH);
    let said = format!(
        "trust document {} of {} is held; by it {} roster, {} command and {} receipt keys count",
        document.version,
        issued.strftime("%F"),
        keys.roster.len(),
        keys.commanders.len(),
        keys.receipts.len()
    );
    let missing = [
        ("receipt", keys.receipts.is_empty(), "no event is ever delivered"),
        ("events", keys.collector.is_none(), "no event can be sent"),
        ("roster", keys.roster.is_empty(), "no roster is taken"),
    ];
    let missing: Vec<_> = missing
        .iter()
        .filter(|(_, is_missing, _)| *is_missing)
        .map(|(purpose, _, then)| {
            format!("no {purpose} key counts now, so {then}: `examgate-fleet trust rotate {purpose}`")
        })
        .collect();
    if missing.is_empty() {
        return finding("trust", State::Well, said);
    }
    finding("trust", State::Impaired, format!("{said}; {}", missing.join("; ")))
}

/// Keys that the configuration names and the document does not count. They have no effect, and somebody may believe that they have.
fn contradictions(config: &Config, document: &TrustDocument, keys: &FleetKeys) -> Option<PartHealth> {
    let named = match fleet::configured(config) {
        Ok(named) => named,
        Err(error) => {
            let found = format!("{error:#}; it has no effect beside fleet.root: take it out");
            return Some(finding("trust", State::Impaired, found));
        }
    };
    let known = |key: &PublicKey| keys.commanders.iter().any(|one| one.key == *key);
    let against = [
        ("fleet.roster_keys", named.roster.iter().any(|key| !keys.roster.contains(key))),
        ("fleet.command_keys", named.commanders.iter().any(|one| !known(&one.key))),
        ("uplink.collector.receipt_key", named.receipts.iter().any(|key| !keys.receipts.contains(key))),
        ("uplink.collector.recipient", named.collector.is_some() && named.collector != keys.collector),
    ];
    let against: Vec<_> = against.iter().filter(|(_, is_against)| *is_against).map(|(name, _)| *name).collect();
    (!against.is_empty()).then(|| {
        let found = format!(
            "the configuration contradicts trust document {} in {}: the document alone counts; take {} out of the configuration",
            document.version,
            against.join(", "),
            if against.len() == 1 { "it" } else { "them" }
        );
        finding("trust", State::Impaired, found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        keys::SigningKey,
        trust::{Purpose, TrustedKey},
    };

    const AT: i64 = 1_795_000_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn config(folder: &std::path::Path, more: &str) -> Config {
        let text = format!(
            "device = \"d\"\nroom = \"R\"\nstate = \"{}\"\nkeys = \"k\"\nmodels = \"m\"\n[camera]\ndevice = {{ name = \"c\" }}\n\
             [uplink]\nhost = \"b\"\nca = \"ca\"\ncertificate = \"c\"\n[fleet]\nroot = \"{}\"\ntrust = \"{}\"\n{more}",
            folder.join("state").display(),
            key(9).public(),
            folder.join("trust.cose").display(),
        );
        Config::parse(&text).unwrap()
    }

    fn found(config: &Config) -> Vec<(State, String)> {
        let mut findings = Vec::new();
        look(config, Timestamp::from_second(AT + 60).unwrap(), &mut findings);
        assert!(findings.iter().all(|finding| finding.part == "trust"));
        findings.into_iter().map(|finding| (finding.state, finding.found)).collect()
    }

    #[test]
    fn it_says_what_is_held_what_is_missing_and_what_the_configuration_says_against_it() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let (state, words) = found(&config(here, "")).pop().unwrap();
        assert!(state == State::Unwell && words.contains("no trust document is held"), "{words}");
        assert!(!here.join("state").exists(), "looking makes nothing");

        let recipient = include_str!("../../../tests/golden/collector.age")
            .parse::<crate::wire::seal::Identity>()
            .unwrap()
            .recipient();
        let ed25519 = |purpose, seed| TrustedKey::new(purpose, key(seed).public().to_string(), (AT, AT + 100));
        let mut document = TrustDocument {
            version: 4,
            issued: AT,
            keys: vec![
                ed25519(Purpose::Roster, 1),
                ed25519(Purpose::Receipt, 3),
                TrustedKey::new(Purpose::Events, recipient.to_string(), (AT, AT + 100)),
            ],
            revoked: [].into(),
        };
        let write = |document: &TrustDocument| {
            std::fs::write(here.join("trust.cose"), document.encode(&key(9)).unwrap()).unwrap();
        };
        write(&document);
        let [(state, words)] = &found(&config(here, ""))[..] else { panic!("one finding") };
        assert!(*state == State::Well && words.contains("trust document 4 of 2026-11-18"), "{words}");
        let (agrees, differs) = (key(1).public(), key(2).public());
        let agreeing = format!("roster_keys = [\"{agrees}\"]\n");
        assert_eq!(found(&config(here, &agreeing)).len(), 1);
        let contradicting = format!("roster_keys = [\"{agrees}\", \"{differs}\"]\ncommand_keys = [\"{agrees}\"]\n");
        let (state, words) = found(&config(here, &contradicting)).pop().unwrap();
        assert!(state == State::Impaired && words.contains("in fleet.roster_keys, fleet.command_keys:"), "{words}");

        document.keys.remove(1);
        document.version = 5;
        write(&document);
        let (state, words) = found(&config(here, "")).pop().unwrap();
        assert!(state == State::Impaired && words.contains("no receipt key counts now"), "{words}");
        std::fs::write(here.join("trust.cose"), b"torn").unwrap();
        let said = found(&config(here, ""));
        assert!(
            said[0].1.contains("that came at enrolment cannot be used: not signed by the fleet's root"),
            "{said:?}"
        );
    }
}

//! `examgate card`: what a card says, which profile it reaches here, and what to write into the roster. For the card office's desk and
//! for anybody who sets up a site.
//!
//! It prints identifiers and card numbers, because somebody asked for them; it logs none, and keys and keyed answers it never has.

use std::{fmt::Write as _, time::Duration};

use super::settings::card_reads;
use crate::{
    config::Config,
    domain::CredentialProfile,
    edge::card::{self, CardError, CardReads, Interview, Laid, MadeUp, PacsAnswer, UidAnswer},
    wire::{pacs::PacsSource, uid::Uid},
};

/// Waits at most `patience` for a card and describes each that lies on a reader; `None`: there was none. With a configuration the card is
/// read as that box reads it, otherwise in every way there is.
///
/// # Errors
/// When there is no PC/SC service or no reader.
pub fn look(config: Option<&Config>, patience: Duration) -> Result<Option<String>, CardError> {
    let reads = config.map_or_else(everything, |config| card_reads(&config.card));
    let laid = card::wait_for_cards(&reads, patience)?;
    let weakest = config.and_then(|config| config.policy.weakest_profile);
    let described: Vec<_> = laid.iter().map(|laid| describe(laid, &reads, weakest)).collect();
    Ok((!described.is_empty()).then(|| described.join("\n")))
}

fn everything() -> CardReads {
    CardReads { profiles: vec![CredentialProfile::Pacs, CredentialProfile::Uid], ..CardReads::default() }
}

/// One card, a line for each thing that is known.
fn describe(laid: &Laid, reads: &CardReads, weakest: Option<CredentialProfile>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name:<9}{what}");
    };
    line("reader", &laid.reader);
    line("", laid.model.abilities());
    let Some(interview) = &laid.interview else {
        line(
            "card",
            "it was taken away too early, another program holds it, or it does not answer: lay it down once more",
        );
        return text;
    };
    line("card", interview.family.name());
    line("uid", &uid(&interview.uid));
    line("pacs", &pacs(&interview.pacs));
    let Some((profile, columns)) = reached(interview, reads) else {
        line("profile", "none: this card cannot be used here; see docs/cards.md");
        return text;
    };
    line("profile", &format!("{profile} ({})", profile.assurance()));
    if let Some(weakest) = weakest.filter(|weakest| profile < *weakest) {
        line("", &format!("too weak for this box: policy.weakest_profile is {weakest}"));
    }
    for column in columns {
        line("roster", &column);
    }
    text
}

/// The strongest profile that counts here, and what to write into the roster for it: columns with their values.
fn reached(interview: &Interview, reads: &CardReads) -> Option<(CredentialProfile, Vec<String>)> {
    reads.profiles.iter().find_map(|profile| match (profile, &interview.pacs, &interview.uid) {
        (CredentialProfile::Pacs, PacsAnswer::Numbers(numbers), _) => {
            let proved = match reads.pacs.source {
                PacsSource::SecureElement => CredentialProfile::Pacs,
                PacsSource::GetData => CredentialProfile::Uid,
            };
            let columns = numbers.iter().map(|number| format!("pacs = {}", *number.roster_value())).collect();
            Some((proved, columns))
        }
        (CredentialProfile::Uid, _, UidAnswer::Fixed(uid)) => {
            Some((CredentialProfile::Uid, vec![format!("card = {}", hex::encode_upper(uid.as_bytes()))]))
        }
        _ => None,
    })
}

fn uid(answer: &UidAnswer) -> String {
    match answer {
        UidAnswer::Fixed(uid) => printed(uid),
        UidAnswer::MadeUp(kind) => {
            let kind = match kind {
                MadeUp::Wallet => "a pass in a phone's or watch's wallet",
                MadeUp::Seos => "a Seos card, or a phone that plays one",
                MadeUp::Unknown => "a plastic card whose number lies deeper, or a phone",
            };
            format!("made up at each tap, so of no use on a roster: {kind}")
        }
        UidAnswer::None(why) => format!("none: {why}"),
    }
}

/// An identifier in every form in which exports print it.
fn printed(uid: &Uid) -> String {
    let bytes = uid.as_bytes();
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let decimal = |bytes: &[u8]| bytes.iter().fold(0_u128, |value, &byte| value << 8 | u128::from(byte));
    format!(
        "{} ({} bytes); exports also print it as {} (hex-reversed), {} (decimal) or {} (decimal-reversed)",
        hex::encode_upper(bytes),
        bytes.len(),
        hex::encode_upper(&reversed),
        decimal(bytes),
        decimal(&reversed),
    )
}

fn pacs(answer: &PacsAnswer) -> String {
    match answer {
        PacsAnswer::Numbers(numbers) => {
            let values: Vec<_> = numbers.iter().map(|number| number.roster_value()).collect();
            let values = values.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", or ");
            format!("{values} (form, facility code, card number; the parity fits)")
        }
        PacsAnswer::Bits { bits, why: Some(why) } => format!("{bits} bits, and {why}"),
        PacsAnswer::Bits { bits, why: None } => {
            format!("{bits} bits: no known form, or none of [card.pacs] forms, has so many")
        }
        PacsAnswer::None(why) => format!("none: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        edge::card::{NoNumber, ReaderModel},
        wire::{
            apdu::ApduError,
            atr::Family,
            pacs::{PacsColumn, PacsNumber},
            uid::ReaderOrder,
        },
    };

    fn laid(interview: Option<Interview>) -> Laid {
        Laid { reader: "a reader".into(), model: ReaderModel::Unknown, interview }
    }

    fn iclass() -> Interview {
        let bytes = [0x32, 0x96, 0x62, 0x02, 0xF8, 0xFF, 0x12, 0xE0];
        let uid = UidAnswer::Fixed(Uid::from_reader(&bytes, ReaderOrder::AsSent).unwrap());
        let refused = NoNumber::Apdu(ApduError::Status { status: 0x6D00 });
        Interview { family: Family::PicoPass, uid, pacs: PacsAnswer::None(refused) }
    }

    #[test]
    fn a_card_is_described_with_the_value_for_the_roster() {
        let text = describe(&laid(Some(iclass())), &everything(), Some(CredentialProfile::Pacs));
        for word in [
            "card     iCLASS",
            "32966202F8FF12E0 (8 bytes)",
            "E012FFF802629632 (hex-reversed)",
            "3645208713309917920 (decimal)",
            "16146249054733637170 (decimal-reversed)",
            "pacs     none: the status word is 6D00",
            "profile  uid (identifier-only)",
            "too weak for this box: policy.weakest_profile is pacs",
            "roster   card = 32966202F8FF12E0",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let number = PacsNumber::parse("h10301:31-337", PacsColumn::default()).unwrap();
        let uid = UidAnswer::MadeUp(MadeUp::Seos);
        let seos = Interview { family: Family::Processor, uid, pacs: PacsAnswer::Numbers(vec![number]) };
        let text = describe(&laid(Some(seos.clone())), &everything(), None);
        assert!(
            text.contains("profile  pacs (reader-authenticated)") && text.contains("roster   pacs = h10301:31-337"),
            "{text}"
        );
        let text = describe(&laid(Some(seos)), &CardReads::default(), None);
        assert!(text.contains("profile  none"), "{text}");
        assert!(describe(&laid(None), &everything(), None).contains("lay it down once more"));
    }
}

//! What a SAM says, to this box and about a card: read or refused, and what the card sent in plain is never replaced.
#![no_main]

use examgate::wire::sam::{self, HostKey, KeyEntry, Opening, Protection, SamVersion};
use libfuzzer_sys::fuzz_target;

/// Splits off as many bytes as the first one says.
fn part<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, after) = rest.split_first().unwrap_or((&0, &[]));
    let (part, after) = after.split_at(usize::from(*length).min(after.len()));
    *rest = after;
    part
}

fuzz_target!(|input: &[u8]| {
    let mut card = input;
    let [first, second, third] = std::array::from_fn(|_| part(&mut card));
    let entry = KeyEntry { number: 1, version: 0 };
    let key = HostKey::from_bytes([0; 16]);
    for opening in [Opening::AuthenticateHost, Opening::Unlock] {
        let (_, pass) = opening.begin(entry, &key).expect("a short command");
        let opened = pass
            .answered(first, [1; 12])
            .and_then(|(_, pass)| pass.answered(second, [2; 16]))
            .and_then(|(_, pass)| pass.answered(third));
        if let Err(error) = opened {
            assert!(!error.to_string().is_empty());
        }
    }
    if let Ok(version) = SamVersion::read(first) {
        assert!(!version.to_string().is_empty());
    }
    if let Ok(answer) = sam::answered(first) {
        assert_eq!(answer.len(), 32);
    }
    let _ = (sam::confirmed(first), sam::guarded(first), sam::is_judgement(first));
    if let Ok(command) = sam::confirm(card) {
        assert_eq!(command.len(), 38);
    }
    if let Ok(command) = sam::authenticate(entry, second, Some(card)) {
        assert!(command.len() <= 5 + 3 + 16 + 31 + 1);
    }
    if let Ok(content) = sam::opened(first, card, Protection::Mac) {
        assert!(card.starts_with(&content) && content.len() + 8 == card.len());
    }
    if let Ok(content) = sam::opened(first, card, Protection::Full) {
        assert!(content.len() + 8 <= card.len());
    }
});

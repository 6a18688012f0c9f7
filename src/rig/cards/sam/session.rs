//! The session of a SAM with a card: keys, counter and secure messaging of EV2, as a reader does them.

use crate::rig::cards::aes::{self, Block};

/// A session with a card.
pub(super) struct Session {
    cipher: Block,
    mac: Block,
    transaction: [u8; 4],
    counter: u16,
}

impl Session {
    /// The session that these random numbers make: `ours` is RndA, `theirs` RndB.
    pub(super) fn begin(key: &Block, ours: &Block, theirs: &Block, transaction: [u8; 4]) -> Self {
        let mixed: Vec<u8> = ours[2..8].iter().zip(theirs).map(|(one, other)| one ^ other).collect();
        let context = [&ours[..2], &mixed, &theirs[6..], &ours[8..]].concat();
        let derived =
            |label: [u8; 2]| aes::cmac(key, &[0; 16], &[&label[..], &[0x00, 0x01, 0x00, 0x80], &context].concat());
        Self { cipher: derived([0xA5, 0x5A]), mac: derived([0x5A, 0xA5]), transaction, counter: 0 }
    }

    /// A command was guarded.
    pub(super) const fn count(&mut self, by: u8) {
        self.counter = self.counter.wrapping_add(by as u16);
    }

    /// Over command code or status, counter, transaction identifier and content.
    pub(super) fn mac(&self, code: u8, content: &[u8]) -> [u8; 8] {
        let message = [&[code][..], &self.counter.to_le_bytes(), &self.transaction, content].concat();
        truncated(&aes::cmac(&self.mac, &[0; 16], &message))
    }

    fn vector(&self, label: [u8; 2]) -> Block {
        let input = [&label[..], &self.transaction, &self.counter.to_le_bytes(), &[0; 8]].concat();
        aes::last_block(&aes::encipher(&self.cipher, &[0; 16], &input))
    }

    pub(super) fn encipher(&self, content: &[u8]) -> Vec<u8> {
        let mut padded = [content, &[0x80]].concat();
        padded.resize(padded.len().next_multiple_of(16), 0);
        aes::encipher(&self.cipher, &self.vector([0xA5, 0x5A]), &padded)
    }

    pub(super) fn decipher(&self, content: &[u8]) -> Option<Vec<u8>> {
        let mut content = aes::decipher(&self.cipher, &self.vector([0x5A, 0xA5]), content)?;
        let end = content.iter().rposition(|byte| *byte != 0);
        match end {
            Some(end) if content[end] == 0x80 => content.truncate(end),
            None if content.is_empty() => {}
            Some(_) | None => return None,
        }
        Some(content)
    }
}

/// Every second byte of a MAC.
pub(super) fn truncated(mac: &Block) -> [u8; 8] {
    std::array::from_fn(|n| mac[2 * n + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AN12196, tables 14 and 26 show this session; the keys are those of table 14.
    #[test]
    fn session_keys_are_those_of_the_application_note() {
        let block = |text: &str| -> Block { hex::decode(text).unwrap().try_into().unwrap() };
        let ours = block("13C5DB8A5930439FC3DEF9A4C675360F");
        let theirs = block("B9E2FC789B64BF237CCCAA20EC7E6E48");
        let session = Session::begin(&[0; 16], &ours, &theirs, [0x9D, 0x00, 0xC4, 0xDF]);
        assert_eq!(session.cipher, block("1309C877509E5A215007FF0ED19CA564"));
        assert_eq!(session.mac, block("4C6626F5E72EA694202139295C7A7FC7"));
    }

    #[test]
    fn what_is_enciphered_is_deciphered_by_the_other_side_alone() {
        let session = Session::begin(&[1; 16], &[2; 16], &[3; 16], [4; 4]);
        for length in [1, 15, 16, 17] {
            let enciphered = session.encipher(&vec![7; length]);
            assert_eq!(enciphered.len() % 16, 0);
            assert_ne!(session.decipher(&enciphered), Some(vec![7; length]), "an answer has a vector of its own");
        }
        assert_eq!(session.decipher(&[]), Some(Vec::new()));
    }
}

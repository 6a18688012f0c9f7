//! The key of cards, with what it does to bytes, and DESFire's checksum.

use std::fmt;

use aes::{Aes128, cipher::KeyInit as _};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub(super) use crate::wire::aes::BLOCK;
use crate::wire::aes::{cmac, decipher, encipher};

/// An AES-128 key of a site's cards, of a single card, or of a session. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CardKey([u8; BLOCK]);

impl CardKey {
    /// Wraps 16 secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BLOCK]) -> Self {
        Self(bytes)
    }

    /// The cipher under this key.
    pub(super) fn cipher(&self) -> Aes128 {
        Aes128::new((&self.0).into())
    }

    /// As [`encipher`].
    pub(super) fn encipher(&self, iv: &mut [u8; BLOCK], bytes: &mut [u8]) {
        encipher(&self.0, iv, bytes);
    }

    /// As [`decipher`].
    pub(super) fn decipher(&self, iv: &mut [u8; BLOCK], bytes: &mut [u8]) {
        decipher(&self.0, iv, bytes);
    }

    /// As [`cmac`].
    pub(super) fn cmac(&self, parts: &[&[u8]]) -> Zeroizing<[u8; BLOCK]> {
        cmac(&self.0, parts)
    }
}

impl fmt::Debug for CardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardKey(redacted)")
    }
}

/// DESFire's checksum: CRC-32 of ISO 3309 without the inversion at its end, the least significant byte first.
pub(super) fn checksum(parts: &[&[u8]]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    (!crc.finalize()).to_le_bytes()
}

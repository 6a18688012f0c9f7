//! AES-128 as DESFire cards use it: keys, CBC with an initialisation vector that runs on, CMAC, and the checksum.

use std::fmt;

use aes::{
    Aes128,
    cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit},
};
use cmac::{Cmac, KeyInit, Mac};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of an AES block, and of a key.
pub(super) const BLOCK: usize = 16;

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

    /// Enciphers whole blocks in place. `iv` becomes the last of them, for what follows.
    pub(super) fn encipher(&self, iv: &mut [u8; BLOCK], bytes: &mut [u8]) {
        let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
        debug_assert!(rest.is_empty(), "whole blocks");
        cbc::Encryptor::<Aes128>::new((&self.0).into(), (&*iv).into()).encrypt_blocks(blocks);
        if let Some(last) = blocks.last() {
            *iv = (*last).into();
        }
    }

    /// Deciphers whole blocks in place. `iv` becomes the last of them as it was, for what follows.
    pub(super) fn decipher(&self, iv: &mut [u8; BLOCK], bytes: &mut [u8]) {
        let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
        debug_assert!(rest.is_empty(), "whole blocks");
        let Some(&last) = blocks.last() else { return };
        cbc::Decryptor::<Aes128>::new((&self.0).into(), (&*iv).into()).decrypt_blocks(blocks);
        *iv = last.into();
    }

    /// CMAC (NIST SP 800-38B) of the `parts` as one message.
    pub(super) fn cmac(&self, parts: &[&[u8]]) -> Zeroizing<[u8; BLOCK]> {
        let mut mac = Cmac::<Aes128>::new((&self.0).into());
        parts.iter().for_each(|part| mac.update(part));
        Zeroizing::new(mac.finalize().into_bytes().into())
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

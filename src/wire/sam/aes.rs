//! AES-128 as a SAM uses it: CBC that starts from zeros, and a CMAC of which every second byte travels.

use aes::{
    Aes128,
    cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit},
};
use cmac::{Cmac, KeyInit, Mac};
use zeroize::Zeroizing;

/// Bytes of a block, of a key and of a challenge.
pub(super) const BLOCK: usize = 16;

/// A key, wiped when dropped.
pub(super) type Key = Zeroizing<[u8; BLOCK]>;

/// Enciphers whole blocks in place. What is over a multiple of 16 stays as it is.
pub(super) fn encipher(key: &[u8; BLOCK], text: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(text);
    cbc::Encryptor::<Aes128>::new(key.into(), &[0; BLOCK].into()).encrypt_blocks(blocks);
}

/// Deciphers whole blocks in place: the inverse of [`encipher`].
pub(super) fn decipher(key: &[u8; BLOCK], text: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(text);
    cbc::Decryptor::<Aes128>::new(key.into(), &[0; BLOCK].into()).decrypt_blocks(blocks);
}

/// The eight bytes of the CMAC (NIST SP 800-38B) that travel: the second, the fourth and so on.
pub(super) fn mac(key: &[u8; BLOCK], message: &[u8]) -> [u8; 8] {
    let mut mac = Cmac::<Aes128>::new(key.into());
    mac.update(message);
    let whole: [u8; BLOCK] = mac.finalize().into_bytes().into();
    std::array::from_fn(|n| whole[2 * n + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.2.1 (its first block, with the vector counted into the text), and SP 800-38B, D.1, example 2.
    #[test]
    fn the_published_examples_hold() {
        let key: [u8; 16] = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap().try_into().unwrap();
        let text = hex::decode("6bc1bee22e409f96e93d7e117393172a").unwrap();
        let vector: Vec<u8> = (0..16).collect();
        let mut first: Vec<u8> = text.iter().zip(&vector).map(|(one, other)| one ^ other).collect();
        encipher(&key, &mut first);
        assert_eq!(hex::encode(&first), "7649abac8119b246cee98e9b12e9197d");
        decipher(&key, &mut first);
        assert_eq!(first, text.iter().zip(&vector).map(|(one, other)| one ^ other).collect::<Vec<_>>());
        // The whole MAC is 070a16b46b4d4144f79bdd9dd04a287c.
        assert_eq!(hex::encode(mac(&key, &text)), "0ab44d449b9d4a7c");
    }

    #[test]
    fn blocks_depend_on_those_before_and_a_rest_stays() {
        let (key, text) = ([7; 16], [9; 37]);
        let mut out = text;
        encipher(&key, &mut out);
        assert!(out[..16] != out[16..32] && out[32..] == [9; 5]);
        decipher(&key, &mut out);
        assert_eq!(out, text);
    }
}

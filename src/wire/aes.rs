//! AES-128 as cards and SAMs use it: CBC with an initialisation vector that runs on, CMAC, and the half of a CMAC that travels.

use ::aes::{
    Aes128,
    cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit},
};
use cmac::{Cmac, KeyInit, Mac};
use zeroize::Zeroizing;

/// Bytes of a block, of a key and of a challenge.
pub(super) const BLOCK: usize = 16;

/// Enciphers whole blocks in place. `iv` becomes the last of them, for what follows.
pub(super) fn encipher(key: &[u8; BLOCK], iv: &mut [u8; BLOCK], bytes: &mut [u8]) {
    let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
    debug_assert!(rest.is_empty(), "whole blocks");
    cbc::Encryptor::<Aes128>::new(key.into(), (&*iv).into()).encrypt_blocks(blocks);
    if let Some(last) = blocks.last() {
        *iv = (*last).into();
    }
}

/// Deciphers whole blocks in place. `iv` becomes the last of them as it was, for what follows.
pub(super) fn decipher(key: &[u8; BLOCK], iv: &mut [u8; BLOCK], bytes: &mut [u8]) {
    let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
    debug_assert!(rest.is_empty(), "whole blocks");
    let Some(&last) = blocks.last() else { return };
    cbc::Decryptor::<Aes128>::new(key.into(), (&*iv).into()).decrypt_blocks(blocks);
    *iv = last.into();
}

/// CMAC (NIST SP 800-38B) of the `parts` as one message.
pub(super) fn cmac(key: &[u8; BLOCK], parts: &[&[u8]]) -> Zeroizing<[u8; BLOCK]> {
    let mut mac = Cmac::<Aes128>::new(key.into());
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// The eight bytes of a CMAC that travel: the second, the fourth and so on (MF2DL(H)x0, section 9.1.3).
pub(super) fn travelling(mac: &[u8; BLOCK]) -> [u8; BLOCK / 2] {
    std::array::from_fn(|at| mac[2 * at + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.2.1 (its first two blocks), and SP 800-38B, D.1, example 2.
    #[test]
    fn the_published_examples_hold() {
        let key: [u8; 16] = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap().try_into().unwrap();
        let text = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").unwrap();
        let vector: [u8; 16] = std::array::from_fn(|at| at as u8);
        let (mut one, mut other, mut bytes) = (vector, vector, text.clone());
        // In two steps: the vector runs on.
        encipher(&key, &mut one, &mut bytes[..16]);
        encipher(&key, &mut one, &mut bytes[16..]);
        assert_eq!(hex::encode(&bytes), "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
        decipher(&key, &mut other, &mut bytes[..16]);
        decipher(&key, &mut other, &mut bytes[16..]);
        assert_eq!((bytes, other), (text.clone(), one));
        let mac = cmac(&key, &[&text[..7], &text[7..16]]);
        assert_eq!(hex::encode(*mac), "070a16b46b4d4144f79bdd9dd04a287c");
        assert_eq!(hex::encode(travelling(&mac)), "0ab44d449b9d4a7c");
    }
}

//! AES-128 as cards use it: CBC, CMAC, key diversification. Over OpenSSL: the reader's side stands on another library, so that an error
//! in either shows.

use openssl::symm::{Cipher, Crypter, Mode};

/// Key, initial vector or block.
pub type Block = [u8; 16];

/// The constant of CMAC for blocks of 128 bits (NIST SP 800-38B section 5.3).
const DOUBLING: u128 = 0x87;

/// The constant before the input of a diversified key of AES-128 (AN10922 section 2.2).
const DIVERSIFIED: u8 = 0x01;

fn cbc(mode: Mode, key: &Block, iv: &Block, data: &[u8]) -> Vec<u8> {
    assert!(data.len().is_multiple_of(16), "CBC takes whole blocks");
    let mut out = vec![0; data.len() + 16];
    let mut crypter = Crypter::new(Cipher::aes_128_cbc(), mode, key, Some(iv)).expect("OpenSSL has AES");
    crypter.pad(false);
    let most = crypter.update(data, &mut out).expect("the room is enough");
    let rest = crypter.finalize(&mut out[most..]).expect("whole blocks leave no rest");
    out.truncate(most + rest);
    out
}

/// Enciphers `data`, whole blocks, in CBC.
///
/// # Panics
/// When `data` is not whole blocks.
#[must_use]
pub fn encipher(key: &Block, iv: &Block, data: &[u8]) -> Vec<u8> {
    cbc(Mode::Encrypt, key, iv, data)
}

/// Deciphers `data` in CBC; `None` when it is not whole blocks.
#[must_use]
pub fn decipher(key: &Block, iv: &Block, data: &[u8]) -> Option<Vec<u8>> {
    data.len().is_multiple_of(16).then(|| cbc(Mode::Decrypt, key, iv, data))
}

/// The last block of `enciphered`.
///
/// # Panics
/// When it is shorter than a block.
#[must_use]
pub fn last_block(enciphered: &[u8]) -> Block {
    *enciphered.last_chunk().expect("there is a block")
}

/// The CMAC of `message` (NIST SP 800-38B), begun at `iv`: zeros, except where a card chains one to the next.
#[must_use]
pub fn cmac(key: &Block, iv: &Block, message: &[u8]) -> Block {
    padded_mac(key, iv, message, message.len().max(1).next_multiple_of(16))
}

/// The key that a card with this diversification `input` has, made of a `master` key (AN10922 section 2.2): at most 31 bytes, as a rule UID,
/// application and system identifier.
///
/// # Panics
/// When `input` is longer.
#[must_use]
pub fn diversified(master: &Block, input: &[u8]) -> Block {
    assert!(input.len() <= 31, "AN10922 allows 31 bytes");
    padded_mac(master, &[0; 16], &[&[DIVERSIFIED], input].concat(), 32)
}

fn padded_mac(key: &Block, iv: &Block, message: &[u8], length: usize) -> Block {
    let double = |block: u128| (block << 1) ^ (DOUBLING * (block >> 127));
    let first = double(u128::from_be_bytes(last_block(&encipher(key, &[0; 16], &[0; 16]))));
    let mut padded = message.to_vec();
    let mut subkey = first;
    if message.len() < length {
        subkey = double(first);
        padded.push(0x80);
        padded.resize(length, 0);
    }
    for (byte, key) in padded[length - 16..].iter_mut().zip(subkey.to_be_bytes()) {
        *byte ^= key;
    }
    last_block(&encipher(key, iv, &padded))
}

/// The CRC of DESFire EV1 over `parts`: CRC-32 of ISO/IEC 3309 without the final inversion, least significant byte first.
#[must_use]
pub fn crc32(parts: &[&[u8]]) -> [u8; 4] {
    let step =
        |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)));
    parts.iter().flat_map(|part| part.iter()).fold(u32::MAX, step).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    fn block(text: &str) -> Block {
        bytes(text).try_into().unwrap()
    }

    #[test]
    fn macs_are_those_of_rfc_4493() {
        let key = block("2b7e151628aed2a6abf7158809cf4f3c");
        let message = bytes(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        );
        for (length, expected) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            assert_eq!(cmac(&key, &[0; 16], &message[..length]), block(expected), "{length}");
        }
    }

    #[test]
    fn a_mac_goes_on_where_the_one_before_ended() {
        let key = block("2b7e151628aed2a6abf7158809cf4f3c");
        let iv = [7; 16];
        let flipped: Vec<u8> =
            [[9; 16], [7; 16]].concat().iter().enumerate().map(|(n, b)| if n < 16 { b ^ 7 } else { *b }).collect();
        assert_eq!(cmac(&key, &iv, &[[9; 16], [7; 16]].concat()), cmac(&key, &[0; 16], &flipped));
    }

    /// AN10922 section 2.2.1.
    #[test]
    fn keys_are_diversified_as_in_the_application_note() {
        let master = block("00112233445566778899aabbccddeeff");
        let input = bytes("04782e21801d803042f54e585020416275");
        assert_eq!(diversified(&master, &input), block("a8dd63a3b89d54b37ca802473fda9175"));
    }

    /// AN12196 table 25: of the new key, little endian.
    #[test]
    fn a_crc_is_that_of_the_application_note() {
        let key = bytes("f3847d627727ed3bc9c4cc050489b966");
        assert_eq!(crc32(&[&key[..5], &key[5..]]), [0x78, 0x9D, 0xFA, 0xDC]);
    }

    #[test]
    fn half_a_block_is_not_deciphered() {
        assert_eq!(decipher(&[0; 16], &[0; 16], &[0; 15]), None);
    }
}

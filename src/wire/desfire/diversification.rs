//! The key of a single card, derived from the site's key by AN10922 (rev. 2.2, section 2.2, AES-128).
//!
//! Its larger sections (AES-192, 3K3DES) are for keys that `desfire_aes` does not have.

use aes::cipher::BlockCipherEncrypt;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    Application, DesfireError,
    aes::{BLOCK, CardKey},
};

/// What AN10922 puts before the input of an AES-128 key.
const CONSTANT: u8 = 0x01;

/// Most bytes of input: two blocks without the constant.
const MOST: usize = 2 * BLOCK - 1;

/// A part of what a card's key is derived from. Issuers differ in which there are, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputPart {
    /// The card's identifier, 7 bytes.
    Uid,
    /// The application's identifier as it travels: the least significant byte first.
    Application,
    /// The same as it is printed.
    ApplicationAsPrinted,
    /// The number of the key within the application, one byte.
    Key,
    /// The system identifier.
    System,
}

/// How the input of a card's key is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversification {
    /// In this order.
    pub parts: Vec<InputPart>,
    /// What the issuer chose for its system.
    pub system: Vec<u8>,
}

impl Diversification {
    /// Whether the identifier is among the parts: then a card that makes one up in the clear cannot be asked.
    #[must_use]
    pub fn needs_uid(&self) -> bool {
        self.parts.contains(&InputPart::Uid)
    }

    /// How many bytes the input has; allowed are 1 to 31.
    #[must_use]
    pub fn length(&self) -> usize {
        let length = |part: &InputPart| match part {
            InputPart::Uid => 7,
            InputPart::Application | InputPart::ApplicationAsPrinted => 3,
            InputPart::Key => 1,
            InputPart::System => self.system.len(),
        };
        self.parts.iter().map(length).sum()
    }

    /// The input for one card, without AN10922's constant and padding.
    ///
    /// # Errors
    /// The identifier is wanted and not of 7 bytes, or the input is too short or too long.
    pub fn input(
        &self,
        uid: Option<&[u8]>,
        application: Application,
        key: u8,
    ) -> Result<Zeroizing<Vec<u8>>, DesfireError> {
        let length = self.length();
        if !(1..=MOST).contains(&length) {
            return Err(DesfireError::Diversification { length });
        }
        let mut input = Zeroizing::new(Vec::with_capacity(MOST));
        for part in &self.parts {
            match part {
                InputPart::Uid => {
                    let uid = uid.filter(|uid| uid.len() == 7).ok_or(DesfireError::IdentifierHidden)?;
                    input.extend_from_slice(uid);
                }
                InputPart::Application => input.extend_from_slice(&application.on_the_wire()),
                InputPart::ApplicationAsPrinted => input.extend_from_slice(&application.0),
                InputPart::Key => input.push(key),
                InputPart::System => input.extend_from_slice(&self.system),
            }
        }
        Ok(input)
    }
}

impl CardKey {
    /// The key of the single card whose input this is.
    ///
    /// It is CMAC over two blocks. A library's CMAC pads to the next block, AN10922 always to two, so what differs, the end, is here.
    ///
    /// # Errors
    /// The input is empty or over 31 bytes.
    pub fn diversified(&self, input: &[u8]) -> Result<Self, DesfireError> {
        if !(1..=MOST).contains(&input.len()) {
            return Err(DesfireError::Diversification { length: input.len() });
        }
        let cipher = self.cipher();
        let encipher = |block: u128| {
            let mut block = Zeroizing::new(block.to_be_bytes());
            cipher.encrypt_block((&mut *block).into());
            u128::from_be_bytes(*block)
        };
        let mut message = Zeroizing::new([0; 2 * BLOCK]);
        message[0] = CONSTANT;
        message[1..=input.len()].copy_from_slice(input);
        // NIST SP 800-38B, section 6.1: one subkey for a message that fills its last block, another for one that was padded.
        let mut subkey = double(encipher(0));
        if let Some(padding) = message.get_mut(1 + input.len()) {
            *padding = 0x80;
            subkey = double(subkey);
        }
        let block = |at: usize| message[at..at + BLOCK].iter().fold(0, |block, &byte| block << 8 | u128::from(byte));
        Ok(Self::from_bytes(encipher(encipher(block(0)) ^ block(BLOCK) ^ subkey).to_be_bytes()))
    }
}

/// Doubling in GF(2^128), NIST SP 800-38B, section 5.3.
const fn double(block: u128) -> u128 {
    (block << 1) ^ ((block >> 127) * 0x87)
}

//! A challenge for the key of a certificate, and the judgement of what the card made of it.

use openssl::{
    bn::BigNum,
    ecdsa::EcdsaSig,
    error::ErrorStack,
    md::Md,
    nid::Nid,
    pkey::{Id, PKey, Public},
    pkey_ctx::PkeyCtx,
    rsa::Padding,
    x509::X509Ref,
};
use zeroize::Zeroizing;

use crate::wire::piv::{self, Algorithm, PivError};

/// Bits of an RSA key.
const RSA_BITS: u32 = 2048;

/// A challenge, drawn anew for each card.
pub(super) struct Challenge {
    key: PKey<Public>,
    algorithm: Algorithm,
    /// What takes the place of a hash: as many random bytes as it would have.
    digest: Zeroizing<Vec<u8>>,
}

impl Challenge {
    /// A challenge for the key of this certificate.
    ///
    /// # Errors
    /// When its key is none that PIV has.
    pub(super) fn draw(leaf: &X509Ref, draw: &mut dyn FnMut(&mut [u8])) -> Result<Self, PivError> {
        let key = leaf.public_key().map_err(|_| PivError::Algorithm)?;
        let algorithm = algorithm(&key).ok_or(PivError::Algorithm)?;
        let bytes = match algorithm {
            // SHA-256's, within a padded block.
            Algorithm::Rsa2048 => 32,
            Algorithm::P256 | Algorithm::P384 => algorithm.block_bytes(),
        };
        let mut digest = Zeroizing::new(vec![0; bytes]);
        draw(&mut digest);
        Ok(Self { key, algorithm, digest })
    }

    /// The commands by which the card signs it.
    pub(super) fn commands(&self) -> Vec<Vec<u8>> {
        match (self.algorithm, <&[u8; 32]>::try_from(&**self.digest)) {
            (Algorithm::Rsa2048, Ok(digest)) => self.algorithm.authenticate(&*piv::rsa_block(digest)),
            (Algorithm::Rsa2048, Err(_)) | (Algorithm::P256 | Algorithm::P384, _) => {
                self.algorithm.authenticate(&self.digest)
            }
        }
    }

    /// Whether the answer to the last of [`Self::commands`] has its signature by the certificate's key.
    ///
    /// # Errors
    /// When it has none, or one that is wrong.
    pub(super) fn check(&self, answer: &[u8]) -> Result<(), PivError> {
        let signature = piv::signature(answer)?;
        let good = match self.algorithm {
            Algorithm::Rsa2048 => self.is_rsa(signature),
            Algorithm::P256 | Algorithm::P384 => self.is_ecdsa(signature),
        };
        // An error of OpenSSL's is a signature that it cannot read.
        if matches!(good, Ok(true)) { Ok(()) } else { Err(PivError::Signature) }
    }

    fn is_rsa(&self, signature: &[u8]) -> Result<bool, ErrorStack> {
        let mut context = PkeyCtx::new(&self.key)?;
        context.verify_init()?;
        context.set_rsa_padding(Padding::PKCS1)?;
        context.set_signature_md(Md::sha256())?;
        context.verify(&self.digest, signature)
    }

    fn is_ecdsa(&self, signature: &[u8]) -> Result<bool, ErrorStack> {
        let key = self.key.ec_key()?;
        let signature = match EcdsaSig::from_der(signature) {
            Ok(signature) => signature,
            // The standard asks for DER (SP 800-73-4 part 2, section 3.2.4); some cards give r and s side by side.
            Err(_) if signature.len() == 2 * self.algorithm.block_bytes() => {
                let (r, s) = signature.split_at(self.algorithm.block_bytes());
                EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?
            }
            Err(error) => return Err(error),
        };
        signature.verify(&self.digest, &key)
    }
}

fn algorithm(key: &PKey<Public>) -> Option<Algorithm> {
    match key.id() {
        Id::RSA => (key.bits() == RSA_BITS).then_some(Algorithm::Rsa2048),
        Id::EC => match key.ec_key().ok()?.group().curve_name() {
            Some(Nid::X9_62_PRIME256V1) => Some(Algorithm::P256),
            Some(Nid::SECP384R1) => Some(Algorithm::P384),
            _ => None,
        },
        _ => None,
    }
}

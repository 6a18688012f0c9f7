//! What several targets need: messages that are truly signed, so that what is inside them is reached too.

use coset::{CborSerializable, CoseSign1Builder, HeaderBuilder, iana};
use ed25519_dalek::{Signer, SigningKey};
use examgate::domain::DeviceId;

/// The seed of the one key that signs here; the golden envelope is signed with it too.
pub const SEED: [u8; 32] = [7; 32];

/// `payload` in a COSE_Sign1 message for `purpose`, signed with [`SEED`].
pub fn signed(purpose: &str, payload: &[u8]) -> Vec<u8> {
    signed_with(&SEED, purpose, payload)
}

/// The same, signed with another key's seed.
pub fn signed_with(seed: &[u8; 32], purpose: &str, payload: &[u8]) -> Vec<u8> {
    let key = SigningKey::from_bytes(seed);
    CoseSign1Builder::new()
        .protected(HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).build())
        .payload(payload.to_vec())
        .create_signature(purpose.as_bytes(), |message| key.sign(message).to_bytes().to_vec())
        .build()
        .to_vec()
        .expect("a message built here is serialisable")
}

/// The box that the seeds name.
pub fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

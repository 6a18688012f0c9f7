//! COSE_Sign1 (RFC 9052) with Ed25519: a message signed for one purpose by one key.
//!
//! The purpose is the external data of the signature, so what was signed for one purpose never verifies for another,
//! even if one key were used for both. It never looks into the payload, and never chooses a key by what a message says.

use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, RegisteredLabelWithPrivate, iana};

use super::keys::{PublicKey, SigningKey};

/// Signs `payload` for `purpose`.
pub(super) fn sign(purpose: &str, key: &SigningKey, payload: Vec<u8>) -> Vec<u8> {
    CoseSign1Builder::new()
        .protected(HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).build())
        .payload(payload)
        .create_signature(purpose.as_bytes(), |message| key.sign(message))
        .build()
        .to_vec()
        .expect("a message built here is serialisable")
}

/// The payload of `bytes`, if `key` signed exactly these bytes for `purpose`; `None` otherwise.
pub(super) fn verify(purpose: &str, key: &PublicKey, bytes: &[u8]) -> Option<Vec<u8>> {
    let message = CoseSign1::from_slice(bytes).ok()?;
    let eddsa = RegisteredLabelWithPrivate::Assigned(iana::Algorithm::EdDSA);
    // The unprotected header is not signed: one that says anything is refused rather than ignored.
    if message.protected.header.alg != Some(eddsa) || !message.unprotected.is_empty() {
        return None;
    }
    // Signing a message without payload would panic inside the library: the payload is looked at first.
    message.payload.as_ref()?;
    message
        .verify_signature(purpose.as_bytes(), |signature, tbs| key.verifies(tbs, signature).then_some(()).ok_or(()))
        .ok()?;
    message.payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    #[test]
    fn verifies_only_for_its_purpose_and_key() {
        let bytes = sign("a", &key(), b"payload".to_vec());
        assert_eq!(verify("a", &key().public(), &bytes), Some(b"payload".to_vec()));
        assert_eq!(verify("b", &key().public(), &bytes), None);
        assert_eq!(verify("a", &SigningKey::from_seed(&[8; 32]).public(), &bytes), None);
    }

    #[test]
    fn a_message_without_payload_or_algorithm_is_refused() {
        let bare = CoseSign1Builder::new().build().to_vec().expect("serialisable");
        assert_eq!(verify("a", &key().public(), &bare), None);
        let unnamed = CoseSign1Builder::new()
            .payload(b"payload".to_vec())
            .create_signature(b"a", |message| key().sign(message))
            .build()
            .to_vec()
            .expect("serialisable");
        assert_eq!(verify("a", &key().public(), &unnamed), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(verify("a", &key().public(), &bytes), None);
        }

        #[test]
        fn any_changed_bit_is_seen(at in 0usize..1000, bit in 0u8..8) {
            let mut bytes = sign("a", &key(), b"payload".to_vec());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(verify("a", &key().public(), &bytes), None);
        }
    }
}

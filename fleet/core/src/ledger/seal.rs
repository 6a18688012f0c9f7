//! The seal of events' bodies in a database that does not encrypt: what the server holds opens only with the ledger's key.
//!
//! XChaCha20-Poly1305 with a synthetic nonce (as SIV, RFC 5297): a keyed mark of id and body is kept beside the sealed body,
//! finds an event that comes again, and is the nonce. So no nonce is ever used for two bodies and no randomness is needed. A body
//! that somebody moved to another id or altered does not open. It does not hide how long a body is.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use examgate::{domain::EventId, store::Key};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a mark.
pub(super) const MARK: usize = 32;

/// Bytes of a nonce of XChaCha20-Poly1305.
const NONCE: usize = 24;

/// Seals and opens under one ledger's key.
pub(super) struct BodySeal {
    cipher: XChaCha20Poly1305,
    marks: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for BodySeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodySeal(redacted)")
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; MARK] {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl BodySeal {
    /// Of the ledger's key, from which a key for each purpose is derived.
    pub(super) fn new(key: &Key) -> Self {
        let sealing = Zeroizing::new(mac(key.expose(), &[b"examgate/ledger/body/v1"]));
        let marks = Zeroizing::new(mac(key.expose(), &[b"examgate/ledger/mark/v1"]));
        Self { cipher: XChaCha20Poly1305::new((&*sealing).into()), marks }
    }

    /// The mark of an event: the same for the same id and body only.
    pub(super) fn mark(&self, id: &EventId, body: &[u8]) -> [u8; MARK] {
        mac(&self.marks, &[id.0.as_bytes(), body])
    }

    /// Seals the body of the event that has this mark.
    pub(super) fn seal(&self, id: &EventId, mark: &[u8; MARK], body: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: body, aad: id.0.as_bytes() };
        self.cipher.encrypt(XNonce::from_slice(&mark[..NONCE]), payload).expect("a body is far shorter than 256 GiB")
    }

    /// Opens a body. `None`: it was altered, belongs to another event, or was sealed with another key.
    pub(super) fn open(&self, id: &EventId, mark: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let nonce = mark.get(..NONCE)?;
        let payload = Payload { msg: sealed, aad: id.0.as_bytes() };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_body_opens_with_its_key_and_for_its_event_only() {
        let seal = BodySeal::new(&Key::from_bytes([1; 32]));
        let (id, other) = (EventId(Uuid::from_u128(1)), EventId(Uuid::from_u128(2)));
        let mark = seal.mark(&id, b"body");
        let sealed = seal.seal(&id, &mark, b"body");
        assert_eq!(seal.open(&id, &mark, &sealed).expect("opens").as_slice(), b"body");
        assert_ne!(seal.mark(&other, b"body"), mark);
        let mut altered = sealed.clone();
        altered[0] ^= 1;
        for (id, mark, sealed) in [
            (&other, &mark[..], &sealed),
            (&id, &seal.mark(&id, b"another")[..], &sealed),
            (&id, &mark[..], &altered),
            (&id, &mark[..8], &sealed),
        ] {
            assert!(seal.open(id, mark, sealed).is_none());
        }
        assert!(BodySeal::new(&Key::from_bytes([2; 32])).open(&id, &mark, &sealed).is_none());
    }
}

//! A certificate and its key: read from one file and written into one, so that a crash never leaves half of a pair.

use openssl::{
    asn1::Asn1Time,
    error::ErrorStack,
    nid::Nid,
    pkey::PKey,
    symm::Cipher,
    x509::{X509, X509VerifyResult},
};
use zeroize::Zeroizing;

use crate::domain::{DeviceId, Timestamp};

/// How the locked key begins.
const LOCKED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Why a certificate and a key are no pair that this box can use.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// OpenSSL does not read it.
    #[error("certificate or key cannot be read (another root key, or a damaged file)")]
    Read(#[from] ErrorStack),
    /// There is no locked key.
    #[error("there is no locked key behind the certificate: the file is damaged")]
    NoKey,
    /// The certificate belongs to another key.
    #[error("the certificate is not for this box's key")]
    OtherKey,
    /// It names another box.
    #[error("the certificate is not for {device}")]
    OtherDevice {
        /// This box.
        device: DeviceId,
    },
    /// No issuer of the fleet signed it.
    #[error("none of the authorities that this box trusts (`uplink.ca`) issued the certificate")]
    OtherIssuer,
}

/// From when to when a certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Validity {
    /// When it is time for another one: after two thirds of its life. What is left is for weeks without a network.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let life = self.until.duration_since(self.from);
        self.from.checked_add(life / 3 * 2).unwrap_or(self.until)
    }
}

/// When the first certificate of a PEM file counts; `None` if it is none.
#[must_use]
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let leaf = X509::from_pem(certificate).ok()?;
    let since_1970 = |at: &openssl::asn1::Asn1TimeRef| {
        let passed = Asn1Time::from_unix(0).ok()?.diff(at).ok()?;
        Timestamp::from_second(i64::from(passed.days) * 86_400 + i64::from(passed.secs)).ok()
    };
    Some(Validity { from: since_1970(leaf.not_before())?, until: since_1970(leaf.not_after())? })
}

/// A certificate (PEM, then what lies between it and the issuer) and its key (PEM, PKCS#8).
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(redacted)")
    }
}

impl Pair {
    /// One file of both; the key is locked with `passphrase` (PKCS#8, AES-256).
    ///
    /// # Errors
    /// When the key is none.
    pub fn lock(&self, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, PairError> {
        let key = PKey::private_key_from_pem(&self.key)?;
        let locked = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), passphrase.as_bytes())?;
        let mut file = Zeroizing::new(self.certificate.clone());
        if !file.ends_with(b"\n") {
            file.push(b'\n');
        }
        file.extend_from_slice(&locked);
        Ok(file)
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// When it is none, or was locked with another passphrase.
    pub fn unlock(file: &[u8], passphrase: &str) -> Result<Self, PairError> {
        let at = file.windows(LOCKED.len()).position(|window| window == LOCKED.as_bytes()).ok_or(PairError::NoKey)?;
        let (certificate, locked) = file.split_at(at);
        let key = PKey::private_key_from_pem_passphrase(locked, passphrase.as_bytes())?;
        let key = Zeroizing::new(key.private_key_to_pem_pkcs8()?);
        let pair = Self { certificate: certificate.to_vec(), key };
        if super::is_pair(&pair.certificate, &pair.key)? { Ok(pair) } else { Err(PairError::OtherKey) }
    }

    /// Whether this is a pair for `device` that one of `authorities` (PEM) issued.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, device: &DeviceId, authorities: &[u8]) -> Result<(), PairError> {
        if !super::is_pair(&self.certificate, &self.key)? {
            return Err(PairError::OtherKey);
        }
        let leaf = X509::from_pem(&self.certificate)?;
        let name = leaf.subject_name().entries_by_nid(Nid::COMMONNAME).next();
        let name = name.and_then(|entry| entry.data().to_string().ok());
        if name.as_deref() != Some(device.as_str()) {
            return Err(PairError::OtherDevice { device: device.clone() });
        }
        for issuer in X509::stack_from_pem(authorities)? {
            if issuer.issued(&leaf) == X509VerifyResult::OK && leaf.verify(&*issuer.public_key()?)? {
                return Ok(());
            }
        }
        Err(PairError::OtherIssuer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::certificates::{Authority, Validity as Of};

    fn pair(authority: &Authority) -> Pair {
        let issued = authority.client("door-1", Of::Good);
        Pair { certificate: issued.certificate.into(), key: Zeroizing::new(issued.key.into()) }
    }

    #[test]
    fn a_pair_is_one_file_that_opens_with_its_passphrase_alone() {
        let pair = pair(&Authority::new());
        let file = pair.lock("right").unwrap();
        let read = Pair::unlock(&file, "right").unwrap();
        assert_eq!(read.certificate, pair.certificate);
        assert!(super::super::is_pair(&read.certificate, &read.key).unwrap());
        assert!(matches!(Pair::unlock(&file, "wrong"), Err(PairError::Read(_))));
        let plain = String::from_utf8_lossy(&pair.key).into_owned();
        let line = plain.lines().nth(1).unwrap();
        assert!(!String::from_utf8_lossy(&file).contains(line), "the key lies plain");
        for length in 0..file.len() - 1 {
            assert!(Pair::unlock(&file[..length], "right").is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_pair_is_for_its_box_and_of_a_known_issuer() {
        let (ours, other) = (Authority::new(), Authority::new());
        let [one, two] = ["door-1", "door-2"].map(|name| DeviceId::new(name).unwrap());
        let pair = pair(&ours);
        let both = format!("{}{}", other.certificate(), ours.certificate());
        assert!(pair.check(&one, both.as_bytes()).is_ok());
        assert!(matches!(pair.check(&two, both.as_bytes()), Err(PairError::OtherDevice { .. })));
        assert!(matches!(pair.check(&one, other.certificate().as_bytes()), Err(PairError::OtherIssuer)));
        let mixed = Pair { key: super::super::new_key().unwrap(), ..pair };
        assert!(matches!(mixed.check(&one, both.as_bytes()), Err(PairError::OtherKey)));
    }

    #[test]
    fn it_is_renewed_after_two_thirds_of_its_life() {
        let second = |s| Timestamp::from_second(s).unwrap();
        let good = pair(&Authority::new());
        let read = validity(&good.certificate).unwrap();
        // 2020-01-01 to 2049-01-01.
        assert_eq!(read, Validity { from: second(1_577_836_800), until: second(2_493_072_000) });
        let short = Validity { from: second(300), until: second(600) };
        assert_eq!(short.renew_at(), second(500));
        assert_eq!(validity(b"nothing"), None);
    }
}

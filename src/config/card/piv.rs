//! How the profile `piv` is read: whose cards count, and what of them.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, value};
use crate::wire::piv::{CertificatePurpose, RevocationOverdue};

/// How the profile `piv` is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piv {
    /// PEM files with the certificates of the authorities that issue the cards' certificates, and of those above them if there are any. Read at
    /// the start.
    pub anchors: Vec<PathBuf>,
    /// Files with revocation lists of these authorities, DER or PEM. Read at the start, and anew when one was written. Left out: no card
    /// is looked for on one.
    #[serde(default)]
    pub revocation: Vec<PathBuf>,
    /// What becomes of cards while the newest list of their issuer is overdue: `refer` or `accept`.
    #[serde(default)]
    pub revocation_overdue: RevocationOverdue,
    /// What the cards' certificates must be issued for: `card-authentication`, or `any-signature` where the site's own authority does not set
    /// that usage.
    #[serde(default)]
    pub purpose: CertificatePurpose,
}

impl Piv {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.anchors.is_empty() {
            let allowed = "one or more PEM files with the certificates of those who issue the cards";
            return Err(value("card.piv.anchors", "", allowed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_needed_and_the_rest_has_defaults() {
        let piv = |text: &str| toml::from_str::<Piv>(text);
        let least = piv("anchors = [\"/a.pem\"]").unwrap();
        assert!(least.check().is_ok() && least.revocation.is_empty());
        assert_eq!(least.revocation_overdue, RevocationOverdue::Refer);
        assert_eq!(least.purpose, CertificatePurpose::CardAuthentication);
        let other = "anchors = [\"/a.pem\"]\nrevocation_overdue = \"accept\"\npurpose = \"any-signature\"";
        let other = piv(other).unwrap();
        assert_eq!(other.revocation_overdue, RevocationOverdue::Accept);
        assert_eq!(other.purpose, CertificatePurpose::AnySignature);
        let error = piv("anchors = []").unwrap().check().unwrap_err().to_string();
        assert!(error.contains("card.piv.anchors") && error.contains("PEM"), "{error}");
        assert!(piv("revocation = []").is_err() && piv("anchors = []\nkeys = \"folder\"").is_err());
    }
}

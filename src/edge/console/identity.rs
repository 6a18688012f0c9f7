//! The console's TLS certificate and key, and whether a browser will accept them.
//!
//! Whether a browser trusts the issuer is not checked here.

use std::{fmt, net::IpAddr};

use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    error::ErrorStack,
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod},
    x509::{X509, X509Ref},
};
use zeroize::Zeroizing;

use crate::domain::Timestamp;

/// Days before its end at which a certificate should be renewed.
const RENEW: i32 = 30;

/// Who the console is, to browsers.
pub struct Identity {
    /// PEM: the box's certificate for the console, then what lies between it and the authority.
    pub certificate: Vec<u8>,
    /// PEM: its key.
    pub key: Zeroizing<Vec<u8>>,
}

/// What a browser that trusts the issuer makes of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It opens the page.
    Good(Certificate),
    /// It opens the page, but not for long: fewer than 30 days.
    EndsSoon(Certificate),
    /// It warns: the certificate's time is over.
    Expired(Certificate),
    /// It warns: the certificate's time has not come.
    NotYet {
        /// When it will have, as OpenSSL writes it.
        from: String,
    },
    /// It warns: the certificate names neither the box nor its address.
    Misnamed {
        /// The names that would do.
        wanted: Vec<String>,
        /// Those it has.
        names: Vec<String>,
    },
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject alternative names: host names and addresses.
    pub names: Vec<String>,
    /// When it ends, as OpenSSL writes it.
    pub until: String,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(Certificate { names, until }) => {
                write!(f, "certificate for {}, until {until}", names.join(", "))
            }
            Self::EndsSoon(Certificate { until, .. }) => {
                write!(f, "the certificate ends {until}: let the issuer make a new one before browsers refuse it")
            }
            Self::Expired(Certificate { until, .. }) => {
                write!(f, "the certificate ended {until}, so browsers refuse it: let the issuer make a new one")
            }
            Self::NotYet { from } => {
                write!(f, "the certificate begins only {from}: set the box's clock, or let the issuer make a new one")
            }
            Self::Misnamed { wanted, names } => write!(
                f,
                "the certificate is for {}, so browsers refuse it: let the issuer make one with a subject alternative name of {}",
                if names.is_empty() { "nobody".to_owned() } else { names.join(", ") },
                wanted.join(" or "),
            ),
        }
    }
}

impl Identity {
    /// What a browser makes of it at `now`, where proctors reach the console as `host` (or `host.some.domain`) or at `address`, if that
    /// is one that can be typed.
    ///
    /// # Errors
    /// Certificate or key is no PEM, or they are not a pair.
    pub fn standing(&self, host: &str, address: IpAddr, now: Timestamp) -> Result<Standing, ErrorStack> {
        self.acceptor()?;
        let leaf = X509::from_pem(&self.certificate)?;
        let now = Asn1Time::from_unix(now.as_second())?;
        let said = Certificate { names: names(&leaf), until: leaf.not_after().to_string() };
        let is_host = |name: &String| {
            let rest = name.to_ascii_lowercase().strip_prefix(&host.to_ascii_lowercase()).map(str::to_owned);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) || *name == address.to_string()
        };
        Ok(if is_before(&now, leaf.not_before())? {
            Standing::NotYet { from: leaf.not_before().to_string() }
        } else if is_before(leaf.not_after(), &now)? {
            Standing::Expired(said)
        } else if !said.names.iter().any(is_host) {
            let typed = (!address.is_unspecified()).then(|| address.to_string());
            Standing::Misnamed { wanted: std::iter::once(host.to_owned()).chain(typed).collect(), names: said.names }
        } else if now.diff(leaf.not_after())?.days < RENEW {
            Standing::EndsSoon(said)
        } else {
            Standing::Good(said)
        })
    }

    /// Mozilla's intermediate settings, version 5: TLS 1.2 with forward secrecy and authenticated ciphers, and 1.3.
    pub(super) fn acceptor(&self) -> Result<SslAcceptor, ErrorStack> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        let mut chain = X509::stack_from_pem(&self.certificate)?.into_iter();
        if let Some(leaf) = chain.next() {
            builder.set_certificate(&leaf)?;
        }
        for link in chain {
            builder.add_extra_chain_cert(link)?;
        }
        let key = PKey::private_key_from_pem(&self.key)?;
        builder.set_private_key(&key)?;
        builder.check_private_key()?;
        Ok(builder.build())
    }
}

fn is_before(a: &Asn1TimeRef, b: &Asn1TimeRef) -> Result<bool, ErrorStack> {
    Ok(a.compare(b)?.is_lt())
}

/// Browsers look at subject alternative names alone (RFC 9525).
fn names(leaf: &X509Ref) -> Vec<String> {
    let names = leaf.subject_alt_names().into_iter().flatten();
    names
        .filter_map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(host), _) => Some(host.to_owned()),
            (None, Some(&[a, b, c, d])) => Some(IpAddr::from([a, b, c, d]).to_string()),
            (None, Some(bytes)) => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            (None, None) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn identity(names: &[&str], from: i32, until: i32) -> Identity {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Identity { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes().into() }
    }

    #[test]
    fn what_browsers_will_make_of_it_is_known_before_they_do() {
        let now = "2026-12-14T08:00:00Z".parse().unwrap();
        let address = "10.20.0.7".parse().unwrap();
        for (names, from, until, wanted) in [
            (&["door-1", "10.20.0.7"][..], 2026, 2030, "certificate for door-1, 10.20.0.7, until"),
            (&["Door-1.exams.example.edu"], 2026, 2030, "certificate for"),
            (&["10.20.0.7"], 2026, 2030, "certificate for 10.20.0.7"),
            (&["door-1"], 2026, 2027, "the certificate ends Jan  1 00:00:00 2027 GMT"),
            (&["door-1"], 2024, 2026, "the certificate ended Jan  1 00:00:00 2026 GMT"),
            (&["door-1"], 2027, 2030, "begins only Jan  1 00:00:00 2027 GMT"),
            (&["door-12"], 2026, 2030, "is for door-12, so browsers refuse it"),
            (&[], 2026, 2030, "is for nobody"),
        ] {
            let said = identity(names, from, until).standing("door-1", address, now).unwrap().to_string();
            assert!(said.contains(wanted), "{names:?} {from} {until}: {said}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (identity(&["door-1"], 2026, 2030), identity(&["door-1"], 2026, 2030));
        let mixed = Identity { certificate: one.certificate, key: other.key };
        assert!(mixed.standing("door-1", "10.20.0.7".parse().unwrap(), Timestamp::UNIX_EPOCH).is_err());
    }
}

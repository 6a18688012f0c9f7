//! TLS settings of an MQTT client, from PEM files: trusted CA certificates, own certificate and key.
//!
//! A file of authorities may hold any number of certificates: while an authority is replaced, brokers of the old and of the
//! new one must both be trusted. Every block of the file is used, or refused by name and line; none is skipped. It
//! reads no file itself.

use std::fmt;

use openssl::{
    asn1::Asn1Time,
    error::ErrorStack,
    nid::Nid,
    x509::{X509, X509NameRef},
};

use crate::domain::Timestamp;

/// What is not a list of authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// Nothing is in it.
    #[error("the file is empty")]
    Empty,
    /// Text, but in two-byte characters.
    #[error("the file is UTF-16: save it as plain text (ASCII or UTF-8)")]
    Utf16,
    /// A certificate in its binary form.
    #[error("the file is a certificate in binary form (DER): convert it with `openssl x509 -inform der`")]
    Der,
    /// No `-----BEGIN …` in it.
    #[error("there is no certificate in the file: it holds no line `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// A block of another kind.
    #[error("line {line} begins a {label}, not a CERTIFICATE: {advice}")]
    NotACertificate {
        /// Where it begins, from 1.
        line: usize,
        /// What it says it is.
        label: String,
        /// What to do.
        advice: &'static str,
    },
    /// A block without end.
    #[error("the certificate that begins at line {line} has no end: was the file cut short?")]
    Unfinished {
        /// Where it begins, from 1.
        line: usize,
    },
    /// A block that holds something else than it says.
    #[error("the certificate that begins at line {line} cannot be read: was it damaged while it was copied?")]
    Unreadable {
        /// Where it begins, from 1.
        line: usize,
        /// What OpenSSL says.
        source: ErrorStack,
    },
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The authorities.
    #[error("the broker's authorities (CA file) cannot be used")]
    Authorities(#[from] AuthoritiesError),
    /// The client's certificate and key are not a PEM pair.
    #[error("certificate and key of this client are not PEM (the key as PKCS#8, `BEGIN PRIVATE KEY`)")]
    Identity(#[source] native_tls::Error),
    /// OpenSSL would not take them.
    #[error("TLS cannot be set up with these certificates; do certificate and key belong together?")]
    Connector(#[source] native_tls::Error),
}

/// The authorities that may have issued the broker's certificate.
#[derive(Clone)]
pub struct Authorities(Vec<X509>);

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|one| name(one.subject_name()))).finish()
    }
}

/// Labels that mean a certificate (RFC 7468, section 5; the second is an old one that OpenSSL reads).
const LABELS: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];

impl Authorities {
    /// Reads every certificate of a PEM file. Text around the blocks, a byte order mark, spaces and either kind of line end
    /// are fine.
    ///
    /// # Errors
    /// When there is none, or when any block is something else than a whole certificate.
    pub fn read(file: &[u8]) -> Result<Self, AuthoritiesError> {
        if file.iter().all(u8::is_ascii_whitespace) {
            return Err(AuthoritiesError::Empty);
        }
        if file.starts_with(&[0xFF, 0xFE]) || file.starts_with(&[0xFE, 0xFF]) {
            return Err(AuthoritiesError::Utf16);
        }
        if X509::from_der(file).is_ok() {
            return Err(AuthoritiesError::Der);
        }
        let text = String::from_utf8_lossy(file).replace("\r\n", "\n");
        let mut found: Vec<X509> = Vec::new();
        let mut open: Option<(usize, String)> = None;
        // Files that were put together without a line end between them have two marks in one line.
        let split = |line: &str| line.replace("----------BEGIN ", "-----\n-----BEGIN ");
        let lines = (1..).zip(text.split(['\n', '\r']).map(split));
        let lines: Vec<(usize, String)> = lines
            .flat_map(|(number, line)| line.split('\n').map(|part| (number, part.to_owned())).collect::<Vec<_>>())
            .collect();
        for (number, line) in &lines {
            let number = *number;
            let line = line.trim().trim_start_matches('\u{feff}');
            if let Some(label) = mark(line, "BEGIN") {
                if let Some((line, _)) = open {
                    return Err(AuthoritiesError::Unfinished { line });
                }
                if !LABELS.contains(&label) {
                    return Err(AuthoritiesError::NotACertificate {
                        line: number,
                        label: label.into(),
                        advice: advice(label),
                    });
                }
                open = Some((number, String::from("-----BEGIN CERTIFICATE-----\n")));
            } else if mark(line, "END").is_some()
                && let Some((line, mut block)) = open.take()
            {
                block.push_str("-----END CERTIFICATE-----\n");
                let read = X509::from_pem(block.as_bytes());
                let read = read.map_err(|source| AuthoritiesError::Unreadable { line, source })?;
                // The same one twice is one authority.
                if !found.contains(&read) {
                    found.push(read);
                }
            } else if let Some((_, block)) = &mut open
                && !line.is_empty()
            {
                block.push_str(line);
                block.push('\n');
            }
        }
        match open {
            Some((line, _)) => Err(AuthoritiesError::Unfinished { line }),
            None if found.is_empty() => Err(AuthoritiesError::NoCertificate),
            None => Ok(Self(found)),
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The names of those whose time is over, or has not begun, at `now`.
    #[must_use]
    pub fn out_of_date(&self, now: Timestamp) -> Vec<String> {
        let Ok(now) = Asn1Time::from_unix(now.as_second()) else { return Vec::new() };
        let outside = |one: &&X509| *one.not_after() < now || *one.not_before() > now;
        self.0.iter().filter(outside).map(|one| name(one.subject_name())).collect()
    }
}

/// `-----BEGIN LABEL-----` to `LABEL`.
fn mark<'a>(line: &'a str, which: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_prefix(which)?.strip_prefix(' ')?.strip_suffix("-----")
}

fn advice(label: &str) -> &'static str {
    if label.contains("PRIVATE KEY") {
        "a private key does not belong here; take it out, and replace it if others could read it"
    } else if label == "TRUSTED CERTIFICATE" {
        "convert it with `openssl x509`"
    } else if label.contains("REQUEST") {
        "this is a request for a certificate; let the issuer sign it"
    } else {
        "take it out"
    }
}

/// The common name, or whatever else the name says.
fn name(name: &X509NameRef) -> String {
    let common = name.entries_by_nid(Nid::COMMONNAME).next();
    let any = common.or_else(|| name.entries().next());
    any.and_then(|entry| entry.data().to_string().ok()).unwrap_or_else(|| "(without a name)".into())
}

/// The common name of the first certificate of a PEM file; `None` if it has none or is no certificate.
#[must_use]
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let leaf = X509::from_pem(certificate).ok()?;
    let entry = leaf.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
}

/// TLS 1.2 or later that trusts `authorities` and nobody else, and comes with `certificate` and `key` (PEM).
///
/// # Errors
/// When certificate or key cannot be used.
pub fn connector(
    authorities: &Authorities,
    certificate: &[u8],
    key: &[u8],
) -> Result<native_tls::TlsConnector, TrustError> {
    let identity = native_tls::Identity::from_pkcs8(certificate, key).map_err(TrustError::Identity)?;
    let mut builder = native_tls::TlsConnector::builder();
    builder.disable_built_in_roots(true).identity(identity).min_protocol_version(Some(native_tls::Protocol::Tlsv12));
    for authority in &authorities.0 {
        let der = authority.to_der().map_err(|source| AuthoritiesError::Unreadable { line: 0, source })?;
        builder.add_root_certificate(native_tls::Certificate::from_der(&der).map_err(TrustError::Connector)?);
    }
    builder.build().map_err(TrustError::Connector)
}

#[cfg(test)]
mod tests;

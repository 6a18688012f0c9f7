//! What a failed TLS handshake means, in words that tell how to mend it.
//!
//! OpenSSL says why only in its error text, so that text is read here; the cases are held to a real broker by tests.
//! It never sees a certificate.

/// Why two ends would not trust each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsRefusal {
    /// The broker's certificate has expired.
    #[error("the broker's certificate has expired: renew it (or mend this machine's clock, if it is ahead)")]
    BrokerExpired,
    /// The broker's certificate is not valid yet.
    #[error("the broker's certificate is not valid yet: this machine's clock is probably behind")]
    BrokerNotYetValid,
    /// The broker's certificate was issued by an authority that is not ours.
    #[error(
        "the broker's certificate was not issued by the configured authority: check the CA file, and who answers at this address"
    )]
    BrokerUnknown,
    /// The broker's certificate is for another name.
    #[error("the broker's certificate is for another host name: use the name it was issued for")]
    BrokerMisnamed,
    /// The broker's certificate was refused for another reason.
    #[error("the broker's certificate is not acceptable")]
    BrokerUnacceptable,
    /// The broker refused our certificate as expired.
    #[error("the broker refused this client's certificate as expired: renew it")]
    OwnExpired,
    /// The broker refused our certificate as revoked.
    #[error("the broker refused this client's certificate as revoked: enrol the box again")]
    OwnRevoked,
    /// The broker does not know who issued our certificate.
    #[error(
        "the broker does not know the authority of this client's certificate: was the box enrolled with another fleet?"
    )]
    OwnUnknown,
    /// The broker refused our certificate for another reason, or wants one and got none.
    #[error("the broker refused this client's certificate")]
    OwnUnacceptable,
}

impl TlsRefusal {
    /// Reads the whole text of an OpenSSL error (its chain joined); `None` if it is not about certificates.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        // Verification is done by this end: "certificate verify failed … (<X509 result>)". Alerts come from the other.
        const CASES: [(&str, TlsRefusal); 15] = [
            ("(certificate has expired)", TlsRefusal::BrokerExpired),
            ("(certificate is not yet valid)", TlsRefusal::BrokerNotYetValid),
            ("(self-signed certificate", TlsRefusal::BrokerUnknown),
            ("(unable to get local issuer certificate)", TlsRefusal::BrokerUnknown),
            ("(unable to verify the first certificate)", TlsRefusal::BrokerUnknown),
            ("(certificate signature failure)", TlsRefusal::BrokerUnknown),
            ("(hostname mismatch)", TlsRefusal::BrokerMisnamed),
            ("(IP address mismatch)", TlsRefusal::BrokerMisnamed),
            ("certificate verify failed", TlsRefusal::BrokerUnacceptable),
            ("alert certificate expired", TlsRefusal::OwnExpired),
            ("alert certificate revoked", TlsRefusal::OwnRevoked),
            ("alert unknown ca", TlsRefusal::OwnUnknown),
            ("alert bad certificate", TlsRefusal::OwnUnacceptable),
            ("alert certificate required", TlsRefusal::OwnUnacceptable),
            ("alert certificate unknown", TlsRefusal::OwnUnacceptable),
        ];
        CASES.iter().find(|(sign, _)| text.contains(sign)).map(|&(_, refusal)| refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_texts_are_read() {
        let verify = |result| {
            format!(
                "TLS: Native TLS error error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify \
                 failed:ssl/statem/statem_clnt.c:2124: ({result})"
            )
        };
        for (text, refusal) in [
            (verify("certificate has expired"), Some(TlsRefusal::BrokerExpired)),
            (verify("certificate is not yet valid"), Some(TlsRefusal::BrokerNotYetValid)),
            (verify("unable to get local issuer certificate"), Some(TlsRefusal::BrokerUnknown)),
            (verify("self-signed certificate in certificate chain"), Some(TlsRefusal::BrokerUnknown)),
            (verify("IP address mismatch"), Some(TlsRefusal::BrokerMisnamed)),
            (verify("CA certificate key too weak"), Some(TlsRefusal::BrokerUnacceptable)),
            (
                "ssl/record/rec_layer_s3.c:916:SSL alert number 45: ssl/tls alert certificate expired".into(),
                Some(TlsRefusal::OwnExpired),
            ),
            ("tlsv1 alert unknown ca".into(), Some(TlsRefusal::OwnUnknown)),
            ("Connection refused (os error 111)".into(), None),
        ] {
            assert_eq!(TlsRefusal::read(&text), refusal, "{text}");
        }
    }
}

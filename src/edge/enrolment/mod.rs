//! The fleet's enrolment endpoint, as boxes ask it: one request over TLS, one answer. A new box has a one-time code; an enrolled one signs
//! with its own key what it asks: another certificate, or that another signing key counts.
//!
//! TLS hides what is said and proves nothing here: any certificate is taken, and what is taken is written into the messages. That
//! the other side is the fleet is shown by its answer alone: made with the code, or a certificate for a new key that an authority of the
//! fleet signed. No private key passes through.

mod pair;
mod request;

use std::{convert::Infallible, io, pin::Pin, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request as HttpRequest, StatusCode, Uri, header},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openssl::{
    error::ErrorStack,
    hash::MessageDigest,
    ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion},
};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use zeroize::Zeroizing;

pub use pair::{Pair, PairError, Validity, validity};
pub use request::{is_pair, new_key, request_for};

use crate::{
    domain::DeviceId,
    wire::{
        enrolment::{Answer, Code, EnrolmentError, LONGEST_PEM, MAX_ANSWER, Request, ServerHash},
        host::{Host, HostError},
        keys::SigningKey,
        renewal::{HandOver, Renewal},
    },
};

/// How long the whole exchange may take.
const WITHIN: Duration = Duration::from_secs(30);

/// The port that a URL without one means.
const PORT: u16 = 443;

/// Longest explanation that is read of a refusal, bytes.
const LONGEST_REASON: usize = 1024;

/// Why a box was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentFault {
    /// The URL is none.
    #[error("{url:?} is not the address of an enrolment endpoint: https://HOST or https://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
    },
    /// Its host is none.
    #[error("{url:?} has a host that is none")]
    Host {
        /// What was given.
        url: String,
        /// Why.
        source: HostError,
    },
    /// The network.
    #[error("{address} cannot be reached: does `examgate-fleetd enrol` run there, and is the way open?")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The underlying error.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Prepare(#[from] ErrorStack),
    /// The other side speaks no TLS.
    #[error("{address} does not speak TLS 1.2 or later as an enrolment endpoint does")]
    Tls {
        /// Host and port.
        address: String,
        /// The underlying error.
        source: openssl::ssl::Error,
    },
    /// It showed no certificate.
    #[error("{address} shows no certificate: it is no enrolment endpoint")]
    NoCertificate {
        /// Host and port.
        address: String,
    },
    /// The conversation broke off.
    #[error("the conversation with {address} broke off; ask again (a code stays good)")]
    Broken {
        /// Host and port.
        address: String,
        /// The underlying error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{address} did not answer within 30 s; ask again (a code stays good)")]
    Slow {
        /// Host and port.
        address: String,
    },
    /// It was refused.
    #[error("{address} refused ({status}): {reason}")]
    Refused {
        /// Host and port.
        address: String,
        /// The status of the answer.
        status: u16,
        /// What it said, printable ASCII only.
        reason: String,
    },
    /// The answer is not the fleet's.
    #[error("what answered at {address} is not believed; nothing was taken from it")]
    Answer {
        /// Host and port.
        address: String,
        /// Why.
        source: EnrolmentError,
    },
    /// The certificate that came is not usable.
    #[error("the certificate that came from {address} is not taken, and the one before stays")]
    Certificate {
        /// Host and port.
        address: String,
        /// Why.
        source: PairError,
    },
}

/// Where a fleet enrols boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

impl Endpoint {
    /// Reads `https://HOST` or `https://HOST:PORT`.
    ///
    /// ```
    /// use examgate::edge::enrolment::Endpoint;
    ///
    /// assert!(Endpoint::parse("https://fleet.example.edu:8443").is_ok());
    /// assert!(Endpoint::parse("http://fleet.example.edu").is_err(), "everybody could listen");
    /// ```
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(url: &str) -> Result<Self, EnrolmentFault> {
        let none = || EnrolmentFault::Url { url: url.into() };
        let uri: Uri = url.parse().map_err(|_| none())?;
        let plain = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        let host = uri.host().filter(|_| uri.scheme_str() == Some("https") && plain).ok_or_else(none)?;
        // Nothing but host and port: no user, and no number that is no port, which the parser passes over.
        let said = uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if uri.authority().is_none_or(|authority| authority.as_str() != said) {
            return Err(none());
        }
        let host = host.parse().map_err(|source| EnrolmentFault::Host { url: url.into(), source })?;
        Ok(Self { host, port: uri.port_u16().unwrap_or(PORT) })
    }

    /// Asks for what `ask` makes of a connection, with the `code`; `own` is the secret half of its signing key.
    ///
    /// # Errors
    /// When the endpoint is not reached, refuses, or does not know the code. The code may be used again by the same keys.
    pub fn enrol(&self, ask: &Request, code: &Code, own: &SigningKey) -> Result<Answer, EnrolmentFault> {
        let path = format!("/v1/enrolment/{}", code.id());
        let (body, server) = self.post(&path, |server| ask.encode(code, own, server), MAX_ANSWER)?;
        Answer::decode(&body, code, ask.nonce, &server)
            .map_err(|source| EnrolmentFault::Answer { address: self.address(), source })
    }

    /// Asks for another certificate of `device`, for a key that is made here, signed by its signing key `own`. One of `authorities` (PEM)
    /// must have issued what comes.
    ///
    /// # Errors
    /// When the endpoint is not reached or refuses, or what comes is no such certificate.
    pub fn renew(&self, device: &DeviceId, own: &SigningKey, authorities: &[u8]) -> Result<Pair, EnrolmentFault> {
        self.pair("renewal", (device, authorities), |csr, server| {
            Renewal { device: device.clone(), csr }.encode(own, server)
        })
    }

    /// Hands over from the signing key `old` to `next`, as `what` makes it of a request for a certificate. The certificate that comes, which
    /// one of `authorities` (PEM) must have issued, shows that the fleet believes `next` alone from now on. To ask again is harmless.
    ///
    /// # Errors
    /// When the endpoint is not reached or refuses, or what comes is no such certificate: the fleet may believe `next` all the same.
    pub fn hand_over(
        &self,
        what: impl FnOnce(String) -> HandOver,
        device: &DeviceId,
        (old, next): (&SigningKey, &SigningKey),
        authorities: &[u8],
    ) -> Result<Pair, EnrolmentFault> {
        self.pair("hand-over", (device, authorities), |csr, server| what(csr).encode(old, next, server))
    }

    fn pair(
        &self,
        what: &str,
        (device, authorities): (&DeviceId, &[u8]),
        ask: impl FnOnce(String, &ServerHash) -> Vec<u8>,
    ) -> Result<Pair, EnrolmentFault> {
        let key: Zeroizing<Vec<u8>> = new_key()?;
        let csr = request_for(&key)?;
        let path = format!("/v1/{what}/{device}");
        let (certificate, _) = self.post(&path, |server| ask(csr, server), LONGEST_PEM)?;
        let pair = Pair { certificate, key };
        pair.check(device, authorities)
            .map_err(|source| EnrolmentFault::Certificate { address: self.address(), source })?;
        Ok(pair)
    }

    fn address(&self) -> String {
        self.host.with_port(self.port)
    }

    /// Posts what `body` makes of the server's certificate, and gives the answer, at most `most` bytes, with the hash of that certificate.
    fn post(
        &self,
        path: &str,
        body: impl FnOnce(&ServerHash) -> Vec<u8>,
        most: usize,
    ) -> Result<(Vec<u8>, ServerHash), EnrolmentFault> {
        let address = self.address();
        let unreachable = |source| EnrolmentFault::Unreachable { address: address.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let asked = runtime.block_on(async {
            tokio::time::timeout(WITHIN, self.exchange(&address, path, body, most))
                .await
                .unwrap_or_else(|_| Err(EnrolmentFault::Slow { address: address.clone() }))
        });
        // A resolver that hangs holds nobody up.
        runtime.shutdown_background();
        asked
    }

    async fn exchange(
        &self,
        address: &str,
        path: &str,
        body: impl FnOnce(&ServerHash) -> Vec<u8>,
        most: usize,
    ) -> Result<(Vec<u8>, ServerHash), EnrolmentFault> {
        let (stream, server) = self.connect(address).await?;
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| EnrolmentFault::Broken {
            address: address.into(),
            source,
        };
        let request = HttpRequest::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, address)
            .body(Body::from(body(&server)))
            .map_err(|error| broken(error.into()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
        let conversation = async {
            let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
            let status = response.status();
            let limit = if status == StatusCode::OK { most } else { LONGEST_REASON };
            let body = to_bytes(Body::new(response.into_body()), limit).await.map_err(|error| broken(error.into()))?;
            Ok::<_, EnrolmentFault>((status, body))
        };
        // A connection may end as soon as the answer is here, and the answer tells of itself when it does not come.
        let driven = async {
            let _ended = connection.await;
            std::future::pending::<Infallible>().await
        };
        let (status, body) = tokio::select! {
            said = conversation => said?,
            never = driven => match never {},
        };
        if status != StatusCode::OK {
            let plain = |b: &&u8| b.is_ascii_graphic() || **b == b' ';
            let reason = body.iter().filter(plain).map(|b| char::from(*b)).collect();
            return Err(EnrolmentFault::Refused { address: address.into(), status: status.as_u16(), reason });
        }
        Ok((body.to_vec(), server))
    }

    async fn connect(&self, address: &str) -> Result<(SslStream<TcpStream>, ServerHash), EnrolmentFault> {
        let unreachable = |source| EnrolmentFault::Unreachable { address: address.into(), source };
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        connector.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        // Nobody is trusted for a certificate here; see above.
        connector.set_verify(SslVerifyMode::NONE);
        let ssl = connector.build().configure()?.verify_hostname(false).into_ssl(self.host.as_str())?;
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream)
            .connect()
            .await
            .map_err(|source| EnrolmentFault::Tls { address: address.into(), source })?;
        let shown = stream.ssl().peer_certificate();
        let shown = shown.ok_or_else(|| EnrolmentFault::NoCertificate { address: address.into() })?;
        let mut server = [0; 32];
        server.copy_from_slice(&shown.digest(MessageDigest::sha256())?);
        Ok((stream, server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port_over_tls() {
        let parsed = |url| Endpoint::parse(url).map(|end| end.host.with_port(end.port)).ok();
        assert_eq!(parsed("https://fleet.example.edu").as_deref(), Some("fleet.example.edu:443"));
        assert_eq!(parsed("https://fleet.example.edu:8443/").as_deref(), Some("fleet.example.edu:8443"));
        assert_eq!(parsed("https://[::1]:8443").as_deref(), Some("[::1]:8443"));
        for none in [
            "",
            "fleet.example.edu",
            "http://fleet.example.edu",
            "https://",
            "https://a:b@fleet.example.edu",
            "https://fleet.example.edu/path",
            "https://fleet.example.edu:99999",
        ] {
            assert!(Endpoint::parse(none).is_err(), "{none:?} was taken");
        }
    }
}

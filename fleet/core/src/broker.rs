//! Arguments that name a broker and a client's certificate for it, the same for the service and for every command.
//!
//! They read files and connect nowhere.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use examgate::{exit::Refusal, wire::host::Host};
use zeroize::Zeroizing;

/// Which broker, and by which certificates.
#[derive(Clone, Debug, Args)]
pub struct BrokerArguments {
    /// Address of the broker's TLS listener. HOST must be in the broker's certificate; put an IPv6 address in brackets.
    #[arg(long, value_name = "HOST:PORT")]
    broker: String,
    /// CA certificates that the broker's certificate is checked against (PEM). The file may hold several.
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// Client certificate (PEM). The broker's ACL has a block for its common name: `collector`, `keeper`, `bridge` or `manager`.
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Private key of the client certificate (PEM, PKCS#8).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// What the arguments name.
pub struct NamedBroker {
    /// Its host.
    pub host: Host,
    /// Its TCP port.
    pub port: u16,
    /// The file of CA certificates.
    pub authorities: Vec<u8>,
    /// The file of the client's certificate.
    pub certificate: Vec<u8>,
    /// The file of its private key.
    pub key: Zeroizing<Vec<u8>>,
}

impl BrokerArguments {
    /// Reads the files. What is in them is not judged.
    ///
    /// # Errors
    /// When the address is none, or a file cannot be read.
    pub fn read(&self) -> Result<NamedBroker> {
        let (host, port) = Host::parse_with_port(&self.broker)
            .with_context(|| Refusal::Usage(format!("--broker {:?} is not HOST:PORT", self.broker)))?;
        let read =
            |path: &PathBuf| fs::read(path).with_context(|| Refusal::Usage(format!("cannot read {}", path.display())));
        let (authorities, certificate) = (read(&self.ca)?, read(&self.cert)?);
        Ok(NamedBroker { host, port, authorities, certificate, key: Zeroizing::new(read(&self.key)?) })
    }
}

//! `examgate-fleet issue`: certificates and private keys for brokers and services. (Boxes make their own keys.)

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::bail;
use examgate::{domain::DeviceId, exit::Refusal};
use examgate_fleet_core::{
    folder::{Folder, write_public, write_secret},
    registry::RegistryError,
};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  examgate-fleet issue --folder /var/lib/examgate-fleet --name broker --host broker.example.edu --out /etc/mosquitto/certs/broker\n  examgate-fleet issue --folder /var/lib/examgate-fleet --name collector --out /etc/examgate/collector"
)]
pub(crate) struct Arguments {
    /// The fleet's folder.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Common name of the certificate. The broker uses it as the client's user name, which its ACL checks.
    #[arg(long)]
    name: DeviceName,
    /// Host name or IP address of the server (subject alternative name). May be repeated. Without it, a client certificate is issued.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Path of the two output files, without extension: PATH.pem (certificate) and PATH.key (private key).
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

/// A name with the letters that a broker's client may have.
#[derive(Clone, Debug)]
struct DeviceName(DeviceId);

impl std::str::FromStr for DeviceName {
    type Err = examgate::domain::NotAnIdentifier;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DeviceId::new(text).map(Self)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = Folder::new(&arguments.folder);
    let name = &arguments.name.0;
    match folder.open_registry()?.device(name) {
        Err(RegistryError::NoDevice { .. }) => {}
        Ok(_) => bail!(Refusal::Usage(format!("{name} is a box: its key is made on the box, by `examgate provision`"))),
        Err(error) => return Err(error.into()),
    }
    let (issued, key) = folder.read_issuer()?.issue_with_key(name.as_str(), &arguments.host, crate::now())?;
    let (certificate, secret) = (arguments.out.with_added_extension("pem"), arguments.out.with_added_extension("key"));
    write_secret(&secret, key.as_bytes())?;
    write_public(&certificate, issued.certificate.as_bytes())?;
    writeln!(
        io::stdout(),
        "{}\n{}\nuntil {}",
        certificate.display(),
        secret.display(),
        issued.not_after.strftime("%F")
    )?;
    Ok(())
}

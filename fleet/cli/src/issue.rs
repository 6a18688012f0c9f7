//! `examgate-fleet issue`: certificates for what is no box, with a key made here.

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
    /// The certificate's name. At a broker it is the client's user name, which the ACL goes by.
    #[arg(long)]
    name: DeviceName,
    /// A host name or address of the server; may be repeated. Without any the certificate is a client's.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Where to write: OUT.pem and OUT.key.
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

//! `examgate-fleet init`: creates the keys of a new fleet and prints where to keep them.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use examgate_fleet_core::{folder::Folder, founding::found};

use crate::trust::Passphrase;

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  examgate-fleet init --folder /var/lib/examgate-fleet --name \"Exams of Example University\"\n\nIt asks for the passphrase that encrypts the root key; use six random words. It never overwrites existing files."
)]
pub(crate) struct Arguments {
    /// The fleet's folder; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// The fleet's name, which goes into the issuer's certificate.
    #[arg(long, default_value = "Examgate fleet")]
    name: String,
    #[command(flatten)]
    passphrase: Passphrase,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = Folder::new(&arguments.folder);
    let passphrase = arguments.passphrase.read(true)?;
    let root = found(&folder, &arguments.name, &passphrase, crate::now())?;
    let mut out = io::stdout().lock();
    let shown = |path: PathBuf| path.display().to_string();
    let (registry, _) = folder.registry();
    writeln!(out, "root  {root}")?;
    for (path, what) in [
        (
            folder.root_secret(),
            "the root's secret key: move it to two media that lie in two safes, its passphrase elsewhere, and delete it here. It is needed \
             to change or revoke keys (`trust rotate`, `trust revoke`), and never by a service",
        ),
        (folder.issuer_key(), "the issuer's key: only `examgate-fleetd enrol`, `issue` and `device revoke` read it"),
        (
            folder.path().join("keys"),
            "roster, command and receipt keys, the collector's identity, the registry's key: back them up encrypted. Without \
             collector.age no event that waits can be read; what else is lost is rotated",
        ),
        (registry, "the registry of boxes: back it up with the keys"),
        (folder.trust(), "the trust document, which boxes get when they enrol: public"),
        (folder.authorities(), "what brokers and services trust (cafile): public"),
        (folder.revoked(), "the revoked certificates, for brokers (crlfile): public"),
        (folder.devices(), "the enrolled boxes, for `examgate-fleetd collect --devices`"),
    ] {
        writeln!(out, "{}\n    {what}", shown(path))?;
    }
    writeln!(
        out,
        "next:\n  examgate-fleet issue --folder {0} --name broker --host HOST --out broker\n  examgate-fleet issue --folder {0} --name collector --out collector\n  \
         examgate-fleetd enrol --folder {0} --listen 0.0.0.0:8443 --broker HOST\n  examgate-fleet device add --folder {0} --id door-1 --room ROOM",
        folder.path().display()
    )?;
    Ok(())
}

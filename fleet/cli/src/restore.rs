//! `examgate-fleet restore`: brings a backup back into an empty folder, and says what to do next.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use examgate::domain::Timestamp;
use examgate_fleet_core::backup::{self, LedgerKept, Restored};
use serde_json::json;

use crate::backup::{Opening, told};

/// Restores a backup of the fleet side into an empty folder.
///
/// It writes `fleet`, `stock`, `ledger` and `also` there: everything, or nothing if the backup is damaged, cut short, made by a newer version
/// or by somebody else. What happened since the backup is not in it: the command says what to do about that.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  examgate-fleet restore --from examgate-fleet-20261214T180000Z.age --to /srv/examgate-fleet --identity backup.key \\
    --root 6e7b486911129e81efe89bb32a8d4c96303baafc0815e56f5543dba5d78cb2a3
  examgate-fleet restore --from fleet.age --to restored --passphrase-file words")]
pub(crate) struct Arguments {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The folder to restore into: empty, or not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    opening: Opening,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let opener = arguments.opening.opener()?;
    let root = arguments.opening.root.as_ref();
    let restored = backup::restore(&arguments.from, &arguments.to, &opener, root, crate::now())?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let Restored { manifest, folder, stock, ledger, marked } = &restored;
        let marked: Vec<_> = marked
            .iter()
            .map(|one| json!({ "device": one.device, "epoch": one.epoch, "first_missing": one.events.0 }))
            .collect();
        let ledger = ledger.as_ref().map(|(file, key)| json!({ "file": file, "key": key }));
        let said = json!({
            "manifest": manifest, "folder": folder, "stock": stock, "ledger": ledger, "boxes_to_hear_from": marked,
        });
        writeln!(out, "{said}")?;
        return Ok(());
    }
    writeln!(out, "restored into {}", arguments.to.display())?;
    write!(out, "{}", told(&restored.manifest))?;
    if root.is_none() {
        writeln!(out, "compare the root with the paper of the founding ceremony before you go on")?;
    }
    writeln!(out, "next:")?;
    for (number, step) in (1..).zip(steps(&restored)) {
        writeln!(out, "  {number}. {step}")?;
    }
    Ok(())
}

/// What is to be done, in order.
fn steps(restored: &Restored) -> Vec<String> {
    let Restored { manifest, folder, stock, ledger, marked } = restored;
    let since: Timestamp = manifest.made_at;
    let mut steps = vec![String::from(
        "stop what still runs on the old machine, move the folders to where the services look for them, and `chown -R` them to the services' user",
    )];
    steps.push(format!(
        "`examgate-fleet device list --folder {}`: revoke again what was revoked since {since}, and give revoked.pem to the broker; boxes \
         that were enrolled since must be revoked and enrolled again",
        folder.display()
    ));
    if let Some(stock) = stock {
        steps.push(format!(
            "start `examgate-fleetd keep --stock {}`: for ten seconds it only listens, takes the newest list of lost cards from the broker, and \
             notes what boxes report; then push again what was pushed since {since}",
            stock.display()
        ));
        steps.push(format!("`examgate-fleet card list`: report again what was reported lost since {since}, unless the broker still had the list"));
    } else {
        steps.push("push the rosters again; report lost cards again: neither was in the backup".into());
    }
    match (ledger, &manifest.ledger) {
        (Some((file, key)), _) => steps.push(format!(
            "start `examgate-fleetd collect --ledger {}`: {} boxes send what is missing with their next event; `examgate-fleet incidents --ledger {} \
             --ledger-key {}` names those that have not yet",
            file.display(),
            marked.len(),
            file.display(),
            key.display()
        )),
        (None, LedgerKept::Postgres { server }) => {
            steps.push(format!(
                "bring the ledger back with `pg_restore` or `psql`, from what `pg_dump` saved of {server}; its key is in ledger/ledger.key. Before a \
                 collector starts: `examgate-fleet ledger restored --ledger-url-file FILE --ledger-key ledger/ledger.key`"
            ));
        }
        (None, LedgerKept::None | LedgerKept::File { .. }) => {
            steps.push("the ledger was not in the backup: with a new one, boxes send the events of their current epoch again".into());
        }
    }
    steps
}

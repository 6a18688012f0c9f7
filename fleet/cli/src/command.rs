//! `examgate-fleet command`: gives one box a command over the broker, waits for its signed answer and prints it.
//!
//! It speaks to the broker itself: the command that asks also waits for the answer.

mod line;
mod print;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use examgate::{
    domain::{Command, CommandId, DeviceId},
    exit::Refusal,
    store::read_secret,
    wire::{
        command::{Reply, Statement, VALID_AT_MOST},
        keys::SigningKey,
    },
};
use examgate_fleet_core::{broker::BrokerArguments, devices::Devices};
use jiff::SignedDuration;
use uuid::Uuid;

use self::line::{Asking, Heard};

/// How long a command counts at least, so that clocks that differ a little do not matter.
const VALID_AT_LEAST: Duration = Duration::from_secs(60);

/// Gives a box a command and prints its answer.
///
/// identify: light and screen show for 15 seconds which box this is.
/// doctor: the box looks at its parts, as far as that disturbs nothing.
/// drain: the box finishes the verification at hand and takes no more taps, also after a restart, until `resume`.
/// reload: the box starts again with the configuration, certificates and keys that are on its disk, unless it would refuse them.
/// rotate: the box makes a new key that rosters are sealed to; the one before is destroyed ten minutes later.
///
/// Each command is recorded in the box's events with the key that gave it.
/// Exit codes as of every command; 1 also where the box refused, failed or did not answer.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  examgate-fleet command identify door-silver-207 --broker broker.example.edu:8883 --ca authorities.pem --cert manager.pem \\
    --key manager.key --command-key fleet/keys/command.key --devices devices.toml
  examgate-fleet command drain door-silver-207 --wait 30s --broker broker.example.edu:8883 --ca authorities.pem \\
    --cert manager.pem --key manager.key --command-key fleet/keys/command.key --devices devices.toml
  examgate-fleet command doctor door-silver-207 --json --broker broker.example.edu:8883 --ca authorities.pem --cert manager.pem \\
    --key manager.key --command-key fleet/keys/command.key --devices devices.toml | jq .detail"
)]
pub(crate) struct Arguments {
    /// What the box is to do: identify, doctor, reload, drain, resume or rotate.
    #[arg(value_name = "COMMAND")]
    command: Command,
    /// The box.
    #[arg(value_name = "DEVICE", value_parser = |text: &str| DeviceId::new(text))]
    device: DeviceId,
    #[command(flatten)]
    broker: BrokerArguments,
    /// The seed of the key that signs commands: 32 bytes or 64 hexadecimal digits. What it may do is in the trust document, or in the box's `command_keys`.
    #[arg(long, value_name = "FILE")]
    command_key: PathBuf,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id` and `public_key`). Only the box itself can sign its answer.
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    /// How long to wait for the answer, such as 10s or 1m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = wait)]
    wait: Duration,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

fn wait(text: &str) -> Result<Duration, String> {
    let time: SignedDuration = text.parse().map_err(|error| format!("{error}: a time is written 10s or 1m"))?;
    let time = Duration::try_from(time).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=Duration::from_secs(300)).contains(&time) {
        Ok(time)
    } else {
        Err("from one second to five minutes".into())
    }
}

/// Gives the command.
///
/// # Errors
/// When it cannot be given, or the box refuses it, fails or does not answer.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { command, device, broker, command_key, devices, wait, json } = arguments;
    let refused = || Refusal::Usage("--command-key cannot be used".into());
    let key = SigningKey::from_seed(&*read_secret(command_key).with_context(refused)?);
    let devices = Devices::read(devices)?;
    let Some(answers) = devices.key(device) else {
        bail!(Refusal::Usage(format!(
            "{device} is not in the list of devices: nobody could tell its answer from another's"
        )));
    };
    let (id, issued) = (CommandId(Uuid::now_v7()), crate::now());
    let valid = (*wait + VALID_AT_LEAST).min(VALID_AT_MOST);
    let expires = issued.checked_add(valid).context("the clock of this machine is at the end of time")?;
    let statement = Statement { device: device.clone(), id, issued, expires, word: command.word().into() };
    let payload = statement.encode(&key)?;
    let line = line::line(broker)?;
    let asking = Asking { device, id, key: &answers, payload, valid, wait: *wait };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let heard = runtime.block_on(line.ask(&asking));
    // A resolver that hangs holds nobody up.
    runtime.shutdown_background();
    let heard = heard.context("the command was not given")?;
    let mut out = io::stdout().lock();
    if *json {
        writeln!(out, "{}", print::json(&statement, &heard))?;
    }
    match &heard {
        Heard::Answer(answer) => match &answer.reply {
            Reply::Done(_) if *json => {}
            Reply::Done(detail) => writeln!(out, "{}", print::done(*command, device, detail))?,
            Reply::Refused(why) => bail!("{device} refused {command} ({why}): {}", why.advice()),
            Reply::Failed(why) => bail!("{device} could not {command}: {why}"),
        },
        Heard::Nothing(silence) => bail!("{device} did not answer: {}", silence.why(*wait, &key.public())),
    }
    Ok(())
}

//! `examgate-fleet device`: registers, lists and revokes the boxes of a fleet, and allows them other signing keys.

mod live;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use clap::Subcommand;
use examgate::{
    domain::{DeviceId, RoomId, SiteId, Timestamp},
    exit::Refusal,
    store::Key,
    wire::enrolment::Code,
};
use examgate_fleet_core::{
    folder::Folder,
    registry::{Certificate, Device, FormerKey, Registry, RegistryError, State},
};
use serde_json::{Value, json};

use self::live::{Noted, Notes};
use crate::table::{aligned, row};

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So long before its end a certificate is remarked upon.
const RENEW: Duration = DAY.saturating_mul(30);

/// How long a box may go over to another signing key.
const ALLOWED: Duration = DAY.saturating_mul(7);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Registers a new box and prints its one-time enrolment code. Run again for the same box, it prints a new code and voids the old one.
    #[command(
        after_help = "Example:\n  examgate-fleet device add --folder /var/lib/examgate-fleet --id door-1 --room SILVER-207\n\nType the code on the box: examgate provision --url https://HOST:8443 --code CODE ...\nUntil the code is used, anyone who has it can enrol as this box: keep it secret."
    )]
    Add {
        #[command(flatten)]
        place: Place,
        /// The box's id: letters, digits, '-', '_' and '.'
        #[arg(long, value_name = "ID", value_parser = |text: &str| DeviceId::new(text))]
        id: DeviceId,
        /// The room whose door the box is at.
        #[arg(long, value_name = "ROOM", value_parser = |text: &str| RoomId::new(text))]
        room: RoomId,
        /// The site of that room, by which metrics are grouped.
        #[arg(long, value_name = "SITE", value_parser = |text: &str| SiteId::new(text))]
        site: Option<SiteId>,
        /// Days until the code expires.
        #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
        days: u32,
    },
    /// Lists the boxes with their state and certificate expiry; with --stock also which are there, and what they run and hold.
    #[command(
        after_help = "Examples:\n  examgate-fleet device list --folder /var/lib/examgate-fleet --stock stock\n  examgate-fleet device list --folder /var/lib/examgate-fleet --json | jq '.[] | select(.state == \"added\")'\n\n`examgate-fleetd keep` notes in the stock what it hears. `online`, `stopped` (shut down in order) and `lost` are what the broker says."
    )]
    List {
        #[command(flatten)]
        place: Place,
        /// The stock folder of `examgate-fleetd keep`.
        #[arg(long, value_name = "DIR")]
        stock: Option<PathBuf>,
        /// Prints one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Shows one box and its certificates.
    #[command(after_help = "Example:\n  examgate-fleet device show --folder /var/lib/examgate-fleet door-1")]
    Show {
        #[command(flatten)]
        place: Place,
        /// The box's id.
        #[arg(value_parser = |text: &str| DeviceId::new(text))]
        id: DeviceId,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Names the site of a box's room, by which metrics are grouped; without SITE it belongs to none.
    #[command(
        after_help = "Example:\n  examgate-fleet device site --folder /var/lib/examgate-fleet door-1 washington-square"
    )]
    Site {
        #[command(flatten)]
        place: Place,
        /// The box's id.
        #[arg(value_parser = |text: &str| DeviceId::new(text))]
        id: DeviceId,
        /// The site: letters, digits, '-', '_' and '.'
        #[arg(value_name = "SITE", value_parser = |text: &str| SiteId::new(text))]
        site: Option<SiteId>,
    },
    /// Allows a box another signing key, once, within seven days. The command `rotate` lets the box do it.
    #[command(
        after_help = "Example:\n  examgate-fleet device rotate --folder /var/lib/examgate-fleet door-1\n\nThen `examgate-fleet command rotate door-1 ...`: the box makes new keys, hands over to them and starts again. Not during an exam: it takes no taps for some seconds."
    )]
    Rotate {
        #[command(flatten)]
        place: Place,
        /// The box's id.
        #[arg(value_parser = |text: &str| DeviceId::new(text))]
        id: DeviceId,
    },
    /// Revokes a box: its code and certificates become invalid, and the broker closes its connection once it reads the new revoked.pem.
    #[command(
        after_help = "Example, for a stolen box:\n  examgate-fleet device revoke --folder /var/lib/examgate-fleet door-1\n\nWith examgate-revoked.path on the broker's machine that is all: it restarts the broker when revoked.pem changes, which closes every connection; only the revoked box cannot come back. Without it, copy revoked.pem to the broker (crlfile) and restart it. Collector and keeper read devices.toml by themselves."
    )]
    Revoke {
        #[command(flatten)]
        place: Place,
        /// The box's id.
        #[arg(value_parser = |text: &str| DeviceId::new(text))]
        id: DeviceId,
    },
}

#[derive(clap::Args)]
pub(crate) struct Place {
    /// The fleet's folder.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

impl Place {
    fn open(&self) -> anyhow::Result<(Folder, Registry)> {
        let folder = Folder::new(&self.folder);
        let registry = folder.open_registry().with_context(|| {
            Refusal::Usage(format!(
                "{} is no folder of a fleet: `examgate-fleet init` makes one",
                self.folder.display()
            ))
        })?;
        Ok((folder, registry))
    }
}

/// A box that is not there, or that is, is the fault of who typed.
fn typed(error: RegistryError) -> anyhow::Error {
    match error {
        RegistryError::NoDevice { .. } | RegistryError::NotEnrolled { .. } | RegistryError::Enrolled { .. } => {
            Refusal::Usage(error.to_string()).into()
        }
        RegistryError::Database(_) => error.into(),
    }
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let (mut out, now) = (io::stdout().lock(), crate::now());
    match command {
        Command::Add { place, id, room, site, days } => {
            let (_, mut registry) = place.open()?;
            let mut random = [0; 20];
            random.copy_from_slice(&Key::generate()?.expose()[..20]);
            let code = Code::from_random(&random);
            let expires = now + DAY * *days;
            registry.add(id, room, &code.kept(), expires, now).map_err(typed)?;
            if site.is_some() {
                registry.set_site(id, site.as_ref()).map_err(typed)?;
            }
            writeln!(out, "{}", *code.to_text())?;
            writeln!(
                io::stderr(),
                "the code of {id} can be used once, until {}; it is not kept and cannot be shown again",
                expires.strftime("%F %H:%M UTC")
            )?;
        }
        Command::List { place, stock, json } => {
            let (folder, registry) = place.open()?;
            // A folder without a document that can be read is told by `trust show`.
            let newest = folder.read_trust().ok().map(|(_, document, _)| document.version);
            let notes = stock.as_deref().map(|stock| Notes::open(stock, newest)).transpose()?;
            list(&mut out, &registry.devices()?, notes.as_ref(), *json, now)?;
            if folder.list_is_old(&registry, now)? {
                writeln!(
                    io::stderr(),
                    "revoked.pem is older than 45 days, and brokers refuse everybody after 90: does `examgate-fleetd enrol` run? It makes a new one"
                )?;
            }
        }
        Command::Show { place, id, json } => {
            let registry = place.open()?.1;
            let (device, certificates) = registry.device(id).map_err(typed)?;
            let former = registry.former_keys(id)?;
            let mut said = as_json(&device);
            said["former_keys"] = former.iter().map(former_as_json).collect();
            said["certificates"] = certificates.iter().map(certificate_as_json).collect();
            if *json {
                writeln!(out, "{said}")?;
                return Ok(());
            }
            writeln!(out, "{}", as_line(&device, now))?;
            if let Some(key) = device.signing_key {
                writeln!(out, "signing key  {key}")?;
            }
            for FormerKey { key, ended, .. } in &former {
                writeln!(out, "former key   {key}  ended {}", ended.strftime("%F"))?;
            }
            for one in &certificates {
                let state = one.revoked_at.map_or_else(
                    || format!("until {}", one.not_after.strftime("%F")),
                    |at| format!("revoked {}", at.strftime("%F")),
                );
                writeln!(out, "certificate  {}  {state}", hex::encode(&one.serial))?;
            }
        }
        Command::Site { place, id, site } => {
            let (folder, mut registry) = place.open()?;
            registry.set_site(id, site.as_ref()).map_err(typed)?;
            folder.write_devices(&registry)?;
        }
        Command::Rotate { place, id } => {
            let (_, mut registry) = place.open()?;
            let until = now + ALLOWED;
            registry.allow_hand_over(id, until).map_err(typed)?;
            writeln!(
                out,
                "{id} may go over to another signing key once, until {}: give it the command `rotate` (`examgate-fleet command rotate`)",
                until.strftime("%F %H:%M UTC")
            )?;
        }
        Command::Revoke { place, id } => {
            let (folder, mut registry) = place.open()?;
            registry.revoke(id, now).map_err(typed)?;
            folder.write_list(&mut registry, now)?;
            folder.write_devices(&registry)?;
            writeln!(
                out,
                "{id} is revoked. The broker shuts it out once it was restarted with the new {} (crlfile): examgate-revoked.path does that within seconds",
                folder.revoked().display()
            )?;
        }
    }
    Ok(())
}

fn list(
    out: &mut impl Write,
    devices: &[Device],
    notes: Option<&Notes>,
    json: bool,
    now: Timestamp,
) -> anyhow::Result<()> {
    let noted = |device: &Device| notes.map(|notes| notes.of(device)).transpose();
    if json {
        let mut all = Vec::new();
        for device in devices {
            let mut said = as_json(device);
            if let Some(noted) = noted(device)? {
                said["noted"] = noted.as_json();
            }
            all.push(said);
        }
        writeln!(out, "{}", Value::Array(all))?;
    } else {
        let mut rows = vec![row(["box", "room", "state"])];
        if notes.is_some() {
            rows[0].extend(live::HEADS.map(str::to_owned));
        }
        for device in devices {
            let mut cells = row([device.id.as_str(), device.room.as_str(), device.state.name()]);
            cells.extend(noted(device)?.iter().flat_map(Noted::cells));
            cells.push(remark(device, now));
            rows.push(cells);
        }
        write!(out, "{}", aligned(&rows))?;
    }
    if let Some(doubt) = notes.map(|notes| notes.doubt(now)).transpose()?.flatten() {
        writeln!(io::stderr(), "{doubt}")?;
    }
    Ok(())
}

/// What is to be known of its code or its certificate.
fn remark(device: &Device, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%F").to_string();
    match device.state {
        State::Added => match device.code_until {
            Some(until) if until > now => format!("code until {}", day(until)),
            Some(_) => "code expired: `device add` makes a new one".into(),
            None => "code used up: `device add` makes a new one".into(),
        },
        State::Enrolled => match device.certificate_until {
            Some(until) if until < now => format!(
                "certificate ended {}: the box renews it when it reaches the enrolment endpoint; `examgate doctor` on the box says why not",
                day(until)
            ),
            Some(until) if until < now + RENEW => format!(
                "certificate ends {} already: the box has not renewed it; `examgate doctor` on the box says why",
                day(until)
            ),
            Some(until) => format!("certificate until {}", day(until)),
            None => "no certificate".into(),
        },
        State::Revoked => String::new(),
    }
}

fn as_line(device: &Device, now: Timestamp) -> String {
    let line = format!("{}  {}  {}  {}", device.id, device.room.as_str(), device.state.name(), remark(device, now));
    line.trim_end().to_owned()
}

fn as_json(device: &Device) -> Value {
    json!({
        "id": device.id, "room": device.room, "site": device.site, "state": device.state.name(), "signing_key": device.signing_key,
        "certificate_until": device.certificate_until, "code_until": device.code_until, "prekeys": device.prekeys,
    })
}

fn former_as_json(one: &FormerKey) -> Value {
    json!({
        "public_key": one.key, "ended": one.ended,
        "epoch": one.place.map(|place| place.epoch), "last": one.place.map(|place| place.last),
    })
}

fn certificate_as_json(one: &Certificate) -> Value {
    json!({
        "serial": hex::encode(&one.serial), "fingerprint": hex::encode(&one.fingerprint), "not_after": one.not_after,
        "revoked_at": one.revoked_at,
    })
}

//! `roster push`: splits an imported roster by room, encrypts each part to the boxes of its room, and puts it into the stock, from which
//! the keeper sends it. And `roster withdraw`, which tells boxes to erase it.
//!
//! It talks to no broker. It never writes a manifest before all its chunks are there.

mod together;

use std::{
    collections::HashSet,
    io::{self, Write as _},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use examgate::{
    domain::{DeviceId, EmbeddingSpaceId, ExamId, RoomId, Timestamp},
    exit::Refusal,
    store::{Key, KeyName, Layout, RosterStore, read_secret},
    wire::{
        bundle::{self, Bundle},
        chunk,
        desired::Desired,
        digest::Digest,
        keys::{PublicKey, SigningKey},
        reported::{RefusalReason, Reported},
        seal::Recipient,
    },
};
use examgate_fleet_core::{
    devices::Devices,
    rosters::{Imported, seal, seal_difference, with, without},
    stock::{Edition, Stock},
};

use self::together::Together;
use crate::keys::KeyArgs;

/// How long after the doors close a box still holds a roster. By then every late student has been let in or turned away.
const USEFUL_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A box and the room whose door it guards.
#[derive(Clone, Debug)]
struct Posted {
    device: DeviceId,
    room: RoomId,
}

impl FromStr for Posted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (device, room) =
            text.split_once(':').ok_or_else(|| format!("{text:?} is not BOX:ROOM, such as door-7:SILVER-207"))?;
        let device = DeviceId::new(device).map_err(|error| error.to_string())?;
        Ok(Self { device, room: RoomId::new(room).map_err(|error| error.to_string())? })
    }
}

/// Where the stock is, and who signs and reports.
#[derive(clap::Args)]
pub(crate) struct Desk {
    /// The stock folder, from which `examgate-fleetd keep` sends rosters; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    stock: PathBuf,
    /// File of the roster key, which signs manifests: an Ed25519 seed, 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    roster_key: PathBuf,
    /// Public half of the roster key before (64 hexadecimal digits), after `examgate-fleet trust rotate roster`. May be repeated. What it signed
    /// in the stock is taken over, and signed with --roster-key.
    #[arg(long, value_name = "HEX")]
    former_public_key: Vec<PublicKey>,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id` and `public_key`).
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
}

/// Sends an exam's roster to the boxes of its rooms, encrypted to each box.
///
/// A box gets only the students, templates and proctors of its own room, and the names and public keys of the
/// other boxes of the exam, so that a student admitted in one room is known in the others. A box that is off gets
/// them when it is back online. Import the roster first. A version that was already pushed to a box is not sent again.
/// A box that holds the version before fetches only what has changed, where that is much less.
/// Name all boxes of the exam at once: a box that is added later is known to the others from their next version on.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  examgate-fleet roster push --exam MATH-UA-120-2026-12-14 --store state --keys keys --stock stock \\
    --roster-key roster.key --devices devices.toml --device door-7:SILVER-207 --device door-8:SILVER-208"
)]
pub(crate) struct Args {
    /// The exam.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: ExamId,
    /// The state folder with the exam's roster.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    desk: Desk,
    /// A box and its room. May be repeated. The box must have sent one report, which holds its encryption key (prekey).
    #[arg(long, value_name = "BOX:ROOM", required = true)]
    device: Vec<Posted>,
    /// Time at which the box erases the roster [default: one day after the doors close].
    #[arg(long, value_name = "TIME")]
    expires: Option<Timestamp>,
    /// Encrypts and sends this version again, for instance after a box was reinstalled.
    #[arg(long)]
    again: bool,
    /// Does not tell the boxes of each other, so that a student admitted in one room is not known in the others. For boxes whose software
    /// is older: they refuse a roster that names other boxes.
    #[arg(long)]
    apart: bool,
}

/// Tells boxes to erase an exam's roster and its key.
#[derive(clap::Args)]
#[command(after_help = "Example:
  examgate-fleet roster withdraw --exam MATH-UA-120-2026-12-14 --stock stock --roster-key roster.key \\
    --devices devices.toml --device door-7")]
pub(crate) struct WithdrawArgs {
    /// The exam.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: ExamId,
    #[command(flatten)]
    desk: Desk,
    /// A box. May be repeated.
    #[arg(long, value_name = "BOX", required = true, value_parser = |text: &str| DeviceId::new(text))]
    device: Vec<DeviceId>,
}

/// The stock, opened, and the key to sign with.
struct Signing {
    stock: Stock,
    key: SigningKey,
    former: Vec<PublicKey>,
    devices: Devices,
}

impl Signing {
    fn open(desk: &Desk) -> Result<Self> {
        let refused = || Refusal::Usage("--roster-key cannot be used".into());
        let key = SigningKey::from_seed(&*read_secret(&desk.roster_key).with_context(refused)?);
        let former = desk.former_public_key.clone();
        Ok(Self { stock: Stock::open(&desk.stock)?, key, former, devices: Devices::read(&desk.devices)? })
    }

    /// The manifest of a box as it is in the stock, and whether this key signed it, not one before.
    fn manifest(&self, device: &DeviceId) -> Result<Option<(Desired, bool)>> {
        let Some(bytes) = self.stock.manifest(device)? else { return Ok(None) };
        if let Ok(own) = Desired::decode(&bytes, device, &[self.key.public()]) {
            return Ok(Some((own, true)));
        }
        let refused = || {
            Refusal::Usage(format!(
                "the manifest of {device} in the stock was not made with this --roster-key: after a rotation name the key before with \
                 --former-public-key (`examgate-fleet trust show --json` has it), or else use the right key or --stock"
            ))
        };
        Desired::decode(&bytes, device, &self.former).map(|before| Some((before, false))).with_context(refused)
    }

    /// What the box last reported. After a restore it must have been heard: nobody knows else which serial it has seen.
    fn report(&self, device: &DeviceId) -> Result<Option<Reported>> {
        if self.stock.awaits(device) {
            bail!(Refusal::Usage(format!(
                "the stock was restored from a backup, and {device} was not heard since, so that it may hold something newer: let \
                 `examgate-fleetd keep` run until the box has reported, then try again"
            )));
        }
        report(&self.stock, device, &enrolled(&self.devices, device)?)
    }

    /// The edition that the box reports to hold, if it reads differences, and this one was sent to it before `next`.
    fn held(&self, reported: &Reported, next: &Edition, exam: &ExamId) -> Result<Option<Edition>> {
        if reported.reads.is_none_or(|version| version < bundle::WITH_FORMS) {
            return Ok(None);
        }
        let held = reported.held.iter().find(|held| held.exam == *exam).and_then(|held| held.whole);
        let mut sent = self.stock.editions(&reported.device, exam)?.into_iter();
        Ok(sent.find(|edition| Some(edition.whole) == held && edition.version < next.version))
    }

    /// Puts a manifest in force, and removes chunks that no exam of it needs.
    fn set(&self, desired: &Desired) -> Result<()> {
        let device = &desired.device;
        let bytes = desired.encode(&self.key).with_context(|| format!("the manifest of {device}"))?;
        self.stock.set_manifest(device, &bytes)?;
        let mut needed: HashSet<Digest> = HashSet::new();
        for wanted in &desired.exams {
            let shorter = wanted.difference.iter().map(|difference| (difference.index, difference.size));
            for (index, size) in shorter.chain([(wanted.index, wanted.size)]) {
                needed.insert(index);
                if let Some(listed) = self.stock.chunk(device, &index)? {
                    needed.extend(chunk::index(&listed, size).unwrap_or_default());
                }
            }
        }
        self.stock.retain_chunks(device, |digest| needed.contains(digest))?;
        self.stock.retain_editions(device, |exam| desired.exams.iter().any(|wanted| wanted.exam == *exam))
    }
}

/// The key of an enrolled box.
fn enrolled(devices: &Devices, device: &DeviceId) -> Result<PublicKey> {
    devices.key(device).with_context(|| Refusal::Usage(format!("{device} is not among --devices: enrol it first")))
}

/// What a box last reported; `None` when it never did.
pub(super) fn report(stock: &Stock, device: &DeviceId, key: &PublicKey) -> Result<Option<Reported>> {
    let Some(bytes) = stock.report(device)? else { return Ok(None) };
    Ok(Some(Reported::decode(&bytes, device, key).with_context(|| format!("the report of {device} in the stock"))?))
}

fn exam_key(args: &Args) -> Result<Key> {
    let missing = || Refusal::Usage(format!("the roster of {} cannot be opened: import it first", args.exam));
    args.keys.folder()?.read(KeyName::Exam(&args.exam)).with_context(missing)
}

fn opened(args: &Args) -> Result<RosterStore> {
    let missing = || Refusal::Usage(format!("the roster of {} cannot be opened: import it first", args.exam));
    RosterStore::open(&Layout::new(&args.store).exam(&args.exam), &exam_key(args)?).with_context(missing)
}

/// Reads the imported roster.
fn imported(args: &Args) -> Result<Imported> {
    let missing = || Refusal::Usage(format!("the roster of {} cannot be opened: import it first", args.exam));
    let store = opened(args)?;
    let exam = store.exam()?.with_context(missing)?;
    let Some(pepper) = store.pepper()? else {
        bail!(Refusal::Usage(format!(
            "the roster of {} is of an older version of this program: import it again",
            args.exam
        )))
    };
    let mut entries = Vec::new();
    for entry in store.entries()? {
        let templates = store.templates(&entry.student.id)?;
        entries.push((entry, templates));
    }
    let mut proctors = Vec::new();
    for proctor in store.proctors()? {
        if let Some((proctor, pin)) = store.proctor(&proctor.id)? {
            proctors.push((proctor, pin.to_text()));
        }
    }
    Ok(Imported { exam, entries, proctors, pepper })
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (signing, now) = (Signing::open(&args.desk)?, crate::now());
    let (imported, exam_key) = (imported(args)?, exam_key(args)?);
    let expires = match args.expires {
        Some(expires) => expires,
        None => imported.exam.window.closes + USEFUL_AFTER,
    };
    if expires <= now {
        bail!(Refusal::Usage(format!(
            "{expires} is past, so no box would take the roster: give a later --expires, or import it with the right times"
        )));
    }
    let mut out = io::stdout().lock();
    let together = if args.apart { None } else { Some(Together::gather(args, &signing, &imported)?) };
    let mut served = Vec::new();
    for Posted { device, room } in &args.device {
        let (before, is_own) = signing.manifest(device)?.unzip();
        let same = before.as_ref().filter(|_| is_own == Some(true)).and_then(|before| {
            before.exams.iter().find(|wanted| wanted.exam == args.exam && wanted.version == imported.exam.version)
        });
        let reported = signing.report(device)?;
        // Sealed to a key that the box has destroyed since: it cannot be opened by anybody, so it is sealed anew.
        let is_stale = reported.as_ref().and_then(|reported| reported.refused.as_ref()).is_some_and(|refused| {
            let which = (refused.exam.as_ref(), refused.version, refused.reason);
            which == (Some(&args.exam), Some(imported.exam.version), RefusalReason::OtherPrekey)
        });
        if same.is_some() && !args.again && !is_stale {
            writeln!(out, "{device}: version {} was pushed before; --again seals it anew", imported.exam.version.0)?;
            continue;
        }
        let Some(reported) = reported else {
            bail!(Refusal::Usage(format!(
                "{device} has not reported yet, so nobody knows whom to seal to: start it with [fleet] in its configuration while \
                 `examgate-fleetd keep` runs, then push again"
            )));
        };
        let recipient: Recipient = reported
            .recipient
            .parse()
            .with_context(|| format!("{device} reports no recipient that bundles can be sealed to"))?;
        let mut peers = together.as_ref().and_then(|together| together.peers_of(device));
        // A box that does not say what it reads may refuse every bundle that names others.
        if reported.reads.is_none() && peers.take().is_some() {
            writeln!(
                out,
                "{device}: its software may be too old to hear from the other rooms of the exam: update it and push again with --again"
            )?;
        }
        let bundle = Bundle { peers, ..imported.bundle_for(room, &reported.space, reported.reads)? };
        warn_of_templates(&mut out, device, &imported, room, &reported.space)?;
        let (mut wanted, cut) = seal(&bundle, &recipient, expires)?;
        signing.stock.add_chunks(device, &cut.chunks)?;
        let next = Edition::of(&bundle, wanted.whole, &exam_key)?;
        let held = signing.held(&reported, &next, &args.exam)?;
        let difference = held.as_ref().map(|held| seal_difference((held, &next), &bundle, wanted.size, &recipient));
        let mut by_difference = String::new();
        if let Some((difference, cut)) = difference.transpose()?.flatten() {
            signing.stock.add_chunks(device, &cut.chunks)?;
            by_difference = format!(", or {} chunks from version {}", cut.chunks.len(), difference.base.0);
            wanted.difference = Some(difference);
        }
        signing.stock.set_editions(device, &args.exam, &held.into_iter().chain([next]).collect::<Vec<_>>())?;
        let desired = with(before.as_ref(), device, reported.serial, wanted, now);
        signing.set(&desired)?;
        writeln!(
            out,
            "{device}: {} version {} for {room}, {} students, {} chunks{by_difference}, manifest {}",
            args.exam,
            imported.exam.version.0,
            bundle.entries.len(),
            cut.chunks.len(),
            desired.serial
        )?;
        served.push(device);
    }
    together.map_or(Ok(()), |together| together.settle(&mut out, &served))
}

/// Says how many students of the room the box cannot compare with anything, for want of a template of its space.
fn warn_of_templates(
    out: &mut impl io::Write,
    device: &DeviceId,
    imported: &Imported,
    room: &RoomId,
    space: &EmbeddingSpaceId,
) -> Result<()> {
    let without = imported.entries.iter().filter(|(entry, templates)| {
        entry.room == *room && !templates.is_empty() && templates.iter().all(|template| template.space != *space)
    });
    match without.count() {
        0 => {}
        count => writeln!(
            out,
            "{device}: {count} students of {room} have templates of another space than the box's ({space}) and will be referred: import \
             again with the box's models"
        )?,
    }
    Ok(())
}

pub(crate) fn withdraw(args: &WithdrawArgs) -> Result<()> {
    let (signing, now) = (Signing::open(&args.desk)?, crate::now());
    let mut out = io::stdout().lock();
    for device in &args.device {
        let floor = signing.report(device)?.map_or(0, |reported| reported.serial);
        let before = signing.manifest(device)?.map(|(before, _)| before);
        let desired = without(before.as_ref(), device, floor, &args.exam, now);
        signing.set(&desired)?;
        writeln!(out, "{device}: is to erase {}, manifest {}", args.exam, desired.serial)?;
    }
    Ok(())
}

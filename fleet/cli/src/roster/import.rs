//! `roster import`: CSV and photos in, one exam's encrypted roster out, with a report on every photo.
//!
//! It never keeps a card's number or a photo's pixels, and never writes anything if the CSV is bad. Templates are kept as they are made, so that
//! an import that was interrupted goes on where it was, and one of the same photos makes none again.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use examgate::{
    domain::{Exam, ExamId, ExamWindow, Timestamp},
    exit::Refusal,
    store::Replaced,
};
use examgate_enrol::{
    models::{self, ModelArgs},
    photos::Photos,
    table::{Problem, Problems, grouped},
};

use super::{
    cards::{CardForms, FormDoubt},
    enrolling::Nets,
    judge::{judge, roster},
    oneroster::{self, OneRoster, Pseudonyms, Taken},
    pepper::PepperFile,
    photos, rows,
    shelf::Shelf,
};
use crate::keys::{self, KeyArgs};

/// Imports students, from a CSV or a OneRoster export, and ID photos into an exam's encrypted roster.
///
/// The CSV has a header naming these columns in any order:
///
///   student_id     letters, digits, '-', '_' and '.'; once in the file
///   given_name     the given name in the campus's books
///   card           the card's number, in the format given by --card-form; once in the file
///   room           the exam room: letters, digits, '-', '_' and '.'
///   photos         file names inside DIR, separated by ';', '|', ',' or line breaks; if empty,
///                  every <student_id>*.jpg or .png in DIR and its sub-folders where no letter or
///                  digit comes next: N12.jpg and N12-2.jpg belong to N12, N123.jpg does not;
///                  other formats (HEIC, WebP, GIF ...) must be converted; the report lists them
///   card_standing  optional: empty, active or valid for a good card; for a card that must be
///                  refused: revoked, inactive, invalid, lost, stolen, blocked, disabled, deactivated, suspended,
///                  expired, cancelled, replaced or terminated
///   preferred_name optional: the name that the student goes by; the screen greets with it, and the console
///                  shows both
///   card_2 ... card_8   optional: further cards of the student, such as a replacement or the number printed
///                  on the card; each opens the same place. card_2_standing and so on say of each
///                  what card_standing says of the first
///   pacs           optional, and in place of card where cards are read by it: the number that the access
///                  control system has, form, facility code and card number as in h10301:31-337, or
///                  what of it --pacs-form and --facility do not say; `examgate card` shows it.
///                  pacs_standing says of it what card_standing says of the first
///   desfire, piv   optional, and in place of card where cards prove themselves: the number that `examgate card`
///                  shows, as in desfire:0123ABCD or piv:8f6b...; with desfire_standing and piv_standing
///   seat           optional: the seat, up to 24 characters; the screen shows it after an admission
///   matching       optional: none for a student who opted out of face matching: their photos are not
///                  opened, no template is made, and the box refers them to the proctor; empty or face
///                  for everybody else
///   language       optional: language of the screen for this student, a tag such as en, es or
///                  zh-Hans; empty: the language of the box
///
/// The column names of Banner, PeopleSoft and Canvas are accepted too (ID, EMPLID, SIS User ID,
/// First Name, Student Name as "Last, First" ...). The separator may be a comma, semicolon, tab or
/// '|'. The encoding is UTF-8, or UTF-16 with a byte order mark (Excel's "Unicode Text"). File
/// names of photos are compared without case and without extension.
///
/// Of a OneRoster export (--oneroster) the students of --class or --course are imported: enrolments with
/// the role student that are not marked tobedeleted or inactive. What is left out is counted. The
/// student number is the column `identifier` of users.csv, or the one that --student-id names.
/// OneRoster has no cards: they come from --cards, where each line of a student is one card, or from
/// --card-column. A student without a card is still on the roster, and the report says so. The screen
/// greets with preferredGivenName, or else givenName.
///
/// If a table has errors, all of them are listed with their file and line numbers, and nothing is written.
/// A photo that cannot be used is reported with the reason and how to fix it. A student without a
/// usable photo is still on the roster, and the box refers them to the proctor.
///
/// Templates are kept, encrypted with the exam's key, by the digest of their photo: a photo that an earlier import or another exam had is
/// not looked at again, and an import that was interrupted goes on where it was. The photos are not kept.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  examgate-fleet roster import --csv math.csv --photos id-photos --exam MATH-UA-120-2026-12-14 \\
    --title 'Linear Algebra, final' \\
    --opens 2026-12-14T08:30:00-05:00 --closes 2026-12-14T09:15:00-05:00 \\
    --store state --keys keys --report import.json
  examgate-fleet roster import --oneroster export.zip --class MATH-UA-120-001 --cards cards.csv --room SILVER-207 \\
    --photos id-photos.zip --exam MATH-UA-120-2026-12-14 --title 'Linear Algebra, final' \\
    --opens 2026-12-14T08:30:00-05:00 --closes 2026-12-14T09:15:00-05:00 --store state --keys keys

The exam's key is created in --keys if it does not exist. The boxes must have the same pepper, which turns card numbers into pseudonyms.
On a box whose root key is a systemd credential: examgate-with-keys examgate-fleet roster import ...
If root runs the command, the new files belong to the owner of --store and --keys."
)]
pub(crate) struct Args {
    /// The CSV file of students.
    #[arg(long, value_name = "FILE", required_unless_present = "oneroster")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    oneroster: OneRoster,
    /// ID photos, JPEG or PNG: a folder, or a ZIP archive of one. An archive is not unpacked to disk.
    #[arg(long, value_name = "DIR|ZIP")]
    photos: PathBuf,
    /// The exam's name: letters, digits, '-', '_' and '.'
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: ExamId,
    /// The exam's title on the screen.
    #[arg(long)]
    title: String,
    /// Time when the doors open (RFC 3339 with UTC offset).
    #[arg(long, value_name = "TIME", value_parser = time)]
    opens: Timestamp,
    /// Time when the doors close (RFC 3339 with UTC offset).
    #[arg(long, value_name = "TIME", value_parser = time)]
    closes: Timestamp,
    /// The state folder to write the roster's database to.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// File of the fleet's pepper: 32 bytes, mode 0600 [default: pepper.key from the credentials or
    /// from --keys; created there if it does not exist].
    #[arg(long, value_name = "FILE")]
    pepper: Option<PathBuf>,
    #[command(flatten)]
    forms: CardForms,
    /// The roster's version [default: the version in the store plus one].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    version: Option<u64>,
    /// Writes the full report to this file as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Number of photos processed at once [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    models: ModelArgs,
    /// Folder of further models, whose templates are made beside those of --models: for a change of nets, when some boxes have the new
    /// ones and some do not yet. May be repeated.
    #[arg(long, value_name = "DIR")]
    also_models: Vec<PathBuf>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|e| format!("{e}; wanted is RFC 3339 with an offset, for instance 2026-12-14T08:30:00-05:00"))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let window = ExamWindow { opens: args.opens, closes: args.closes };
    if window.opens >= window.closes {
        bail!(Refusal::Usage(format!("doors close ({}) before they open ({})", args.closes, args.opens)));
    }
    let pepper = PepperFile::find(&args.keys, args.pepper.as_deref())?;
    let source = args.csv.as_ref().or(args.oneroster.oneroster.as_ref());
    let source = source.context(Refusal::Usage("say --csv or --oneroster".into()))?;
    let refused = || Refusal::Data(format!("{} cannot be used, nothing was written", source.display()));
    let bytes = [args.csv.as_ref(), args.oneroster.cards.as_ref()].into_iter().flatten().next().map(|path| table(path));
    let bytes = bytes.transpose()?;
    let mut shelf = Shelf::find(&args.keys, &args.store, &args.exam)?;
    let (proctors, form) = (shelf.proctors()?, FormDoubt::new(args.forms.card_form));
    let card = |text: &str| {
        form.saw(text);
        let card = args.forms.pseudonym(&pepper.pepper(), text)?;
        match proctors.get(&card) {
            None => Ok(card),
            Some(proctor) => Err(format!(
                "this is the card of proctor {} of this exam: give one of them another card, or take the proctor away with \
                 `examgate-fleet proctor remove`",
                proctor.as_str()
            )),
        }
    };
    let read = match (&args.oneroster.oneroster, &bytes) {
        (None, Some(bytes)) => Ok(Taken { rows: rows::read(bytes, card).with_context(refused)?, ..Taken::default() }),
        (None, None) => bail!(Refusal::Usage("say --csv or --oneroster".into())),
        (Some(path), bytes) => {
            let none = |student: &_| pepper.pepper().no_card(student);
            oneroster::read(&args.oneroster, path, bytes.as_deref(), &Pseudonyms { card: &card, none: &none })
        }
    };
    let Taken { rows: read, left_out, without_card } = read.map_err(|error| {
        let is_table = error.downcast_ref::<Problems>().is_some();
        if is_table { error.context(refused()) } else { error }
    })?;
    let store = Photos::open(&args.photos);
    let listed = store.and_then(|photos| photos.list().map(|folder| (photos, folder)));
    let (photos_at, folder) =
        listed.with_context(|| Refusal::Usage(format!("cannot list the photos in {}", args.photos.display())))?;
    let rows = read.rows;
    let mut claims = photos::claim(&rows, &folder);
    let mut problems: Vec<Problem> = read.problems.into_iter().chain(claims.problems.drain(..)).collect();
    if !problems.is_empty() {
        problems.sort_by(|a, b| (&a.sheet, a.line).cmp(&(&b.sheet, b.line)));
        return Err(Problems(problems)).with_context(refused);
    }
    let remarks: Vec<Problem> = form.remark().into_iter().chain(read.remarks).chain(claims.remarks.drain(..)).collect();
    let version = shelf.next_version(args.version)?;

    let also: Vec<_> = args.also_models.iter().map(ModelArgs::at).collect();
    let nets = Nets::load(&args.models, &also)?;
    let threads = args.threads.map_or_else(models::default_threads, usize::from);
    keys::settle_owner(&args.store, &args.keys.keys)?;
    shelf.provision()?;
    let mut kept = shelf.enrolments()?;
    let mut made = kept.make(&nets, threads, &photos_at, &claims.claimed)?;
    let embedder = &nets.first.manifest().embedder;
    let mut report = judge(&rows, &claims, &made.enrolled, embedder, threads);
    (report.embedded, report.reused) = (made.embedded, made.reused);
    report.other_nets = std::mem::take(&mut made.nets);
    report.remarks = grouped(&remarks);
    report.left_out = args.oneroster.oneroster.is_some().then_some(left_out);
    report.without_card = without_card;

    let exam = Exam { id: args.exam.clone(), title: args.title.clone(), window, version };
    let (enrolled, others) = (std::mem::take(&mut made.enrolled), std::mem::take(&mut made.others));
    let mut roster = roster(exam, rows, &claims, enrolled, others);
    report.look_alikes_kept = shelf.keep_look_alikes(&mut roster)?;
    pepper.keep()?;
    report.unchanged = shelf.replace(&roster, &pepper.pepper())? == Replaced::Unchanged;
    kept.settle(&made)?;
    (report.exam, report.version) = (args.exam.to_string(), version.0);
    if let Some(path) = &args.report {
        report.save(path).with_context(|| format!("the roster is written, but not the report {}", path.display()))?;
    }
    report.print(&mut io::stdout().lock()).context("the roster is written, but the report cannot be printed")
}

/// Largest table read, bytes: far above any exam's.
const LARGEST_TABLE: u64 = 64 * 1024 * 1024;

/// A table's bytes.
fn table(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_TABLE + 1).read_to_end(&mut bytes))
        .with_context(|| Refusal::Usage(format!("cannot read {shown}")))?;
    if bytes.len() as u64 > LARGEST_TABLE {
        bail!(Refusal::Data(format!("{shown} has more than {} MiB: no exam's table has", LARGEST_TABLE / 1024 / 1024)));
    }
    Ok(bytes)
}

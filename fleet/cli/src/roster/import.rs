//! `roster import`: CSV and photos in, one exam's encrypted roster out, with a report on every photo.
//!
//! It never keeps a card's number or a photo's pixels, and never writes anything if the CSV is bad.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use examgate::{
    domain::{
        CardPseudonym, Exam, ExamId, ExamWindow, Pepper, ProctorId, Roster, RosterEntry, RosterVersion, Template,
        Timestamp,
    },
    store::{
        EventStore, KeyError, KeyFolder, KeyName, Layout, Limits, Replaced, RosterError, RosterStore, Secret, Source,
    },
    vision::EmbedderSpec,
    wire::uid::UidForm,
};

use super::{
    cards::{FormDoubt, pseudonym},
    check::compare_all,
    pepper::PepperFile,
    photos::{self, Claim, Claims},
    report::{Pair, Photo, Place, Poor, Refused, Report, Turned, Without},
    rows::{self, Row},
};
use crate::keys::{self, KeyArgs};
use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{Enrolled, PhotoFault, enrol},
    folder::Folder,
    models::{self, ModelArgs},
    similarities::Faces,
    table::{Problem, Problems, grouped},
};

/// Imports a CSV of students and a folder of ID photos into an exam's encrypted roster.
///
/// The CSV has a header naming these columns in any order:
///
///   student_id     letters, digits, '-', '_' and '.'; once in the file
///   given_name     the first name shown on the screen
///   card           the card's number, in the format given by --card-form; once in the file
///   room           the exam room: letters, digits, '-', '_' and '.'
///   photos         file names inside DIR, separated by ';', '|', ',' or line breaks; if empty,
///                  every <student_id>*.jpg or .png in DIR and its sub-folders where no letter or
///                  digit comes next: N12.jpg and N12-2.jpg belong to N12, N123.jpg does not;
///                  other formats (HEIC, WebP, GIF ...) must be converted; the report lists them
///   card_standing  optional: empty, active or valid for a good card; for a card that must be
///                  refused: revoked, inactive, invalid, lost, stolen, blocked, disabled, deactivated, suspended,
///                  expired, cancelled, replaced or terminated
///   language       optional: language of the screen for this student, a tag such as en, es or
///                  zh-Hans; empty: the language of the box
///
/// The column names of Banner, PeopleSoft and Canvas are accepted too (ID, EMPLID, SIS User ID,
/// First Name, Student Name as "Last, First" ...). The separator may be a comma, semicolon, tab or
/// '|'. The encoding is UTF-8, or UTF-16 with a byte order mark (Excel's "Unicode Text"). File
/// names of photos are compared without case and without extension.
///
/// If the CSV has errors, all of them are listed with their line numbers, and nothing is written.
/// A photo that cannot be used is reported with the reason and how to fix it. A student without a
/// usable photo is still on the roster, and the box refers them to the proctor.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  examgate-fleet roster import --csv math.csv --photos id-photos --exam MATH-UA-120-2026-12-14 \\
    --title 'Linear Algebra, final' \\
    --opens 2026-12-14T08:30:00-05:00 --closes 2026-12-14T09:15:00-05:00 \\
    --store state --keys keys --report import.json

The exam's key is created in --keys if it does not exist. The boxes must have the same pepper, which turns card numbers into pseudonyms.
On a box whose root key is a systemd credential: examgate-with-keys examgate-fleet roster import ...
If root runs the command, the new files belong to the owner of --store and --keys."
)]
pub(crate) struct Args {
    /// The CSV file of students.
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// The folder of ID photos, JPEG or PNG.
    #[arg(long, value_name = "DIR")]
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
    /// Format of the card numbers in the CSV: hex, hex-reversed, decimal or decimal-reversed.
    #[arg(long, value_name = "FORM", default_value = "hex")]
    card_form: UidForm,
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
    let refused = || Refusal::Data(format!("{} cannot be used, nothing was written", args.csv.display()));
    let bytes = table(&args.csv)?;
    let mut shelf = Shelf::find(args)?;
    let (proctors, form) = (shelf.proctors()?, FormDoubt::new(args.card_form));
    let card = |text: &str| {
        form.saw(text);
        let card = pseudonym(&pepper.pepper(), args.card_form, text)?;
        match proctors.get(&card) {
            None => Ok(card),
            Some(proctor) => Err(format!(
                "this is the card of proctor {} of this exam: give one of them another card, or take the proctor away with \
                 `examgate-fleet proctor remove`",
                proctor.as_str()
            )),
        }
    };
    let read = rows::read(&bytes, card).with_context(refused)?;
    let folder = Folder::list(&args.photos)
        .with_context(|| Refusal::Usage(format!("cannot list the photos in {}", args.photos.display())))?;
    let rows = read.rows;
    let mut claims = photos::claim(&rows, &folder);
    let mut problems: Vec<Problem> = read.problems.into_iter().chain(claims.problems.drain(..)).collect();
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.line);
        return Err(Problems(problems)).with_context(refused);
    }
    let remarks: Vec<Problem> = form.remark().into_iter().chain(read.remarks).chain(claims.remarks.drain(..)).collect();
    let version = shelf.next_version(args.version)?;

    let models = args.models.load()?;
    let threads = args.threads.map_or_else(models::default_threads, usize::from);
    let enrolled = models::each(&models, threads, "photos", &claims.claimed, |pipeline, claim| {
        Ok(if claim.there { enrol(pipeline, &args.photos.join(&claim.photo)) } else { Err(PhotoFault::Missing) })
    })?;
    let embedder = &models.manifest().embedder;
    let mut report = judge(&rows, &claims, &enrolled, embedder, threads);
    report.remarks = grouped(&remarks);

    let exam = Exam { id: args.exam.clone(), title: args.title.clone(), window, version };
    let roster = roster(exam, rows, &claims, enrolled);
    keys::settle_owner(&args.store, &args.keys.keys)?;
    shelf.provision()?;
    pepper.keep()?;
    report.unchanged = shelf.replace(&roster, &pepper.pepper())? == Replaced::Unchanged;
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

/// What became of each photo, and which faces are suspiciously alike or unlike.
fn judge(
    rows: &[Row],
    claims: &Claims,
    enrolled: &[Result<Enrolled, PhotoFault>],
    embedder: &EmbedderSpec,
    threads: usize,
) -> Report {
    let place = |row: usize| Place { line: rows[row].line, student_id: rows[row].student.id.as_str().into() };
    let photo = |claim: &Claim| Photo { place: place(claim.row), photo: claim.photo.display().to_string() };
    let (mut with_template, mut photos) = (vec![false; rows.len()], vec![0; rows.len()]);
    let mut report = Report {
        model: embedder.net.name.clone(),
        space: embedder.space.to_string(),
        students: rows.len(),
        photos: claims.claimed.len(),
        unclaimed: claims.unclaimed.iter().map(|photo| photo.display().to_string()).collect(),
        ..Report::default()
    };
    for (claim, result) in claims.claimed.iter().zip(enrolled) {
        photos[claim.row] += 1;
        match result {
            Ok(enrolled) => {
                with_template[claim.row] = true;
                report.templates += 1;
                report.poor.extend(enrolled.defect.map(|defect| Poor { photo: photo(claim), defect }));
                report.turned.extend(enrolled.turned.map(|turn| Turned::new(photo(claim), turn)));
                report.look_at_eyes.extend(enrolled.look_at_eyes.then(|| photo(claim)));
            }
            Err(fault) => report.refused.push(Refused::new(photo(claim), fault)),
        }
    }
    report.students_with_template = with_template.iter().filter(|&&has| has).count();
    let without = |(row, _)| Without { place: place(row), photos: photos[row] };
    report.without_template = with_template.iter().enumerate().filter(|(_, has)| !**has).map(without).collect();

    let embeddings = enrolled.iter().map(|result| result.as_ref().ok().map(|enrolled| &enrolled.template.embedding));
    let thresholds = &embedder.thresholds;
    let (admit, refer) = (thresholds.admit.get(), thresholds.refer.get());
    let same_row = |a: usize, b: usize| claims.claimed[a].row == claims.claimed[b].row;
    let odd = |a: usize, b: usize, cosine: f32| if same_row(a, b) { cosine < refer } else { cosine >= admit };
    for (a, b, similarity) in compare_all(&Faces::new(embedder.dimension, embeddings), threads, odd) {
        let pair = Pair { first: photo(&claims.claimed[a]), second: photo(&claims.claimed[b]), similarity };
        if same_row(a, b) { report.unlike.push(pair) } else { report.look_alikes.push(pair) }
    }
    report.look_alikes.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    report.unlike.sort_by(|a, b| a.similarity.total_cmp(&b.similarity));
    report
}

fn roster(exam: Exam, rows: Vec<Row>, claims: &Claims, enrolled: Vec<Result<Enrolled, PhotoFault>>) -> Roster {
    let mut templates: Vec<Vec<Template>> = rows.iter().map(|_| Vec::new()).collect();
    for (claim, result) in claims.claimed.iter().zip(enrolled) {
        templates[claim.row].extend(result.ok().map(|enrolled| enrolled.template));
    }
    let entries = rows.into_iter().zip(templates).map(|(row, templates)| {
        let Row { student, card, standing, room, line: _, photos: _ } = row;
        (RosterEntry { student, card, standing, room }, templates)
    });
    Roster { exam, entries: entries.collect() }
}

/// Where the exam's roster stands, and the key that opens it.
struct Shelf {
    keys: KeyFolder,
    layout: Layout,
    exam: ExamId,
    held: Option<RosterStore>,
}

impl Shelf {
    /// Opens the roster if there is one; makes nothing.
    fn find(args: &Args) -> anyhow::Result<Self> {
        let (keys, layout) = (args.keys.folder()?, Layout::new(&args.store));
        Self::check_root(&keys, &layout)?;
        let (name, database) = (KeyName::Exam(&args.exam), layout.exam(&args.exam));
        let refused = || Refusal::Usage(format!("the roster {} cannot be opened", database.display()));
        let held = match (database.exists(), keys.holds(name)) {
            (false, false | true) => None,
            (true, false) => bail!(Refusal::Usage(format!(
                "the roster {} is there, but its key {} is not: bring the key, or remove the roster if it was erased",
                database.display(),
                keys.path(name).display(),
            ))),
            (true, true) => {
                let key = keys.read(name).with_context(refused)?;
                Some(RosterStore::open(&database, &key).with_context(refused)?)
            }
        };
        Ok(Self { keys, layout, exam: args.exam.clone(), held })
    }

    /// Who has which card, of those who watch over the exam.
    fn proctors(&self) -> anyhow::Result<HashMap<CardPseudonym, ProctorId>> {
        let held = self.held.as_ref().map(RosterStore::proctors).transpose()?.unwrap_or_default();
        Ok(held.into_iter().map(|proctor| (proctor.card, proctor.id)).collect())
    }

    /// That no second root key comes to lie beside keys of another: whatever would not fit is refused before any work is done.
    fn check_root(keys: &KeyFolder, layout: &Layout) -> anyhow::Result<()> {
        let refused = || Refusal::Usage("the keys cannot be used, nothing was written".into());
        if keys.lacks_root().with_context(refused)? {
            return keys::none_is_sealed(Secret::Root);
        }
        if keys.is_bound() || !keys.has_shares()? {
            return Ok(());
        }
        // A folder of before, which does not say whose its keys are: a database that opens does.
        let exams = layout.exams().unwrap_or_default();
        let rosters = exams.iter().filter_map(|exam| {
            let key = keys.read(KeyName::Exam(exam)).ok()?;
            Some(RosterStore::look(&layout.exam(exam), &key).is_ok())
        });
        let events = layout.events().exists().then(|| keys.read(KeyName::Events).ok()).flatten();
        let events = events.map(|key| EventStore::look(&layout.events(), &key, Limits::default()).is_ok());
        let opened: Vec<bool> = rosters.chain(events).collect();
        if opened.contains(&true) {
            keys.bind()?;
        } else if !opened.is_empty() {
            bail!(Refusal::Usage(format!(
                "nothing in {} opens with the root key at hand ({}), so its keys were made with another one: hand that one over \
                 (`examgate-with-keys COMMAND`, or --credentials DIR), or move state and keys aside",
                layout.root().display(),
                match keys.source(Secret::Root)? {
                    Some(Source::Credential) => "a credential".to_owned(),
                    Some(Source::Folder) | None => keys.folder().join(Secret::Root.name()).display().to_string(),
                },
            )));
        }
        Ok(())
    }

    /// Makes the key folder and, where there is none, the root key, and says so.
    fn provision(&self) -> anyhow::Result<()> {
        if self.keys.provision().map_err(usage)? {
            writeln!(
                io::stderr(),
                "examgate-fleet: made the root key {}: a plain file. Where the box's root key is a credential, its keys do not fit",
                self.keys.folder().join(Secret::Root.name()).display()
            )?;
        }
        Ok(())
    }

    /// The version to write.
    fn next_version(&self, asked: Option<u64>) -> anyhow::Result<RosterVersion> {
        let held = match &self.held {
            Some(store) => store.exam()?.map_or(0, |exam| exam.version.0),
            None => 0,
        };
        match asked {
            Some(asked) if asked < held => {
                bail!(Refusal::Usage(format!("--version {asked} is older than version {held} held: raise it")))
            }
            Some(asked) => Ok(RosterVersion(asked)),
            None => Ok(RosterVersion(held + 1)),
        }
    }

    /// Writes the roster, with the exam's key and the database made where they are not there yet.
    fn replace(&mut self, roster: &Roster, pepper: &Pepper) -> anyhow::Result<Replaced> {
        let database = self.layout.exam(&self.exam);
        let store = match &mut self.held {
            Some(store) => store,
            None => {
                let name = KeyName::Exam(&self.exam);
                let key = if self.keys.holds(name) { self.keys.read(name)? } else { self.keys.make(name)? };
                self.layout.make()?;
                self.held.insert(RosterStore::create(&database, &key)?)
            }
        };
        let replaced = store.replace(roster).map_err(|error| {
            let usage = matches!(error, RosterError::Stale { .. } | RosterError::Conflicting { .. });
            let error = anyhow::Error::new(error);
            let what = format!("the roster {} was not replaced", database.display());
            if usage { error.context(Refusal::Usage(what)) } else { error.context(what) }
        })?;
        // The same content means the same cards, so the pepper is the same too.
        store.set_pepper(&pepper.check())?;
        Ok(replaced)
    }
}

fn usage(error: KeyError) -> anyhow::Error {
    anyhow::Error::new(error).context(Refusal::Usage("the keys cannot be used".into()))
}

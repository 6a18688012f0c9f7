//! `roster erase`: erases an exam's roster permanently: first its key, then its files.
//!
//! It never opens the roster.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
};

use anyhow::{Context, bail};
use examgate::{
    domain::ExamId,
    store::{KeyName, Layout, Secret, Source},
};

use crate::keys::KeyArgs;
use examgate::exit::Refusal;

/// Erases an exam's roster with its templates, proctors and key.
///
/// The exam's wrapped key is overwritten and deleted first. From then on nobody can read the database,
/// nor copies of it in backups or flash memory, if the root key is not on the same disk. Then the
/// database is deleted. At the end the command lists what it cannot erase.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  examgate-fleet roster erase --exam MATH-UA-120-2026-12-14 --store /var/lib/examgate --keys /etc/examgate/keys"
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
    /// Does not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Erases even if a program has the roster open, for instance a running box.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (keys, layout, name) = (args.keys.folder()?, Layout::new(&args.store), KeyName::Exam(&args.exam));
    let (database, share) = (layout.exam(&args.exam), keys.path(name));
    if !database.exists() && !keys.holds(name) {
        bail!(Refusal::Usage(format!(
            "nothing of {} is here: there is neither {} nor {}",
            args.exam,
            database.display(),
            share.display()
        )));
    }
    let is_open = layout.is_open(&args.exam)?;
    if is_open && !args.force {
        bail!(Refusal::Usage(format!(
            "a program has the roster of {} open, such as a box that serves: nothing was erased. Stop the box (`systemctl stop examgate`), \
             or erase with --force",
            args.exam
        )));
    }
    if !args.yes {
        confirm(&args.exam)?;
    }
    // On a box: what its bundle was sealed to. The newest was never used.
    if let Some(newest) = keys.prekeys().context("the keys that rosters are sealed to cannot be read")?.first() {
        keys.erase_prekeys_below(newest.number).context("nothing else was erased")?;
    }
    let had_key = keys.erase(name).with_context(|| format!("{} was not erased", args.exam))?;
    layout
        .remove(&args.exam)
        .context("the key is erased, so nobody can read the roster any more; its files are left")?;

    let mut out = io::stdout().lock();
    let key = if had_key { "its key, then its files" } else { "its files; its key was erased before" };
    writeln!(out, "erased the roster of {}: {key}", args.exam)?;
    for left in left(&layout, keys.source(Secret::Root).unwrap_or(None), is_open) {
        writeln!(out, "left: {left}")?;
    }
    Ok(())
}

/// What erasing a roster does not reach.
fn left(layout: &Layout, root: Option<Source>, is_open: bool) -> Vec<String> {
    let mut left = Vec::new();
    if is_open {
        left.push("a program still has the roster open and in memory: restart the box".into());
    }
    if layout.events().exists() {
        left.push(format!(
            "{} names students who came, until it is removed at the end of the term (see the manual); so does the collector's ledger",
            layout.events().display()
        ));
    }
    if root == Some(Source::Folder) {
        left.push(
            "the root key is a plain file on this disk: if flash memory kept a copy of the erased share, an attacker who takes the disk apart could \
             read what it kept of the roster; seal the root key, or destroy the disk when it is retired"
                .into(),
        );
    }
    left.push(
        "the CSV, the photos and reports that the roster was imported from, and copies of the key folder elsewhere"
            .into(),
    );
    left
}

/// Has the exam's name typed.
fn confirm(exam: &ExamId) -> anyhow::Result<()> {
    if io::stdin().is_terminal() {
        write!(io::stderr(), "This cannot be undone. Type {exam} to erase its roster: ")?;
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("the answer cannot be read")?;
    if line.trim() != exam.as_str() {
        bail!(Refusal::Usage(format!("nothing was erased: {exam} was not typed (without a terminal: --yes)")));
    }
    Ok(())
}

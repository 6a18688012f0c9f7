//! What an import made, and what a person should look at: for the terminal and as JSON.
//!
//! It never holds a card, a name or an embedding; it does hold student numbers, so its file is its owner's alone.

use std::{
    fmt,
    fs::{OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use examgate::vision::Turn;
use serde::Serialize;

use examgate_enrol::faces::{PhotoDefect, PhotoFault, turn_code, turn_words};

/// Lines of one kind shown on the terminal; the JSON has all.
const SHOWN: usize = 20;

/// The whole report.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) exam: String,
    pub(crate) version: u64,
    /// Whether the very same edition was held already.
    pub(crate) unchanged: bool,
    /// The embedder's name and space.
    pub(crate) model: String,
    pub(crate) space: String,
    pub(crate) students: usize,
    pub(crate) students_with_template: usize,
    pub(crate) photos: usize,
    pub(crate) templates: usize,
    /// Photos that the nets looked at now, and those whose template was made before: by an earlier import, or for another exam.
    pub(crate) embedded: usize,
    pub(crate) reused: usize,
    /// What the nets of --also-models made.
    pub(crate) other_nets: Vec<OtherNet>,
    /// What of a OneRoster export does not count; `None` for a CSV.
    pub(crate) left_out: Option<LeftOut>,
    /// On the roster, but no tap opens the door to them.
    pub(crate) without_card: Vec<NoCard>,
    /// Opted out of face matching: the door refers them to the proctor, as they wish. They are not among those without a template.
    pub(crate) opted_out: Vec<Place>,
    /// Photos of those who opted out, which were not opened.
    pub(crate) photos_not_opened: Vec<String>,
    /// On the roster, but the door will refer them to the proctor.
    pub(crate) without_template: Vec<Without>,
    /// Photos that gave no template.
    pub(crate) refused: Vec<Refused>,
    /// Photos that gave one, but poor.
    pub(crate) poor: Vec<Poor>,
    /// Photos that were turned to be upright.
    pub(crate) turned: Vec<Turned>,
    /// Photos that gave a good one, on which the eyes may be closed.
    pub(crate) look_at_eyes: Vec<Photo>,
    /// Photos of one student that do not look like one person.
    pub(crate) unlike: Vec<Pair>,
    /// Photos of two students that the door would take for one person.
    pub(crate) look_alikes: Vec<Pair>,
    /// Students whose look-alikes were recorded before and are kept.
    pub(crate) look_alikes_kept: usize,
    /// Photos in the folder that belong to nobody on the roster.
    pub(crate) unclaimed: Vec<String>,
    /// What may be wrong with the table, and what in it was read in a way that somebody should know of.
    pub(crate) remarks: Vec<String>,
}

/// Templates of a second net, for a change of nets.
#[derive(Debug, Serialize)]
pub(crate) struct OtherNet {
    pub(crate) model: String,
    pub(crate) space: String,
    pub(crate) templates: usize,
    pub(crate) embedded: usize,
    pub(crate) reused: usize,
}

/// Records of a OneRoster export's chosen classes that do not count.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LeftOut {
    /// Classes marked tobedeleted or inactive.
    pub(crate) classes: usize,
    /// Enrolments marked so.
    pub(crate) enrollments: usize,
    /// Students who are marked so themselves.
    pub(crate) users: usize,
    /// Enrolments of teachers, proctors and other roles.
    pub(crate) other_roles: usize,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} classes, {} enrolments and {} students marked tobedeleted or inactive; {} enrolments of other roles than student",
            self.classes, self.enrollments, self.users, self.other_roles
        )
    }
}

/// A line of the CSV, or of one of several files.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<&'static str>,
    pub(crate) line: u64,
    pub(crate) student_id: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.file {
            write!(f, "{file} ")?;
        }
        write!(f, "line {}, {}", self.line, self.student_id)
    }
}

/// A student without a card.
#[derive(Debug, Serialize)]
pub(crate) struct NoCard {
    #[serde(flatten)]
    pub(crate) place: Place,
    /// File, line and column where it is missing.
    pub(crate) why: String,
}

/// A student without a template.
#[derive(Debug, Serialize)]
pub(crate) struct Without {
    #[serde(flatten)]
    pub(crate) place: Place,
    /// How many photos were tried: with none, there was none.
    pub(crate) photos: usize,
}

/// A photo and whose it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Photo {
    #[serde(flatten)]
    pub(crate) place: Place,
    pub(crate) photo: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    #[serde(flatten)]
    pub(crate) photo: Photo,
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    pub(crate) mend: &'static str,
}

impl Refused {
    pub(crate) fn new(photo: Photo, fault: &PhotoFault) -> Self {
        Self { photo, code: fault.code(), reason: fault.to_string(), mend: fault.mend() }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Poor {
    #[serde(flatten)]
    pub(crate) photo: Photo,
    pub(crate) defect: PhotoDefect,
}

/// A photo that lay on its side or upside down.
#[derive(Debug, Serialize)]
pub(crate) struct Turned {
    #[serde(flatten)]
    pub(crate) photo: Photo,
    pub(crate) turned: &'static str,
    #[serde(skip)]
    words: &'static str,
}

impl Turned {
    pub(crate) fn new(photo: Photo, turn: Turn) -> Self {
        Self { photo, turned: turn_code(turn), words: turn_words(turn) }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Pair {
    pub(crate) first: Photo,
    pub(crate) second: Photo,
    pub(crate) similarity: f32,
}

impl Report {
    /// Writes the JSON to a file that only its owner can read.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // A file that was there keeps its mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")
    }

    /// Prints it for a person.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let without = self.students - self.students_with_template - self.opted_out.len();
        let opted_out = match self.opted_out.len() {
            0 => String::new(),
            count => format!(", {count} opted out"),
        };
        writeln!(
            out,
            "{} version {}{}: {} students, {} with a face ({} templates of {} photos), {without} without{opted_out}",
            self.exam,
            self.version,
            if self.unchanged { " (held already, unchanged)" } else { "" },
            self.students,
            self.students_with_template,
            self.templates,
            self.photos,
        )?;
        if self.reused > 0 {
            writeln!(out, "Photos embedded now: {}; templates from before: {}", self.embedded, self.reused)?;
        }
        for OtherNet { model, space, templates, embedded, reused } in &self.other_nets {
            writeln!(
                out,
                "Also by {model} ({space}): {templates} templates; photos embedded now: {embedded}; templates from before: {reused}"
            )?;
        }
        if let Some(left_out) = &self.left_out {
            writeln!(out, "Left out: {left_out}")?;
        }
        if self.look_alikes_kept > 0 {
            writeln!(out, "Look-alikes that were recorded before are kept: {} students", self.look_alikes_kept)?;
        }
        section(
            out,
            "Without a card: no tap opens the door, the proctor finds them by name; add the card and import again",
            &self.without_card,
            |NoCard { place, why }| format!("{place}: {why}"),
        )?;
        section(out, "The table: look at these", &self.remarks, Clone::clone)?;
        section(out, "Photos that cannot be used", &self.refused, |Refused { photo, reason, mend, .. }| {
            format!("{}: {reason}; {mend}", named(photo))
        })?;
        section(out, "Without a face: the door will refer them to the proctor", &self.without_template, |without| {
            let Without { place, photos } = without;
            let why = match photos {
                0 => format!(
                    "no photo: the CSV names none, and no file {}*.jpg or .png is left for them",
                    place.student_id
                ),
                1 => "the photo cannot be used".into(),
                photos => format!("none of the {photos} photos can be used"),
            };
            format!("{place}: {why}")
        })?;
        section(
            out,
            "Opted out of face matching: no template was made, the door will refer them to the proctor",
            &self.opted_out,
            ToString::to_string,
        )?;
        section(
            out,
            "Photos of students who opted out: they were not opened; delete them where nothing else needs them",
            &self.photos_not_opened,
            Clone::clone,
        )?;
        section(out, "Poor photos: usable, a better one would help", &self.poor, |Poor { photo, defect }| {
            format!("{}: {}", named(photo), defect.words())
        })?;
        section(
            out,
            "Photos that were not upright: turned, look whether that is right",
            &self.turned,
            |Turned { photo, words, .. }| format!("{}: {words}", named(photo)),
        )?;
        section(
            out,
            "The eyes may be closed: look, and take another photo if they are (narrow eyes and dark glasses are named too)",
            &self.look_at_eyes,
            named,
        )?;
        section(out, "Photos of one student that do not look like one person: check for a mix-up", &self.unlike, pair)?;
        section(
            out,
            "Photos of two students that look like one person: check for a mix-up; if they are right, `roster check --record` has the door refer both to the proctor",
            &self.look_alikes,
            pair,
        )?;
        section(out, "Photos of nobody on the roster", &self.unclaimed, Clone::clone)
    }
}

fn section<T>(out: &mut impl Write, title: &str, items: &[T], line: impl Fn(&T) -> String) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title} ({}):", items.len())?;
    for item in items.iter().take(SHOWN) {
        writeln!(out, "  {}", line(item))?;
    }
    match items.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} more: --report FILE.json has all"),
    }
}

fn named(Photo { place, photo }: &Photo) -> String {
    format!("{place}, {photo}")
}

fn pair(Pair { first, second, similarity }: &Pair) -> String {
    format!("{} and {}: similarity {similarity:.3}", named(first), named(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(refused: usize) -> Report {
        let photo = |n: usize| Photo {
            place: Place { file: None, line: n as u64 + 2, student_id: format!("N{n}") },
            photo: format!("N{n}.jpg"),
        };
        Report {
            exam: "E".into(),
            version: 3,
            students: 2,
            students_with_template: 1,
            refused: (0..refused).map(|n| Refused::new(photo(n), &PhotoFault::NoFace)).collect(),
            ..Report::default()
        }
    }

    fn printed(report: &Report) -> String {
        let mut out = Vec::new();
        report.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_to_look_at_is_one_line() {
        assert_eq!(
            printed(&report(0)),
            "E version 3: 2 students, 1 with a face (0 templates of 0 photos), 1 without\n"
        );
    }

    #[test]
    fn who_opted_out_is_counted_apart_from_who_has_no_usable_photo() {
        let place = Place { file: None, line: 4, student_id: "N4".into() };
        let more =
            Report { students: 4, opted_out: vec![place], photos_not_opened: vec!["N4.jpg".into()], ..report(0) };
        let text = printed(&more);
        for said in [
            "4 students, 1 with a face (0 templates of 0 photos), 2 without, 1 opted out\n",
            "Opted out of face matching: no template was made, the door will refer them to the proctor (1):\n  line 4, N4\n",
            "they were not opened; delete them where nothing else needs them (1):\n  N4.jpg\n",
        ] {
            assert!(text.contains(said), "without {said:?}: {text}");
        }
    }

    #[test]
    fn long_lists_are_cut_on_the_terminal() {
        let text = printed(&report(SHOWN + 5));
        assert!(text.contains("line 2, N0, N0.jpg: no face was found; use a frontal photo"), "{text}");
        assert!(text.contains("… and 5 more") && !text.contains("N20"), "{text}");
    }

    #[test]
    fn the_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, "an older report, open to all").unwrap();
        report(1).save(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(json["refused"][0]["code"], "no_face");
        assert_eq!(json["refused"][0]["student_id"], "N0");
    }
}

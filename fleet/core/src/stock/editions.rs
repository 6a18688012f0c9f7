//! Which editions of an exam's roster a box was sent: enough to send it the next one as a difference, and to learn nothing from.
//!
//! Of each student there is a mark, a keyed hash of the row in the bundle, under the exam's own key: who has only the stock
//! learns how many students there are. It holds no student, no card and no template. Without it a box is sent whole bundles.

use std::{fs, io};

use anyhow::{Context as _, Result};
use examgate::{
    domain::{DeviceId, ExamId, RosterVersion},
    store::Key,
    wire::{
        bundle::{Bundle, BundleError, MAX_STUDENTS},
        digest::Digest,
    },
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Stock, read, write};

/// Bytes of a mark: two different rows have the same one with a chance of 2^-128, and then a box finds out by the digest.
const MARK: usize = 16;

/// Longest file, bytes: two editions of the largest room, in hexadecimal.
const LONGEST: usize = 2 * (2 * MARK * MAX_STUDENTS + 1024);

/// One edition that a box was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// Its version.
    pub version: RosterVersion,
    /// The digest of the sealed bundle.
    pub whole: Digest,
    /// Of each student, in the order of the bundle.
    marks: Vec<[u8; MARK]>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: RosterVersion,
    whole: String,
    marks: String,
}

impl Edition {
    /// Of a bundle that is sent under the digest `whole`. `key` is the exam's.
    ///
    /// # Errors
    /// When a student has more than a bundle may.
    pub fn of(bundle: &Bundle, whole: Digest, key: &Key) -> Result<Self, BundleError> {
        let mark = |row: &[u8]| {
            let mut hash = Hmac::<Sha256>::new_from_slice(key.expose()).expect("a key of any length");
            hash.update(b"examgate roster row 1");
            hash.update(row);
            let hash: [u8; 32] = hash.finalize().into_bytes().into();
            *hash.first_chunk().expect("a mark is shorter")
        };
        let marks = bundle.rows().map(|row| Ok(mark(&row?))).collect::<Result<_, BundleError>>()?;
        Ok(Self { version: bundle.exam.version, whole, marks })
    }

    /// The marks of its students, in the order of the bundle.
    #[must_use]
    pub fn marks(&self) -> &[[u8; MARK]] {
        &self.marks
    }

    fn written(&self) -> Written {
        Written { version: self.version, whole: self.whole.to_string(), marks: hex::encode(self.marks.as_flattened()) }
    }

    fn read(written: &Written) -> Option<Self> {
        let bytes = hex::decode(&written.marks).ok()?;
        let (marks, rest) = bytes.as_chunks::<MARK>();
        let whole = Digest::parse(&written.whole)?;
        rest.is_empty().then(|| Self { version: written.version, whole, marks: marks.to_vec() })
    }
}

impl Stock {
    /// The editions of an exam that a box was sent, as far as they are known. What cannot be understood is as good as nothing: the box is
    /// sent whole bundles.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn editions(&self, device: &DeviceId, exam: &ExamId) -> Result<Vec<Edition>> {
        let Some(bytes) = read(&self.editions_path(device, exam), LONGEST)? else { return Ok(Vec::new()) };
        let written: Vec<Written> = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(written.iter().filter_map(Edition::read).collect())
    }

    /// Notes which editions of an exam a box was sent, in the place of what was noted before.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_editions(&self, device: &DeviceId, exam: &ExamId, editions: &[Edition]) -> Result<()> {
        let path = self.editions_path(device, exam);
        let folder = path.parent().context("it is in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let written: Vec<Written> = editions.iter().map(Edition::written).collect();
        write(&path, &serde_json::to_vec(&written)?)
    }

    /// Forgets what was noted of exams that `keep` does not name.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn retain_editions(&self, device: &DeviceId, keep: impl Fn(&ExamId) -> bool) -> Result<()> {
        let folder = self.root.join("editions").join(device.as_str());
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.with_context(|| format!("cannot list {}", folder.display()))?,
        };
        for entry in listed {
            let entry = entry?;
            let name = entry.file_name();
            let exam =
                name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|name| ExamId::new(name).ok());
            if exam.is_some_and(|exam| !keep(&exam)) {
                fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    fn editions_path(&self, device: &DeviceId, exam: &ExamId) -> std::path::PathBuf {
        self.root.join("editions").join(device.as_str()).join(format!("{exam}.json"))
    }
}

#[cfg(test)]
mod tests {
    use examgate::domain::{
        CardPseudonym, EmbeddingSpaceId, Exam, ExamWindow, PepperCheck, RoomId, RosterEntry, Student, StudentId,
        TemplateForm,
    };

    use super::*;

    fn bundle(names: &[&str]) -> Bundle {
        let time = |text: &str| text.parse().unwrap();
        let room = RoomId::new("R-1").unwrap();
        let entry = |(n, name): (u8, &&str)| {
            let student = Student::new(StudentId::new(format!("N{n}")).unwrap(), *name);
            (RosterEntry::new(student, CardPseudonym::from_bytes([n; 32]), room.clone()), vec![])
        };
        Bundle {
            exam: Exam {
                id: ExamId::new("MATH").unwrap(),
                title: "Mathematics".into(),
                window: ExamWindow { opens: time("2026-12-14T08:00:00Z"), closes: time("2026-12-14T11:00:00Z") },
                version: RosterVersion(4),
            },
            room: room.clone(),
            space: EmbeddingSpaceId::new("space"),
            form: TemplateForm::F16,
            pepper: PepperCheck::from_bytes([5; 16]),
            entries: (1..).zip(names).map(entry).collect(),
            proctors: vec![],
            peers: None,
        }
    }

    #[test]
    fn a_mark_tells_whether_a_student_has_changed_and_nothing_else() {
        let (whole, key) = (Digest::of(b"sealed"), Key::from_bytes([1; 32]));
        let one = Edition::of(&bundle(&["Ada", "Bob"]), whole, &key).unwrap();
        let two = Edition::of(&bundle(&["Ada", "Rob", "Eve"]), whole, &key).unwrap();
        assert_eq!(one.marks()[0], two.marks()[0]);
        assert_ne!(one.marks()[1], two.marks()[1]);
        let elsewhere = Edition::of(&bundle(&["Ada"]), whole, &Key::from_bytes([2; 32])).unwrap();
        assert_ne!(one.marks()[0], elsewhere.marks()[0], "nothing to try names out with, once the key is erased");
    }

    #[test]
    fn what_is_noted_comes_back_and_goes_with_the_exam() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Stock::open(folder.path()).unwrap();
        let (door, [math, bio]) =
            (DeviceId::new("door-1").unwrap(), ["MATH", "BIO.1"].map(|exam| ExamId::new(exam).unwrap()));
        assert_eq!(stock.editions(&door, &math).unwrap(), []);
        stock.retain_editions(&door, |_| false).unwrap();
        let edition = Edition::of(&bundle(&["Ada", "Bob"]), Digest::of(b"1"), &Key::from_bytes([1; 32])).unwrap();
        for exam in [&math, &bio] {
            stock.set_editions(&door, exam, std::slice::from_ref(&edition)).unwrap();
        }
        assert_eq!(stock.editions(&door, &math).unwrap(), std::slice::from_ref(&edition));
        stock.retain_editions(&door, |exam| *exam == bio).unwrap();
        assert_eq!(
            (stock.editions(&door, &math).unwrap(), stock.editions(&door, &bio).unwrap()),
            (vec![], vec![edition])
        );
        for nonsense in ["", "{}", "[{\"version\":1,\"whole\":\"x\",\"marks\":\"\"}]"] {
            fs::write(folder.path().join("editions/door-1/BIO.1.json"), nonsense).unwrap();
            assert_eq!(stock.editions(&door, &bio).unwrap(), [], "{nonsense}");
        }
    }
}

//! One room's roster as it travels: a bundle, version 1 to 4, sealed to one box. And what changes one edition into the next.
//!
//! A CBOR map with the exam, its room, students with card pseudonyms and templates, the room's proctors, from version 3 on the other boxes
//! of the exam, and in version 4 templates in a shorter form or of several nets. It has one form only: the lowest version that holds what is in it, fields and entries in this order, numbers as short as they go. So a box that
//! reads version 1 only is sent rosters as before, until one needs more. It is not compressed: embeddings do not shrink, and
//! what unpacks can unpack to anything. It is not signed: the signed manifest names its digest.

mod difference;
mod peers;
mod rows;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::difference::Difference;
use self::{
    peers::PeersRow,
    rows::{Kinds, ProctorRow, StudentRow, StudentRow1, StudentRow2, TemplateRow1, TemplateRow4},
};
use super::{cbor, chunk::MAX_WHOLE, desired::MAX_SPACE};
use crate::domain::{
    EmbeddingSpaceId, Exam, ExamId, ExamWindow, MAX_CARDS, MAX_LOOK_ALIKES, Matching, Peers, PepperCheck, Proctor,
    RoomId, RosterEntry, RosterVersion, Template, TemplateForm, Timestamp,
};

/// The newest version that is read.
pub const NEWEST: u64 = 4;

/// From this version on templates have a form, those of several spaces may be there, and differences are read.
pub const WITH_FORMS: u64 = 4;

/// Most students of one bundle: more than fit with templates.
pub const MAX_STUDENTS: usize = 50_000;

/// Most templates of one student, as a roster holds.
pub const MAX_TEMPLATES: usize = 256;

/// Most nets that computed the templates of one bundle: each one's enrolments are of another kind.
pub const MAX_KINDS: usize = 32;

/// Most components of an embedding.
pub const MAX_DIMENSION: usize = 4096;

/// Most proctors of one room.
pub const MAX_PROCTORS: usize = 256;

/// Longest title or name, bytes.
pub const MAX_NAME: usize = 512;

/// Longest hash of a PIN, bytes; an Argon2id PHC string has about 100.
pub const MAX_PIN: usize = 256;

/// Longest bundle before it is sealed, bytes: what age adds fits below [`MAX_WHOLE`] with it.
pub const MAX_BUNDLE: usize = MAX_WHOLE - 64 * 1024;

/// Refused of a bundle, and not of a difference.
const NOBODY: BundleError = BundleError::Nonsense { what: "a room without students" };

/// Why a roster is no bundle, or bytes are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not of this shape.
    #[error("not a bundle of version 1 to 4")]
    Malformed,
    /// Of a version that this software is too old for.
    #[error(
        "a bundle of version {version}, and up to version {NEWEST} is read: the box's software is older than the fleet's, update it"
    )]
    Newer {
        /// Its version.
        version: u64,
    },
    /// More or longer than a bundle holds.
    #[error("{what}: more than a bundle holds")]
    TooMuch {
        /// Of what.
        what: &'static str,
    },
    /// Values that contradict each other.
    #[error("{what}: a bundle holds no such thing")]
    Nonsense {
        /// What.
        what: &'static str,
    },
}

/// One room's roster. Personal data: no `Debug`.
#[derive(Clone, PartialEq)]
pub struct Bundle {
    /// The exam and the version of its roster.
    pub exam: Exam,
    /// The room. Every entry is of this room.
    pub room: RoomId,
    /// The space of the box's own net.
    pub space: EmbeddingSpaceId,
    /// How templates are written. Versions 1 to 3 hold whole floats only, and templates of `space` only.
    pub form: TemplateForm,
    /// Which pepper the cards were made into pseudonyms with.
    pub pepper: PepperCheck,
    /// Students with their templates.
    pub entries: Vec<(RosterEntry, Vec<Template>)>,
    /// Proctors with the hash of their PIN, a PHC string.
    pub proctors: Vec<(Proctor, Zeroizing<String>)>,
    /// The other boxes of the exam, where there are any that this box is to hear of.
    pub peers: Option<Peers>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload<S> {
    v: u64,
    exam: ExamId,
    title: String,
    opens: Timestamp,
    closes: Timestamp,
    version: RosterVersion,
    room: RoomId,
    space: EmbeddingSpaceId,
    #[serde(with = "cbor::bytes")]
    pepper: [u8; 16],
    /// From version 4 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kinds: Option<Kinds>,
    students: Vec<S>,
    proctors: Vec<ProctorRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peers: Option<PeersRow>,
}

/// The version that the bytes say they are of: in every version they are a CBOR map of fewer than 24 fields, the first of which is `v`.
fn version(bytes: &[u8]) -> Option<u64> {
    match *bytes {
        [0xA1..=0xB7, 0x61, b'v', version @ 1..=23, ..] => Some(u64::from(version)),
        _ => None,
    }
}

impl Bundle {
    /// The bundle's bytes, to be sealed. Wiped when dropped.
    ///
    /// # Errors
    /// When it holds more than a bundle may, or contradicts itself.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, BundleError> {
        if self.entries.is_empty() { Err(NOBODY) } else { self.encode_any() }
    }

    /// The same of a bundle that may have no students, as a difference has.
    fn encode_any(&self) -> Result<Zeroizing<Vec<u8>>, BundleError> {
        self.check()?;
        let before = || Kinds::of_before(&self.space);
        let bytes = match self.lowest_version() {
            1 => self.written::<StudentRow1>(1, &before()),
            version @ (2 | 3) => self.written::<StudentRow2<TemplateRow1>>(version, &before()),
            version => self.written::<StudentRow2<TemplateRow4>>(version, &self.kinds()?),
        };
        if bytes.len() > MAX_BUNDLE { Err(BundleError::TooMuch { what: "students and templates" }) } else { Ok(bytes) }
    }

    /// Each student's row, as it is written in version 4, with what computed its templates. Two rows are the same where the
    /// students, their cards and their templates are. Wiped when dropped.
    ///
    /// # Errors
    /// When a student has more than a bundle may.
    pub fn rows(&self) -> impl Iterator<Item = Result<Zeroizing<Vec<u8>>, BundleError>> + '_ {
        self.entries.iter().map(|(entry, templates)| {
            let kinds = Kinds::of(self.form, templates.iter())?;
            let row = StudentRow2::<TemplateRow4>::of(entry, templates, &kinds);
            Ok(Zeroizing::new(cbor::to_vec(&(kinds, row))))
        })
    }

    fn kinds(&self) -> Result<Kinds, BundleError> {
        Kinds::of(self.form, self.entries.iter().flat_map(|(_, templates)| templates))
    }

    /// Reads what [`Self::encode`] wrote, or wrote before there was version 4.
    ///
    /// # Errors
    /// When anything about it is otherwise.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        let bundle = Self::decode_any(bytes)?;
        if bundle.entries.is_empty() { Err(NOBODY) } else { Ok(bundle) }
    }

    fn decode_any(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::TooMuch { what: "bytes" });
        }
        match version(bytes) {
            None => Err(BundleError::Malformed),
            Some(1) => Self::read::<StudentRow1>(bytes),
            Some(2 | 3) => Self::read::<StudentRow2<TemplateRow1>>(bytes),
            Some(WITH_FORMS) => Self::read::<StudentRow2<TemplateRow4>>(bytes),
            Some(version) => Err(BundleError::Newer { version }),
        }
    }

    fn written<S: StudentRow>(&self, v: u64, kinds: &Kinds) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::to_vec(&Payload {
            v,
            exam: self.exam.id.clone(),
            title: self.exam.title.clone(),
            opens: self.exam.window.opens,
            closes: self.exam.window.closes,
            version: self.exam.version,
            room: self.room.clone(),
            space: self.space.clone(),
            pepper: *self.pepper.as_bytes(),
            kinds: (v >= WITH_FORMS).then(|| kinds.clone()),
            students: self.entries.iter().map(|(entry, templates)| S::of(entry, templates, kinds)).collect(),
            proctors: self.proctors.iter().map(ProctorRow::of).collect(),
            peers: self.peers.as_ref().map(PeersRow::of),
        }))
    }

    fn read<S: StudentRow>(bytes: &[u8]) -> Result<Self, BundleError> {
        let payload: Payload<S> = cbor::from_slice(bytes).ok_or(BundleError::Malformed)?;
        if *Zeroizing::new(cbor::to_vec(&payload)) != *bytes {
            return Err(BundleError::Malformed);
        }
        let Payload {
            v,
            exam,
            title,
            opens,
            closes,
            version,
            room,
            space,
            pepper,
            kinds: told,
            students,
            proctors,
            peers,
        } = payload;
        let kinds = told.clone().unwrap_or_else(|| Kinds::of_before(&space));
        let entries: Result<Vec<_>, BundleError> =
            students.into_iter().map(|student| student.entry(&room, &kinds)).collect();
        let bundle = Self {
            exam: Exam { id: exam, title, window: ExamWindow { opens, closes }, version },
            entries: entries?,
            proctors: proctors.into_iter().map(ProctorRow::proctor).collect(),
            room,
            space,
            form: kinds.form(),
            pepper: PepperCheck::from_bytes(pepper),
            peers: peers.map(PeersRow::peers).transpose()?,
        };
        bundle.check()?;
        // A higher version than is needed is another form, and so are kinds in another order or that nothing is of.
        let is_lowest = v == bundle.lowest_version();
        let is_in_order = match &told {
            Some(told) => v >= WITH_FORMS && *told == bundle.kinds()?,
            None => v < WITH_FORMS,
        };
        if is_lowest && is_in_order { Ok(bundle) } else { Err(BundleError::Malformed) }
    }

    fn lowest_version(&self) -> u64 {
        let mut templates = self.entries.iter().flat_map(|(_, templates)| templates);
        if self.form != TemplateForm::F32 || templates.any(|template| template.space != self.space) {
            WITH_FORMS
        } else if self.peers.is_some() {
            3
        } else if self.entries.iter().all(|(entry, _)| rows::fits_version_1(entry)) {
            1
        } else {
            2
        }
    }

    fn check(&self) -> Result<(), BundleError> {
        let bound = |fits: bool, what| if fits { Ok(()) } else { Err(BundleError::TooMuch { what }) };
        let sense = |is: bool, what| if is { Ok(()) } else { Err(BundleError::Nonsense { what }) };
        bound(self.exam.title.len() <= MAX_NAME, "the exam's title")?;
        bound((1..=MAX_SPACE).contains(&self.space.as_str().len()), "the embedding space's name")?;
        bound(self.entries.len() <= MAX_STUDENTS, "students")?;
        bound(self.proctors.len() <= MAX_PROCTORS, "proctors")?;
        sense(self.exam.window.opens < self.exam.window.closes, "doors that close before they open")?;
        let (mut students, mut cards, mut proctors) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (entry, templates) in &self.entries {
            bound(entry.student.given_name.len() <= MAX_NAME, "a student's name")?;
            bound(entry.student.called().len() <= MAX_NAME, "a student's preferred name")?;
            bound(entry.cards().count() <= MAX_CARDS, "cards of one student")?;
            bound(templates.len() <= MAX_TEMPLATES, "templates of one student")?;
            sense(entry.room == self.room, "a student of another room")?;
            sense(students.insert(&entry.student.id), "a student twice")?;
            for card in entry.cards() {
                sense(cards.insert(card.pseudonym), "one card for two people, or twice for one")?;
            }
            bound(entry.look_alikes.len() <= MAX_LOOK_ALIKES, "look-alikes of one student")?;
            sense(!entry.look_alikes.contains(&entry.student.id), "a student who looks like themselves")?;
            let opted_out = entry.matching == Matching::None;
            sense(!opted_out || templates.is_empty(), "a template of a student who opted out of face matching")?;
            for template in templates {
                bound((1..=MAX_DIMENSION).contains(&template.embedding.dimension()), "components of an embedding")?;
                bound((1..=MAX_SPACE).contains(&template.space.as_str().len()), "the embedding space's name")?;
            }
        }
        for (proctor, pin) in &self.proctors {
            bound(proctor.name.len() <= MAX_NAME, "a proctor's name")?;
            bound(pin.len() <= MAX_PIN, "the hash of a PIN")?;
            sense(proctors.insert(&proctor.id), "a proctor twice")?;
            sense(cards.insert(proctor.card), "one card for two people")?;
        }
        self.peers.as_ref().map_or(Ok(()), peers::check)
    }
}

#[cfg(test)]
mod tests;

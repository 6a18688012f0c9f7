//! One room's roster as it travels: a bundle, version 1, sealed to one box.
//!
//! A CBOR map with the exam, its room, students with card pseudonyms and templates, and the room's proctors. It has one form
//! only: fields and entries in this order, numbers as short as they go. It is not compressed: embeddings do not shrink, and
//! what unpacks can unpack to anything. It is not signed: the signed manifest names its digest.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{cbor, chunk::MAX_WHOLE, desired::MAX_SPACE};
use crate::domain::{
    ArtifactId, CardPseudonym, CardStanding, Embedding, EmbeddingSpaceId, Exam, ExamId, ExamWindow, Language,
    PepperCheck, Proctor, ProctorId, RoomId, RosterEntry, RosterVersion, Student, StudentId, Template, Timestamp,
};

/// Most students of one bundle: more than fit with templates.
pub const MAX_STUDENTS: usize = 50_000;

/// Most templates of one student, as a roster holds.
pub const MAX_TEMPLATES: usize = 256;

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

/// Why a roster is no bundle, or bytes are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not of this shape.
    #[error("not a bundle of version 1; is the fleet's software newer than the box's?")]
    Malformed,
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
    /// The space of all templates.
    pub space: EmbeddingSpaceId,
    /// Which pepper the cards were made into pseudonyms with.
    pub pepper: PepperCheck,
    /// Students with their templates.
    pub entries: Vec<(RosterEntry, Vec<Template>)>,
    /// Proctors with the hash of their PIN, a PHC string.
    pub proctors: Vec<(Proctor, Zeroizing<String>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    exam: ExamId,
    title: String,
    opens: Timestamp,
    closes: Timestamp,
    version: RosterVersion,
    room: RoomId,
    space: EmbeddingSpaceId,
    #[serde(with = "cbor::bytes")]
    pepper: [u8; 16],
    students: Vec<StudentRow>,
    proctors: Vec<ProctorRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StudentRow {
    id: StudentId,
    name: String,
    language: Option<Language>,
    #[serde(with = "cbor::bytes")]
    card: [u8; 32],
    revoked: bool,
    templates: Vec<TemplateRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateRow {
    #[serde(with = "cbor::bytes")]
    artifact: [u8; 32],
    /// Components as 32-bit floats, little endian.
    #[serde(with = "cbor::bytes")]
    embedding: Zeroizing<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProctorRow {
    id: ProctorId,
    name: String,
    #[serde(with = "cbor::bytes")]
    card: [u8; 32],
    pin: String,
}

impl Bundle {
    /// The bundle's bytes, to be sealed. Wiped when dropped.
    ///
    /// # Errors
    /// When it holds more than a bundle may, or contradicts itself.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, BundleError> {
        self.check()?;
        let student = |(entry, templates): &(RosterEntry, Vec<Template>)| StudentRow {
            id: entry.student.id.clone(),
            name: entry.student.given_name.clone(),
            language: entry.student.language.clone(),
            card: *entry.card.as_bytes(),
            revoked: entry.standing == CardStanding::Revoked,
            templates: templates.iter().map(template_row).collect(),
        };
        let proctor = |(proctor, pin): &(Proctor, Zeroizing<String>)| ProctorRow {
            id: proctor.id.clone(),
            name: proctor.name.clone(),
            card: *proctor.card.as_bytes(),
            pin: pin.to_string(),
        };
        let payload = Payload {
            v: 1,
            exam: self.exam.id.clone(),
            title: self.exam.title.clone(),
            opens: self.exam.window.opens,
            closes: self.exam.window.closes,
            version: self.exam.version,
            room: self.room.clone(),
            space: self.space.clone(),
            pepper: *self.pepper.as_bytes(),
            students: self.entries.iter().map(student).collect(),
            proctors: self.proctors.iter().map(proctor).collect(),
        };
        let bytes = Zeroizing::new(cbor::to_vec(&payload));
        if bytes.len() > MAX_BUNDLE { Err(BundleError::TooMuch { what: "students and templates" }) } else { Ok(bytes) }
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// When anything about it is otherwise.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::TooMuch { what: "bytes" });
        }
        let payload: Payload = cbor::from_slice(bytes).ok_or(BundleError::Malformed)?;
        if payload.v != 1 || *Zeroizing::new(cbor::to_vec(&payload)) != *bytes {
            return Err(BundleError::Malformed);
        }
        let Payload { exam, title, opens, closes, version, room, space, pepper, students, proctors, .. } = payload;
        let student = |row: StudentRow| {
            let StudentRow { id, name: given_name, language, card, revoked, templates } = row;
            let templates: Result<Vec<_>, _> = templates.iter().map(|row| template(row, &space)).collect();
            let entry = RosterEntry {
                student: Student { id, given_name, language },
                card: CardPseudonym::from_bytes(card),
                standing: if revoked { CardStanding::Revoked } else { CardStanding::Active },
                room: room.clone(),
            };
            Ok((entry, templates?))
        };
        let entries: Result<Vec<_>, BundleError> = students.into_iter().map(student).collect();
        let proctor = |ProctorRow { id, name, card, pin }| {
            (Proctor { id, name, card: CardPseudonym::from_bytes(card) }, Zeroizing::new(pin))
        };
        let bundle = Self {
            exam: Exam { id: exam, title, window: ExamWindow { opens, closes }, version },
            entries: entries?,
            proctors: proctors.into_iter().map(proctor).collect(),
            room,
            space,
            pepper: PepperCheck::from_bytes(pepper),
        };
        bundle.check()?;
        Ok(bundle)
    }

    fn check(&self) -> Result<(), BundleError> {
        let bound = |fits: bool, what| if fits { Ok(()) } else { Err(BundleError::TooMuch { what }) };
        let sense = |is: bool, what| if is { Ok(()) } else { Err(BundleError::Nonsense { what }) };
        bound(self.exam.title.len() <= MAX_NAME, "the exam's title")?;
        bound((1..=MAX_SPACE).contains(&self.space.as_str().len()), "the embedding space's name")?;
        bound(self.entries.len() <= MAX_STUDENTS, "students")?;
        bound(self.proctors.len() <= MAX_PROCTORS, "proctors")?;
        sense(!self.entries.is_empty(), "a room without students")?;
        sense(self.exam.window.opens < self.exam.window.closes, "doors that close before they open")?;
        let (mut students, mut cards, mut proctors) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (entry, templates) in &self.entries {
            bound(entry.student.given_name.len() <= MAX_NAME, "a student's name")?;
            bound(templates.len() <= MAX_TEMPLATES, "templates of one student")?;
            sense(entry.room == self.room, "a student of another room")?;
            sense(students.insert(&entry.student.id), "a student twice")?;
            sense(cards.insert(entry.card), "one card for two people")?;
            for template in templates {
                bound((1..=MAX_DIMENSION).contains(&template.embedding.dimension()), "components of an embedding")?;
                sense(template.space == self.space, "a template of another space")?;
            }
        }
        for (proctor, pin) in &self.proctors {
            bound(proctor.name.len() <= MAX_NAME, "a proctor's name")?;
            bound(pin.len() <= MAX_PIN, "the hash of a PIN")?;
            sense(proctors.insert(&proctor.id), "a proctor twice")?;
            sense(cards.insert(proctor.card), "one card for two people")?;
        }
        Ok(())
    }
}

fn template_row(template: &Template) -> TemplateRow {
    let components = template.embedding.as_slice();
    let mut embedding = Zeroizing::new(Vec::with_capacity(components.len() * 4));
    components.iter().for_each(|component| embedding.extend_from_slice(&component.to_le_bytes()));
    TemplateRow { artifact: *template.artifact.as_bytes(), embedding }
}

fn template(row: &TemplateRow, space: &EmbeddingSpaceId) -> Result<Template, BundleError> {
    let (components, rest) = row.embedding.as_chunks::<4>();
    if !rest.is_empty() || components.len() > MAX_DIMENSION {
        return Err(BundleError::TooMuch { what: "components of an embedding" });
    }
    let components = components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let embedding = Embedding::normalised(components)
        .map_err(|_| BundleError::Nonsense { what: "an embedding without direction" })?;
    Ok(Template { space: space.clone(), artifact: ArtifactId::from_bytes(row.artifact), embedding })
}

#[cfg(test)]
mod tests;

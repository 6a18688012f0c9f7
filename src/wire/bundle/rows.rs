//! The rows of a bundle as they stand in its bytes: students by version, and proctors.
//!
//! A row of version 1 has one card and one name. Version 2 adds further cards, the preferred name, the seat, how the student is
//! verified and whom they look like.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{BundleError, MAX_DIMENSION};
use crate::{
    domain::{
        ArtifactId, Card, CardPseudonym, CardStanding, Embedding, EmbeddingSpaceId, Language, Matching, Proctor,
        ProctorId, RoomId, RosterEntry, Seat, Student, StudentId, Template,
    },
    wire::cbor,
};

/// Whether a row of version 1 holds all of this place.
pub(super) fn fits_version_1(entry: &RosterEntry) -> bool {
    let RosterEntry { student, card: _, other_cards, room: _, seat, matching, look_alikes } = entry;
    other_cards.is_empty()
        && look_alikes.is_empty()
        && student.preferred_name.is_none()
        && seat.is_none()
        && *matching == Matching::Face
}

/// A student's row in one version.
pub(super) trait StudentRow: Serialize + DeserializeOwned {
    /// Of a place and its templates.
    fn of(entry: &RosterEntry, templates: &[Template]) -> Self;

    /// The place in `room`, with its templates, which are of `space`.
    ///
    /// # Errors
    /// When an embedding is none, or there is no card.
    fn entry(self, room: &RoomId, space: &EmbeddingSpaceId) -> Result<(RosterEntry, Vec<Template>), BundleError>;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StudentRow1 {
    id: StudentId,
    name: String,
    language: Option<Language>,
    #[serde(with = "cbor::bytes")]
    card: [u8; 32],
    revoked: bool,
    templates: Vec<TemplateRow>,
}

impl StudentRow for StudentRow1 {
    fn of(entry: &RosterEntry, templates: &[Template]) -> Self {
        let CardRow { card, revoked } = CardRow::of(&entry.card);
        Self {
            id: entry.student.id.clone(),
            name: entry.student.given_name.clone(),
            language: entry.student.language.clone(),
            card,
            revoked,
            templates: templates.iter().map(TemplateRow::of).collect(),
        }
    }

    fn entry(self, room: &RoomId, space: &EmbeddingSpaceId) -> Result<(RosterEntry, Vec<Template>), BundleError> {
        let Self { id, name, language, card, revoked, templates } = self;
        let student = Student { language, ..Student::new(id, name) };
        let card = CardRow { card, revoked }.card();
        let entry = RosterEntry { card, ..RosterEntry::new(student, card.pseudonym, room.clone()) };
        Ok((entry, read(&templates, space)?))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StudentRow2 {
    id: StudentId,
    name: String,
    preferred: Option<String>,
    language: Option<Language>,
    seat: Option<Seat>,
    matching: Matching,
    cards: Vec<CardRow>,
    alike: Vec<StudentId>,
    templates: Vec<TemplateRow>,
}

impl StudentRow for StudentRow2 {
    fn of(entry: &RosterEntry, templates: &[Template]) -> Self {
        Self {
            id: entry.student.id.clone(),
            name: entry.student.given_name.clone(),
            preferred: entry.student.preferred_name.clone(),
            language: entry.student.language.clone(),
            seat: entry.seat.clone(),
            matching: entry.matching,
            cards: entry.cards().map(CardRow::of).collect(),
            alike: entry.look_alikes.clone(),
            templates: templates.iter().map(TemplateRow::of).collect(),
        }
    }

    fn entry(self, room: &RoomId, space: &EmbeddingSpaceId) -> Result<(RosterEntry, Vec<Template>), BundleError> {
        let Self { id, name: given_name, preferred: preferred_name, language, seat, matching, cards, alike, templates } =
            self;
        let mut cards = cards.iter().map(CardRow::card);
        let card = cards.next().ok_or(BundleError::Nonsense { what: "a student without a card" })?;
        let entry = RosterEntry {
            student: Student { id, given_name, preferred_name, language },
            card,
            other_cards: cards.collect(),
            room: room.clone(),
            seat,
            matching,
            look_alikes: alike,
        };
        Ok((entry, read(&templates, space)?))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardRow {
    #[serde(with = "cbor::bytes")]
    card: [u8; 32],
    revoked: bool,
}

impl CardRow {
    fn of(card: &Card) -> Self {
        Self { card: *card.pseudonym.as_bytes(), revoked: card.standing == CardStanding::Revoked }
    }

    const fn card(&self) -> Card {
        let standing = if self.revoked { CardStanding::Revoked } else { CardStanding::Active };
        Card { pseudonym: CardPseudonym::from_bytes(self.card), standing }
    }
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

impl TemplateRow {
    fn of(template: &Template) -> Self {
        let components = template.embedding.as_slice();
        let mut embedding = Zeroizing::new(Vec::with_capacity(components.len() * 4));
        components.iter().for_each(|component| embedding.extend_from_slice(&component.to_le_bytes()));
        Self { artifact: *template.artifact.as_bytes(), embedding }
    }
}

fn read(rows: &[TemplateRow], space: &EmbeddingSpaceId) -> Result<Vec<Template>, BundleError> {
    let template = |row: &TemplateRow| {
        let (components, rest) = row.embedding.as_chunks::<4>();
        if !rest.is_empty() || components.len() > MAX_DIMENSION {
            return Err(BundleError::TooMuch { what: "components of an embedding" });
        }
        let components = components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let embedding = Embedding::normalised(components)
            .map_err(|_| BundleError::Nonsense { what: "an embedding without direction" })?;
        Ok(Template { space: space.clone(), artifact: ArtifactId::from_bytes(row.artifact), embedding })
    };
    rows.iter().map(template).collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProctorRow {
    id: ProctorId,
    name: String,
    #[serde(with = "cbor::bytes")]
    card: [u8; 32],
    pin: String,
}

impl ProctorRow {
    pub(super) fn of((proctor, pin): &(Proctor, Zeroizing<String>)) -> Self {
        let Proctor { id, name, card } = proctor.clone();
        Self { id, name, card: *card.as_bytes(), pin: pin.to_string() }
    }

    pub(super) fn proctor(self) -> (Proctor, Zeroizing<String>) {
        let Self { id, name, card, pin } = self;
        (Proctor { id, name, card: CardPseudonym::from_bytes(card) }, Zeroizing::new(pin))
    }
}

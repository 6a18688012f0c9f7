//! The rows of a bundle as they stand in its bytes: students by version, their templates, and proctors.
//!
//! A row of version 1 has one card and one name. Version 2 adds further cards, the preferred name, the seat, how the student is
//! verified and whom they look like. Version 3 writes templates in a shorter form, and may hold those of several spaces.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{BundleError, MAX_DIMENSION, MAX_KINDS};
use crate::{
    domain::{
        ArtifactId, Card, CardPseudonym, CardStanding, EmbeddingSpaceId, Language, Matching, Proctor, ProctorId,
        RoomId, RosterEntry, Seat, Student, StudentId, Template, TemplateForm,
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

/// Templates of one space that one net computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kind {
    space: EmbeddingSpaceId,
    #[serde(with = "cbor::bytes")]
    artifact: [u8; 32],
}

/// How the templates of a bundle of version 4 are written, and what computed them: in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kinds {
    form: TemplateForm,
    kinds: Vec<Kind>,
}

impl Kinds {
    /// Of these templates.
    ///
    /// # Errors
    /// When they are of more kinds than a bundle holds.
    pub(super) fn of<'t>(
        form: TemplateForm,
        templates: impl Iterator<Item = &'t Template>,
    ) -> Result<Self, BundleError> {
        let mut kinds = Self { form, kinds: Vec::new() };
        for template in templates {
            if kinds.place(template).is_none() {
                let Template { space, artifact, embedding: _ } = template;
                kinds.kinds.push(Kind { space: space.clone(), artifact: *artifact.as_bytes() });
            }
            if kinds.kinds.len() > MAX_KINDS {
                return Err(BundleError::TooMuch { what: "nets that computed templates" });
            }
        }
        Ok(kinds)
    }

    /// As bundles before version 4 have them: whole floats of one space, and each template says what computed it.
    pub(super) fn of_before(space: &EmbeddingSpaceId) -> Self {
        Self { form: TemplateForm::F32, kinds: vec![Kind { space: space.clone(), artifact: [0; 32] }] }
    }

    pub(super) const fn form(&self) -> TemplateForm {
        self.form
    }

    fn place(&self, template: &Template) -> Option<usize> {
        let is_it = |kind: &Kind| kind.artifact == *template.artifact.as_bytes() && kind.space == template.space;
        self.kinds.iter().position(is_it)
    }
}

/// A template's row in one version.
pub(super) trait TemplateRow: Serialize + DeserializeOwned {
    /// Of a template that is of one of the `kinds`.
    fn of(template: &Template, kinds: &Kinds) -> Self;

    /// The template.
    ///
    /// # Errors
    /// When it is of no kind, or its bytes are no embedding.
    fn template(&self, kinds: &Kinds) -> Result<Template, BundleError>;
}

/// A student's row in one version.
pub(super) trait StudentRow: Serialize + DeserializeOwned {
    /// Of a place and its templates.
    fn of(entry: &RosterEntry, templates: &[Template], kinds: &Kinds) -> Self;

    /// The place in `room`, with its templates.
    ///
    /// # Errors
    /// When an embedding is none, or there is no card.
    fn entry(self, room: &RoomId, kinds: &Kinds) -> Result<(RosterEntry, Vec<Template>), BundleError>;
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
    templates: Vec<TemplateRow1>,
}

impl StudentRow for StudentRow1 {
    fn of(entry: &RosterEntry, templates: &[Template], kinds: &Kinds) -> Self {
        let CardRow { card, revoked } = CardRow::of(&entry.card);
        Self {
            id: entry.student.id.clone(),
            name: entry.student.given_name.clone(),
            language: entry.student.language.clone(),
            card,
            revoked,
            templates: written(templates, kinds),
        }
    }

    fn entry(self, room: &RoomId, kinds: &Kinds) -> Result<(RosterEntry, Vec<Template>), BundleError> {
        let Self { id, name, language, card, revoked, templates } = self;
        let student = Student { language, ..Student::new(id, name) };
        let card = CardRow { card, revoked }.card();
        let entry = RosterEntry { card, ..RosterEntry::new(student, card.pseudonym, room.clone()) };
        Ok((entry, read(&templates, kinds)?))
    }
}

/// A row of version 2 with [`TemplateRow1`], of version 4 with [`TemplateRow4`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StudentRow2<T> {
    id: StudentId,
    name: String,
    preferred: Option<String>,
    language: Option<Language>,
    seat: Option<Seat>,
    matching: Matching,
    cards: Vec<CardRow>,
    alike: Vec<StudentId>,
    templates: Vec<T>,
}

impl<T: TemplateRow> StudentRow for StudentRow2<T> {
    fn of(entry: &RosterEntry, templates: &[Template], kinds: &Kinds) -> Self {
        Self {
            id: entry.student.id.clone(),
            name: entry.student.given_name.clone(),
            preferred: entry.student.preferred_name.clone(),
            language: entry.student.language.clone(),
            seat: entry.seat.clone(),
            matching: entry.matching,
            cards: entry.cards().map(CardRow::of).collect(),
            alike: entry.look_alikes.clone(),
            templates: written(templates, kinds),
        }
    }

    fn entry(self, room: &RoomId, kinds: &Kinds) -> Result<(RosterEntry, Vec<Template>), BundleError> {
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
        Ok((entry, read(&templates, kinds)?))
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

/// Of versions 1 and 2: components as 32-bit floats.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateRow1 {
    #[serde(with = "cbor::bytes")]
    artifact: [u8; 32],
    #[serde(with = "cbor::bytes")]
    embedding: Zeroizing<Vec<u8>>,
}

impl TemplateRow for TemplateRow1 {
    fn of(template: &Template, _: &Kinds) -> Self {
        Self { artifact: *template.artifact.as_bytes(), embedding: TemplateForm::F32.pack(&template.embedding) }
    }

    fn template(&self, kinds: &Kinds) -> Result<Template, BundleError> {
        let kind = kinds.kinds.first().ok_or(BundleError::Malformed)?;
        template(&kind.space, self.artifact, TemplateForm::F32, &self.embedding)
    }
}

/// Of version 4: which of the kinds it is, and its components in the bundle's form. An array, since there are many.
#[derive(Serialize, Deserialize)]
pub(super) struct TemplateRow4(u8, #[serde(with = "cbor::bytes")] Zeroizing<Vec<u8>>);

impl TemplateRow for TemplateRow4 {
    fn of(template: &Template, kinds: &Kinds) -> Self {
        let place = kinds.place(template).and_then(|place| u8::try_from(place).ok());
        Self(place.expect("the kinds are those of the templates, and few"), kinds.form.pack(&template.embedding))
    }

    fn template(&self, kinds: &Kinds) -> Result<Template, BundleError> {
        let kind = kinds.kinds.get(usize::from(self.0)).ok_or(BundleError::Malformed)?;
        let template = template(&kind.space, kind.artifact, kinds.form, &self.1)?;
        // One embedding has one form. Whole floats are scaled when they are read, as in the versions before.
        let is_as_written = kinds.form == TemplateForm::F32 || *kinds.form.pack(&template.embedding) == *self.1;
        if is_as_written { Ok(template) } else { Err(BundleError::Malformed) }
    }
}

fn template(
    space: &EmbeddingSpaceId,
    artifact: [u8; 32],
    form: TemplateForm,
    bytes: &[u8],
) -> Result<Template, BundleError> {
    if !bytes.len().is_multiple_of(form.width()) || bytes.len() / form.width() > MAX_DIMENSION {
        return Err(BundleError::TooMuch { what: "components of an embedding" });
    }
    let embedding = form.unpack(bytes).ok_or(BundleError::Nonsense { what: "an embedding without direction" })?;
    Ok(Template { space: space.clone(), artifact: ArtifactId::from_bytes(artifact), embedding })
}

fn written<T: TemplateRow>(templates: &[Template], kinds: &Kinds) -> Vec<T> {
    templates.iter().map(|template| T::of(template, kinds)).collect()
}

fn read<T: TemplateRow>(rows: &[T], kinds: &Kinds) -> Result<Vec<Template>, BundleError> {
    rows.iter().map(|row| row.template(kinds)).collect()
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

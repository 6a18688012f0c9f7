//! Templates as bytes, and the digest that tells whether two rosters of one version are the same.
//!
//! It never reads or writes a database of its own accord.

use rusqlite::Row;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::{
    ArtifactId, Card, CardStanding, Embedding, EmbeddingSpaceId, Exam, Language, Matching, RosterEntry, Seat, Template,
};

/// Components as 32-bit floats, little endian.
pub(super) fn little_endian(embedding: &Embedding) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(embedding.dimension() * 4));
    embedding.as_slice().iter().for_each(|component| bytes.extend_from_slice(&component.to_le_bytes()));
    bytes
}

/// `None` when the stored bytes are not a template.
pub(super) fn template(row: &Row<'_>) -> rusqlite::Result<Option<Template>> {
    let space = EmbeddingSpaceId::new(row.get::<_, String>(0)?);
    let artifact = ArtifactId::from_bytes(row.get(1)?);
    let bytes = row.get_ref(2)?.as_blob()?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    let components = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    let embedding = rest.is_empty().then(|| Embedding::normalised(components).ok()).flatten();
    Ok(embedding.map(|embedding| Template { space, artifact, embedding }))
}

/// SHA-256 over an exam and its entries in order: tells whether two rosters of one version are the same.
pub(super) struct ContentDigest(Sha256);

impl ContentDigest {
    pub(super) fn of(exam: &Exam) -> Self {
        let mut digest = Self(Sha256::new());
        for text in [exam.id.as_str(), &exam.title, &exam.window.opens.to_string(), &exam.window.closes.to_string()] {
            digest.part(text.as_bytes());
        }
        digest.part(&exam.version.0.to_be_bytes());
        digest
    }

    pub(super) fn add(&mut self, (entry, templates): &(RosterEntry, Vec<Template>)) {
        for text in [entry.student.id.as_str(), &entry.student.given_name, entry.room.as_str()] {
            self.part(text.as_bytes());
        }
        self.card(&entry.card);
        // What rosters of before do not have is marked, and left out where it is not there: their digests stay.
        let student = &entry.student;
        for (mark, text) in [
            ("language", student.language.as_ref().map(Language::as_str)),
            ("preferred", student.preferred_name.as_deref()),
            ("seat", entry.seat.as_ref().map(Seat::as_str)),
            ("matching", (entry.matching == Matching::None).then_some("none")),
        ] {
            if let Some(text) = text {
                self.part(format!("{mark}={text}").as_bytes());
            }
        }
        for card in &entry.other_cards {
            self.part(b"card");
            self.card(card);
        }
        for other in &entry.look_alikes {
            self.part(format!("alike={}", other.as_str()).as_bytes());
        }
        self.part(&templates.len().to_be_bytes());
        for template in templates {
            self.part(template.space.as_str().as_bytes());
            self.part(template.artifact.as_bytes());
            self.part(&little_endian(&template.embedding));
        }
    }

    fn card(&mut self, card: &Card) {
        self.part(card.pseudonym.as_bytes());
        self.part(&[u8::from(card.standing == CardStanding::Revoked)]);
    }

    /// Every part with its length before it, so that none can flow into the next.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_be_bytes());
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

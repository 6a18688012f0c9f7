//! What was made of each photo of an exam: the template, by the digests of the photo and of what computed it. So an import computes only
//! what is new or changed, and one that was interrupted goes on where it was.
//!
//! One encrypted database for each exam, under the exam's key: it is erased with it. It holds no photo, no student and no card,
//! and after an import no template that the roster does not hold. It never computes one.

use std::{collections::HashSet, path::Path};

use examgate::{
    domain::{ArtifactId, EmbeddingSpaceId, Template, TemplateForm},
    store::{
        Key,
        sealed::{Fault, Kind, Migration, Sealed},
    },
    wire::digest::Digest,
};
use rusqlite::{OptionalExtension as _, Row};

const ENROLMENTS: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgEn"),
    name: "an exam's enrolments",
    migrations: &[Migration { name: "photos and templates", sql: include_str!("enrolments.sql") }],
};

/// What one photo gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolment {
    /// The template.
    pub template: Template,
    /// What somebody should look at, in the caller's words. No personal data.
    pub findings: String,
}

/// The enrolments of one exam.
#[derive(Debug)]
pub struct Enrolments {
    sealed: Sealed,
}

impl Enrolments {
    /// Opens them at `path`, made first if there are none.
    ///
    /// # Errors
    /// What [`Sealed::open_or_create`] refuses.
    pub fn create(path: &Path, key: &Key) -> Result<Self, Fault> {
        Ok(Self { sealed: Sealed::open_or_create(path, key, &ENROLMENTS)? })
    }

    /// Opens them at `path` to look only: nothing is made or written.
    ///
    /// # Errors
    /// What [`Sealed::look`] refuses.
    pub fn look(path: &Path, key: &Key) -> Result<Self, Fault> {
        Ok(Self { sealed: Sealed::look(path, key, &ENROLMENTS)? })
    }

    /// What a photo gave, by its digest and that of everything that computes templates from photos. `None`: it is not known, or what is
    /// kept of it makes no sense, and is computed again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find(&self, photo: &Digest, recipe: &Digest) -> Result<Option<Enrolment>, Fault> {
        let read = |row: &Row<'_>| {
            let embedding = TemplateForm::F32.unpack(row.get_ref(2)?.as_blob()?);
            let (space, artifact, findings) = (row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?, row.get(3)?);
            Ok(embedding.map(|embedding| Enrolment {
                template: Template {
                    space: EmbeddingSpaceId::new(space),
                    artifact: ArtifactId::from_bytes(artifact),
                    embedding,
                },
                findings,
            }))
        };
        let found = self
            .sealed
            .connection()
            .prepare_cached(
                "SELECT space, artifact, embedding, findings FROM enrolments WHERE photo = ?1 AND recipe = ?2",
            )
            .and_then(|mut query| query.query_row((photo.as_bytes(), recipe.as_bytes()), read).optional());
        Ok(found.map_err(self.sealed.fault("look for a photo"))?.flatten())
    }

    /// Keeps what photos gave, in one transaction: it is on the disk when this returns.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep(&mut self, recipe: &Digest, made: &[(Digest, Enrolment)]) -> Result<(), Fault> {
        let fault = self.sealed.fault("keep templates");
        let transaction = self.sealed.write()?;
        for (photo, Enrolment { template, findings }) in made {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO enrolments (photo, recipe, space, artifact, embedding, findings)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )
                .and_then(|mut insert| {
                    insert.execute((
                        photo.as_bytes(),
                        recipe.as_bytes(),
                        template.space.as_str(),
                        template.artifact.as_bytes(),
                        &*TemplateForm::F32.pack(&template.embedding),
                        findings,
                    ))
                })
                .map_err(&fault)?;
        }
        transaction.commit().map_err(&fault)
    }

    /// Destroys all but the templates of these photos by these recipes. Returns how many that were. What is deleted is overwritten.
    ///
    /// # Errors
    /// When the database fails.
    pub fn retain(&mut self, photos: &HashSet<Digest>, recipes: &[Digest]) -> Result<usize, Fault> {
        let fault = self.sealed.fault("destroy templates that are of no use any more");
        let known: Vec<([u8; 32], [u8; 32])> = {
            let mut query = self.sealed.connection().prepare("SELECT photo, recipe FROM enrolments").map_err(&fault)?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).map_err(&fault)?
        };
        let stays = |(photo, recipe): &([u8; 32], [u8; 32])| {
            photos.contains(&Digest::from_bytes(*photo)) && recipes.contains(&Digest::from_bytes(*recipe))
        };
        let transaction = self.sealed.write()?;
        let mut destroyed = 0;
        for (photo, recipe) in known.iter().filter(|known| !stays(known)) {
            destroyed += transaction
                .prepare_cached("DELETE FROM enrolments WHERE photo = ?1 AND recipe = ?2")
                .and_then(|mut delete| delete.execute((photo, recipe)))
                .map_err(&fault)?;
        }
        transaction.commit().map_err(&fault)?;
        // Otherwise the log keeps what the database has overwritten.
        self.sealed.try_to_empty_log();
        Ok(destroyed)
    }

    /// How many templates are kept.
    ///
    /// # Errors
    /// When the database fails.
    pub fn len(&self) -> Result<usize, Fault> {
        let count = self.sealed.connection().query_row("SELECT count(*) FROM enrolments", [], |row| row.get(0));
        count.map_err(self.sealed.fault("count templates"))
    }

    /// Whether none is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_empty(&self) -> Result<bool, Fault> {
        Ok(self.len()? == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use examgate::domain::Embedding;

    use super::*;

    fn enrolment(n: u8, space: &str) -> Enrolment {
        let components = (0..512).map(|i| f32::from(n) + (i as f32 / 7.0).sin()).collect();
        Enrolment {
            template: Template {
                space: EmbeddingSpaceId::new(space),
                artifact: ArtifactId::from_bytes([n; 32]),
                embedding: Embedding::normalised(components).unwrap(),
            },
            findings: format!("[{n}]"),
        }
    }

    fn digest(n: u8) -> Digest {
        Digest::from_bytes([n; 32])
    }

    #[test]
    fn what_a_photo_gave_is_found_by_photo_and_recipe_and_goes_when_it_is_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("e"), Key::from_bytes([7; 32]));
        let mut kept = Enrolments::create(&path, &key).unwrap();
        assert!(kept.is_empty().unwrap());
        let (old, new) = (digest(1), digest(2));
        kept.keep(&old, &[(digest(10), enrolment(1, "a")), (digest(11), enrolment(2, "a"))]).unwrap();
        kept.keep(&new, &[(digest(10), enrolment(3, "b"))]).unwrap();
        assert_eq!(kept.find(&digest(10), &old).unwrap(), Some(enrolment(1, "a")), "bit by bit");
        assert_eq!(kept.find(&digest(10), &new).unwrap(), Some(enrolment(3, "b")));
        assert_eq!(kept.find(&digest(11), &new).unwrap(), None);
        drop(kept);
        // It outlives the program, opens with its key only, and holds nothing in plain.
        assert!(Enrolments::look(&path, &Key::from_bytes([8; 32])).is_err());
        let looked = Enrolments::look(&path, &key).unwrap();
        assert_eq!((looked.len().unwrap(), looked.find(&digest(11), &old).unwrap()), (3, Some(enrolment(2, "a"))));
        drop(looked);
        let bytes = fs::read(&path).unwrap();
        let plain = TemplateForm::F32.pack(&enrolment(1, "a").template.embedding);
        assert!(!bytes.windows(16).any(|window| *window == plain[..16] || *window == [10; 16]));

        let mut kept = Enrolments::create(&path, &key).unwrap();
        assert_eq!(kept.retain(&[digest(10)].into(), &[new]).unwrap(), 2);
        assert_eq!((kept.len().unwrap(), kept.find(&digest(10), &old).unwrap()), (1, None));
        assert_eq!(kept.retain(&[digest(10)].into(), &[new]).unwrap(), 0);
    }
}

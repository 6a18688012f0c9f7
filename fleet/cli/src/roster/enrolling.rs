//! Photos to templates for an import: what was made of a photo before is taken, the rest is made now and kept at once.
//!
//! A photo is known by the digest of its bytes, whatever it is called. It never keeps a photo. What cannot be used is looked at again
//! each time: it is little, and it is what gets mended.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, bail};
use examgate::{domain::Template, exit::Refusal, store::sealed::Fault, vision::VerifiedModels, wire::digest::Digest};
use examgate_enrol::{
    faces::{Enrolled, PhotoFault, enrol_bytes, recipe},
    models::{self, ModelArgs},
    photos::Photos,
};
use examgate_fleet_core::enrolments::{Enrolment, Enrolments};

use super::{photos::Claim, report::OtherNet};

/// Photos whose templates are written at once: a killed import loses no more of each thread's work.
const BATCH: usize = 8;

/// The nets of an import: those that the report is about, and those whose templates are made beside them.
pub(super) struct Nets {
    /// These judge the photos.
    pub(super) first: VerifiedModels,
    others: Vec<VerifiedModels>,
}

impl Nets {
    /// Reads the manifests and checks the hash of every file.
    pub(super) fn load(first: &ModelArgs, others: &[ModelArgs]) -> anyhow::Result<Self> {
        let nets = Self { first: first.load()?, others: others.iter().map(ModelArgs::load).collect::<Result<_, _>>()? };
        let mut spaces = HashSet::new();
        for models in nets.all() {
            let space = &models.manifest().embedder.space;
            if !spaces.insert(space) {
                bail!(Refusal::Usage(format!(
                    "--also-models: two of these nets make templates of one space ({space}): one of them is enough"
                )));
            }
        }
        Ok(nets)
    }

    fn all(&self) -> impl Iterator<Item = &VerifiedModels> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// What became of an import's photos.
pub(super) struct Made {
    /// Of each claim, by the first nets.
    pub(super) enrolled: Vec<Result<Enrolled, PhotoFault>>,
    /// Of each claim, by each of the other nets.
    pub(super) others: Vec<Vec<Option<Template>>>,
    /// What the report says of the others.
    pub(super) nets: Vec<OtherNet>,
    /// How many photos the first nets looked at now; those that are not there do not count.
    pub(super) embedded: usize,
    /// How many templates of theirs were there before.
    pub(super) reused: usize,
    photos: HashSet<Digest>,
    recipes: Vec<Digest>,
}

/// Where templates are kept.
pub(super) struct Kept {
    own: Enrolments,
    /// Of the desk's other exams: a student sits several, with one photo.
    elsewhere: Vec<Enrolments>,
}

impl Kept {
    pub(super) const fn new(own: Enrolments, elsewhere: Vec<Enrolments>) -> Self {
        Self { own, elsewhere }
    }

    /// What was made of a photo before, here or for another exam; then it is kept here, too.
    fn find(&mut self, photo: &Digest, recipe: &Digest) -> Result<Option<Enrolled>, Fault> {
        let read = |found: Option<Enrolment>| {
            found.and_then(|found| Some((Enrolled::again(found.template.clone(), &found.findings)?, found)))
        };
        if let Some((enrolled, _)) = read(self.own.find(photo, recipe)?) {
            return Ok(Some(enrolled));
        }
        for other in &self.elsewhere {
            // What another exam's database does not say is made again.
            if let Some((enrolled, found)) = read(other.find(photo, recipe).unwrap_or_default()) {
                self.own.keep(recipe, &[(*photo, found)])?;
                return Ok(Some(enrolled));
            }
        }
        Ok(None)
    }

    /// Makes templates of the photos that have none yet, on `threads` threads.
    ///
    /// # Errors
    /// When a net or the disk fails. What was made until then is kept.
    pub(super) fn make(
        &mut self,
        nets: &Nets,
        threads: usize,
        photos: &Photos,
        claims: &[Claim],
    ) -> anyhow::Result<Made> {
        let digest = |claim: &Claim| {
            let bytes = if claim.there { photos.read(&claim.photo) } else { Err(PhotoFault::Missing) };
            bytes.map(|bytes| Digest::of(&bytes)).ok()
        };
        let digests: Vec<Option<Digest>> = claims.iter().map(digest).collect();
        let (enrolled, first) = self.of_net(&nets.first, threads, photos, (claims, &digests))?;
        let mut made = Made {
            embedded: first.embedded,
            reused: first.reused,
            enrolled,
            others: Vec::new(),
            nets: Vec::new(),
            photos: digests.iter().flatten().copied().collect(),
            recipes: nets.all().map(|models| recipe(models.manifest())).collect(),
        };
        for models in &nets.others {
            let (enrolled, net) = self.of_net(models, threads, photos, (claims, &digests))?;
            made.others.push(enrolled.into_iter().map(|one| one.ok().map(|one| one.template)).collect());
            made.nets.push(net);
        }
        Ok(made)
    }

    fn of_net(
        &mut self,
        models: &VerifiedModels,
        threads: usize,
        photos: &Photos,
        (claims, digests): (&[Claim], &[Option<Digest>]),
    ) -> anyhow::Result<(Vec<Result<Enrolled, PhotoFault>>, OtherNet)> {
        let (embedder, recipe) = (&models.manifest().embedder, recipe(models.manifest()));
        let failed = || "what was made of photos before cannot be looked up";
        let mut known: Vec<Option<Enrolled>> = Vec::with_capacity(claims.len());
        for digest in digests {
            let found = digest.as_ref().map(|digest| self.find(digest, &recipe)).transpose().with_context(failed)?;
            known.push(found.flatten());
        }
        let missing: Vec<usize> = (0..claims.len()).filter(|&at| known[at].is_none()).collect();
        let reused = claims.len() - missing.len();
        if reused > 0 && !missing.is_empty() {
            writeln!(
                io::stderr(),
                "examgate-fleet: {reused} of {} photos were embedded before by {}; {} to go",
                claims.len(),
                embedder.net.name,
                missing.len()
            )?;
        }
        let keeping = Mutex::new((&mut self.own, Vec::<(Digest, Enrolment)>::new()));
        let keep = |photo: Digest, enrolled: &Enrolled| -> Result<(), Fault> {
            let enrolment = Enrolment { template: enrolled.template.clone(), findings: enrolled.findings() };
            let mut held = keeping.lock().unwrap_or_else(PoisonError::into_inner);
            let (own, waiting) = &mut *held;
            waiting.push((photo, enrolment));
            if waiting.len() < BATCH { Ok(()) } else { own.keep(&recipe, &std::mem::take(waiting)) }
        };
        let look = |pipeline: &mut _, &at: &usize| {
            let claim = &claims[at];
            let bytes = if claim.there { photos.read(&claim.photo) } else { Err(PhotoFault::Missing) };
            let enrolled = bytes.and_then(|bytes| Ok((Digest::of(&bytes), enrol_bytes(pipeline, &bytes)?)));
            if let Ok((photo, enrolled)) = &enrolled {
                keep(*photo, enrolled).context("a template cannot be kept")?;
            }
            Ok(enrolled.map(|(_, enrolled)| enrolled))
        };
        let made =
            if missing.is_empty() { Ok(Vec::new()) } else { models::each(models, threads, "photos", &missing, look) };
        // What came before a failure is kept all the same.
        let (own, waiting) = keeping.into_inner().unwrap_or_else(PoisonError::into_inner);
        own.keep(&recipe, &waiting).context("templates cannot be kept")?;
        let mut made = made?.into_iter();
        let enrolled: Vec<_> = known
            .into_iter()
            .map(|known| known.map_or_else(|| made.next().unwrap_or(Err(PhotoFault::Missing)), Ok))
            .collect();
        let templates = enrolled.iter().filter(|one| one.is_ok()).count();
        let embedded = missing.iter().filter(|&&at| claims[at].there).count();
        let (model, space) = (embedder.net.name.clone(), embedder.space.to_string());
        Ok((enrolled, OtherNet { model, space, templates, embedded, reused }))
    }

    /// Destroys what the roster does not hold any more: templates of photos that are not its students', and of other nets.
    pub(super) fn settle(&mut self, made: &Made) -> anyhow::Result<()> {
        self.own.retain(&made.photos, &made.recipes).context(
            "the roster is written, but templates that are of no use any more were not destroyed: import again",
        )?;
        Ok(())
    }
}

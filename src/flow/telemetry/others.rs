//! Compares the probes of admitted students with the other students of the roster, so that the fleet sees how far different people are apart
//! at this camera, which no decision ever tells.
//!
//! It runs on a thread of its own, after the answer is shown, and keeps nothing: a probe is wiped when it was compared, and only similarities,
//! without anybody's name, go on. One probe at a time; what comes meanwhile is passed over.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};

use tokio::sync::watch;

use super::noting::{Noted, Noting};
use crate::{
    domain::{Embedding, EmbeddingSpaceId, Exam, ExamId, StudentId, WithSources},
    flow::{PassedOver, Shelf},
};

/// How long the thread waits when nothing is to be compared: how often it tells that it is alive.
const IDLE: Duration = Duration::from_secs(1);

/// Most students that one probe is compared with.
const MOST: usize = 1000;

/// The probe of a look that has ended. Wiped with it.
#[derive(Debug)]
pub struct Probed {
    /// Whose card was tapped.
    pub student: StudentId,
    /// Their face, fused over the frames of the look.
    pub probe: Embedding,
}

/// Compares probes with others.
pub struct CompareWithOthers {
    /// What came of looks.
    pub probes: Receiver<Probed>,
    /// The rosters.
    pub shelf: Shelf,
    /// The exam served.
    pub in_force: watch::Receiver<Option<Exam>>,
    /// Which templates can be compared with.
    pub space: EmbeddingSpaceId,
    /// Who counts.
    pub noting: Noting,
    /// Told at every turn that the thread is alive.
    pub alive: Box<dyn Fn() + Send>,
}

/// Where looks hand their probes over.
#[must_use]
pub fn probes() -> (SyncSender<Probed>, Receiver<Probed>) {
    sync_channel(1)
}

impl CompareWithOthers {
    /// Compares until no more probes can come.
    pub fn run(self) {
        loop {
            (self.alive)();
            let probed = match self.probes.recv_timeout(IDLE) {
                Ok(probed) => probed,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let exam = self.in_force.borrow().as_ref().map(|exam| exam.id.clone());
            let (Some(exam), Some(who)) = (exam, self.noting.someone(&probed.student)) else { continue };
            match self.compare(&exam, &probed) {
                Ok(similarities) if similarities.is_empty() => {}
                Ok(similarities) => self.noting.note(Noted::ComparedWithOthers { who, similarities }),
                Err(error) => {
                    tracing::warn!(error = %WithSources(&error), "a probe cannot be compared with other students");
                }
            }
        }
    }

    /// To each other student with a template, the greatest similarity; in no order that tells whose it is.
    fn compare(&self, exam: &ExamId, probed: &Probed) -> Result<Vec<f32>, PassedOver> {
        let roster = self.shelf.open(exam)?;
        let mut similarities = Vec::new();
        for other in roster.students()?.iter().filter(|other| **other != probed.student).take(MOST) {
            let templates = roster.templates_of(other, &self.space)?;
            let alike = templates.iter().map(|template| probed.probe.similarity(&template.embedding).get());
            similarities.extend(alike.reduce(f32::max));
        }
        similarities.sort_by(f32::total_cmp);
        Ok(similarities)
    }
}

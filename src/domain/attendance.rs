//! Who is inside: folded from the events here, and nowhere else.
//!
//! The proctor's last word that was not undone decides; without one, whether the box admitted.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{EventId, Verdict};

/// Where a student is, as far as this box knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whereabouts {
    /// Not admitted yet.
    #[default]
    Outside,
    /// Admitted, by the box or a proctor.
    Inside,
    /// A proctor said no.
    TurnedAway,
}

/// What one event says about where a student is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The box admitted.
    AdmittedByBox,
    /// A proctor decided.
    Ruled {
        /// The event of the ruling.
        ruling: EventId,
        /// What.
        verdict: Verdict,
    },
    /// A ruling was taken back.
    Undone {
        /// Which.
        ruling: EventId,
    },
}

impl Whereabouts {
    /// Where one student of one exam is after these events of theirs, in the order they were recorded.
    #[must_use]
    pub fn after(passages: impl IntoIterator<Item = Passage>) -> Self {
        let (mut rulings, mut undone, mut admitted) = (Vec::new(), HashSet::new(), false);
        for passage in passages {
            match passage {
                Passage::AdmittedByBox => admitted = true,
                Passage::Ruled { ruling, verdict } => rulings.push((ruling, verdict)),
                Passage::Undone { ruling } => drop(undone.insert(ruling)),
            }
        }
        match rulings.into_iter().rev().find(|(ruling, _)| !undone.contains(ruling)) {
            Some((_, verdict)) if verdict.admits() => Self::Inside,
            Some(_) => Self::TurnedAway,
            None if admitted => Self::Inside,
            None => Self::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_proctors_last_word_that_stands_decides() {
        use Passage::AdmittedByBox;
        use Whereabouts::{Inside, Outside, TurnedAway};
        let id = |n| EventId(Uuid::from_u128(n));
        let ruled = |n, verdict| Passage::Ruled { ruling: id(n), verdict };
        let undone = |n| Passage::Undone { ruling: id(n) };
        let (admit, by_hand, refuse) = (Verdict::Admit, Verdict::AdmitByHand, Verdict::Refuse);
        for (passages, expected) in [
            (&[][..], Outside),
            (&[AdmittedByBox], Inside),
            (&[AdmittedByBox, ruled(1, refuse)], TurnedAway),
            (&[ruled(1, refuse), AdmittedByBox], TurnedAway),
            (&[ruled(1, admit)], Inside),
            (&[ruled(1, refuse), ruled(2, by_hand)], Inside),
            (&[ruled(1, by_hand), ruled(2, refuse), undone(2)], Inside),
            (&[ruled(1, refuse), undone(1)], Outside),
            (&[AdmittedByBox, ruled(1, refuse), undone(1)], Inside),
            (&[ruled(1, admit), ruled(2, refuse), undone(1)], TurnedAway),
        ] {
            assert_eq!(Whereabouts::after(passages.iter().copied()), expected, "{passages:?}");
        }
    }
}

//! Whole taps by impostors (non-mated) and by the card's owners (mated).
//!
//! People are numbers.

use examgate::{
    domain::{Decision, Embedding, EmbeddingError, Similarity},
    session::Policy,
};

use examgate_enrol::faces::BothWays;

use crate::{
    play::rule::{self, Looks, Playing, Shown},
    statistics::bootstrap::{Draws, Random},
};

/// Each person's pictures.
pub(crate) type People<'e> = [Vec<&'e BothWays>];

fn probes<'e>(pictures: &[&'e BothWays]) -> Vec<(&'e Embedding, f32)> {
    pictures.iter().map(|picture| (&picture.probe, picture.weight)).collect()
}

fn templates<'e>(pictures: &[&'e BothWays]) -> Vec<&'e Embedding> {
    pictures.iter().map(|picture| &picture.template).collect()
}

/// Every person at every other's place: taps with a stolen card.
pub(crate) struct Impostors {
    /// Who took part: persons with enough pictures for both parts.
    people: Vec<usize>,
    /// Taps in which something came near enough to be played: impostor, victim, looks.
    near: Vec<([usize; 2], Looks)>,
}

impl Impostors {
    /// All taps among people with at least `least` pictures. The impostor shows all of theirs; the victim is enrolled with their first
    /// `enrolled`. Taps that never reach `floor` are only counted: no threshold at or above it can admit them.
    pub(crate) fn new(
        people: &People<'_>,
        [least, enrolled]: [usize; 2],
        playing: Playing,
        policy: &Policy,
        floor: Similarity,
    ) -> Result<Self, EmbeddingError> {
        let fit: Vec<_> = (0..people.len()).filter(|&person| people[person].len() >= least.max(enrolled)).collect();
        let mut random = Random(7);
        let mut near = Vec::new();
        for &impostor in &fit {
            let shown = Shown::new(&probes(&people[impostor]), playing, policy, &mut random)?;
            for &victim in fit.iter().filter(|&&victim| victim != impostor) {
                let looks = shown.against(&templates(&people[victim][..enrolled]));
                if looks.highest() >= floor {
                    near.push(([impostor, victim], looks));
                }
            }
        }
        Ok(Self { people: fit, near })
    }

    pub(crate) fn people(&self) -> usize {
        self.people.len()
    }

    pub(crate) fn taps(&self) -> usize {
        self.people.len() * self.people.len().saturating_sub(1)
    }

    /// The taps that `policy` admits: impostor and victim.
    pub(crate) fn admitted(&self, policy: &Policy) -> Vec<[usize; 2]> {
        self.near.iter().filter(|(_, looks)| looks.admits(policy)).map(|(pair, _)| *pair).collect()
    }

    /// Share of taps that are in `admitted`, with persons drawn so many `times`.
    pub(crate) fn rate(&self, admitted: &[[usize; 2]], times: &[f64]) -> Option<f64> {
        let (sum, squares) = self
            .people
            .iter()
            .fold((0.0, 0.0), |(sum, squares), &person| (sum + times[person], squares + times[person] * times[person]));
        let total = sum * sum - squares;
        let weight = |[a, b]: [usize; 2]| times[a] * times[b];
        (total > 0.0).then(|| admitted.iter().copied().map(weight).sum::<f64>() / total)
    }

    /// Taps that share nobody: the people in a random order, each two neighbours one tap. Admitted, and how many.
    pub(crate) fn independent(&self, admitted: &[[usize; 2]]) -> (u64, u64) {
        let mut people = self.people.clone();
        Random(11).shuffle(&mut people);
        let taps = people.as_chunks::<2>().0;
        (taps.iter().filter(|tap| admitted.contains(tap)).count() as u64, taps.len() as u64)
    }

    /// Whether the rate under `policy` is at most `target`: with the upper end of its interval where there are enough people to say so,
    /// else the rate itself.
    pub(crate) fn keeps(&self, target: f64, enough: usize, policy: &Policy, draws: &Draws) -> bool {
        let admitted = self.admitted(policy);
        if self.people() < enough {
            return admitted.len() as f64 <= target * self.taps() as f64;
        }
        draws.interval(|times| self.rate(&admitted, times)).is_some_and(|[_, upper]| upper <= target)
    }
}

/// The lowest threshold to admit, in steps of a thousandth, that `keeps`. Finer differences mean nothing. Bisected, since a higher
/// threshold never admits more.
pub(crate) fn lowest_admit(policy: &Policy, keeps: impl Fn(&Policy) -> bool) -> Similarity {
    let with = |thousandths: i32| {
        let mut policy = policy.clone();
        policy.thresholds.admit = Similarity::new(thousandths as f32 / 1000.0);
        policy
    };
    let (mut low, mut high) = ((policy.thresholds.refer.get() * 1000.0).floor() as i32, 1000);
    while high - low > 1 {
        let middle = i32::midpoint(low, high);
        if keeps(&with(middle)) { high = middle } else { low = middle }
    }
    with(high).thresholds.admit
}

/// How a student is enrolled and looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Practice {
    /// Enrolment photos.
    pub(crate) templates: usize,
    /// Whether the looks of an attempt differ and are fused, or are all of one picture.
    pub(crate) fused: bool,
}

/// Taps of people at their own place, and what they come to. Persons with at least `least` pictures take part: the first
/// two are for enrolment, whether one or both are used, the others are shown.
pub(crate) fn genuine(
    people: &People<'_>,
    least: usize,
    practice: Practice,
    policy: &Policy,
) -> Result<Vec<(u32, Option<Decision>)>, EmbeddingError> {
    let mut random = Random(13);
    let mut taps = Vec::new();
    for (person, pictures) in (0..).zip(people).filter(|(_, pictures)| pictures.len() >= least) {
        let (enrolled, shown) = pictures.split_at(2);
        let mut play = |shown: &[&BothWays], playing| {
            let shown = Shown::new(&probes(shown), playing, policy, &mut random)?;
            taps.push((person, shown.against(&templates(&enrolled[..practice.templates])).decision(policy)));
            Ok::<_, EmbeddingError>(())
        };
        if practice.fused {
            play(shown, Playing::Varied { looks_a_second: rule::FAST })?;
        } else {
            for picture in shown {
                play(&[picture], Playing::Held)?;
            }
        }
    }
    Ok(taps)
}

#[cfg(test)]
mod tests {
    use examgate::{domain::ArtifactId, session::Thresholds};

    use super::*;

    fn policy(admit: f32) -> Policy {
        Policy::with(Thresholds {
            artifact: ArtifactId::from_bytes([0; 32]),
            admit: Similarity::new(admit),
            refer: Similarity::new(0.3),
            live: 0.5,
            sure: 0.9,
        })
    }

    fn faces(angles: &[&[f32]]) -> Vec<Vec<BothWays>> {
        let face = |&angle: &f32| {
            let face = Embedding::normalised(vec![angle.cos(), angle.sin()]).unwrap();
            BothWays { probe: face.clone(), weight: 1.0, template: face }
        };
        angles.iter().map(|person| person.iter().map(face).collect()).collect()
    }

    #[test]
    fn every_person_taps_at_every_others_place() {
        // The first two look alike (cosine 0.98), the third like nobody.
        let faces = faces(&[&[0.0], &[0.2], &[2.0]]);
        let people: Vec<Vec<_>> = faces.iter().map(|person| person.iter().collect()).collect();
        let floor = Similarity::new(0.3);
        let taps = Impostors::new(&people, [1, 1], Playing::Held, &policy(0.5), floor).unwrap();
        assert_eq!((taps.people(), taps.taps()), (3, 6));
        let admitted = taps.admitted(&policy(0.5));
        assert_eq!(admitted, [[0, 1], [1, 0]]);
        assert_eq!(taps.rate(&admitted, &[1.0; 3]), Some(1.0 / 3.0));
        assert_eq!(taps.rate(&admitted, &[2.0, 0.0, 1.0]), Some(0.0));
        assert!(taps.admitted(&policy(0.99)).is_empty());
        let draws = Draws::new(3);
        let lowest = lowest_admit(&policy(0.5), |policy| taps.keeps(0.0, 3, policy, &draws));
        assert_eq!(lowest, Similarity::new(0.981));
        assert!(taps.keeps(0.34, 4, &policy(0.5), &draws), "too few to ask for the interval: the rate is a third");
        assert!(!taps.keeps(0.34, 3, &policy(0.5), &draws), "the interval reaches higher");
        assert_eq!(taps.independent(&admitted).1, 1, "three people make one tap that shares nobody");
    }

    #[test]
    fn enrolment_photos_are_never_shown() {
        // The second enrolment photo is like what is shown, the first is not.
        let faces = faces(&[&[2.0, 0.0, 0.1, -0.1], &[0.0, 0.0]]);
        let people: Vec<Vec<_>> = faces.iter().map(|person| person.iter().collect()).collect();
        for (templates, fused, wanted) in
            [(1, false, &[(0, false), (0, false)][..]), (2, false, &[(0, true), (0, true)]), (2, true, &[(0, true)])]
        {
            let got = genuine(&people, 3, Practice { templates, fused }, &policy(0.5)).unwrap();
            let got: Vec<_> =
                got.into_iter().map(|(person, came_to)| (person, came_to == Some(Decision::Admit))).collect();
            assert_eq!(got, wanted, "{templates} {fused}");
        }
    }
}

//! What a self-test adds up to, in numbers and in plain words.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use examgate::domain::QualityDefect;
use serde::Serialize;

use crate::{
    evaluate::{fusion::Seen, liveness::Line},
    play::tap::Outcome,
    statistics::exact::clopper_pearson,
};

/// Of the intervals.
const CONFIDENCE: f64 = 0.95;

/// The upper end of the interval of `events` in `trials`.
pub(super) fn at_most(events: u64, trials: u64) -> f64 {
    clopper_pearson(events, trials, CONFIDENCE)[1]
}

/// Everything. Rates are shares, 0 to 1.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// With a usable photo and a look.
    pub(super) people: usize,
    /// What could not be used, and why.
    pub(super) missing: Vec<String>,
    pub(super) photos: Vec<Photo>,
    pub(super) frames: Frames,
    /// Each look at its own person's place.
    pub(super) looks: Vec<TapRow>,
    /// Each person's first look at a neighbour's place.
    pub(super) neighbours: Vec<TapRow>,
    /// First looks compared with everybody else's photos, liveness aside, and who was alike enough to be admitted.
    pub(super) comparisons: u64,
    pub(super) taken_for: Vec<String>,
    pub(super) attacks: BTreeMap<String, Attack>,
}

/// An enrolment photo.
#[derive(Debug, Serialize)]
pub(super) struct Photo {
    pub(super) photo: String,
    pub(super) wrong: Option<String>,
}

/// What the frames of all looks were like, ten a second.
#[derive(Debug, Default, Serialize)]
pub(super) struct Frames {
    looked_at: usize,
    fit: usize,
    without_face: usize,
    several_faces: usize,
    defects: BTreeMap<QualityDefect, usize>,
}

impl Frames {
    pub(super) fn add(&mut self, seen: &Seen) {
        self.looked_at += seen.looked_at;
        self.fit += seen.fit.len();
        self.without_face += seen.without_face;
        self.several_faces += seen.several_faces;
        for (&defect, count) in &seen.defects {
            *self.defects.entry(defect).or_default() += count;
        }
    }
}

/// One tap.
#[derive(Debug, Serialize)]
pub(super) struct TapRow {
    look: String,
    /// Whether it is the first of its person (of its kind of attack): these are independent.
    first: bool,
    outcome: Outcome,
    decision: String,
    challenged: bool,
    /// First usable frame to decision.
    decide_ms: Option<u64>,
}

impl TapRow {
    pub(super) fn new(look: String, first: bool, line: &Line) -> Self {
        Self {
            look,
            first,
            outcome: line.outcome,
            decision: line.decision.clone(),
            challenged: line.challenged,
            decide_ms: line.decide_ms,
        }
    }
}

/// One kind of attack.
#[derive(Debug, Default, Serialize)]
pub(super) struct Attack {
    taps: Vec<TapRow>,
}

impl Attack {
    pub(super) fn add(&mut self, look: TapRow) {
        self.taps.push(look);
    }
}

/// How many of the first looks `are`, of how many, with the exact interval.
fn share(looks: &[TapRow], are: impl Fn(&TapRow) -> bool) -> String {
    let first = || looks.iter().filter(|look| look.first);
    let (events, of) = (first().filter(|look| are(look)).count() as u64, first().count() as u64);
    let [low, high] = clopper_pearson(events, of, CONFIDENCE).map(|rate| rate * 100.0);
    format!("{events} of {of} ({low:.1} to {high:.1} %)")
}

const fn words(defect: QualityDefect) -> &'static str {
    match defect {
        QualityDefect::TooFar => "too far away",
        QualityDefect::TooClose => "too close",
        QualityDefect::AtBorder => "partly outside the picture",
        QualityDefect::TurnedAway => "turned away",
        QualityDefect::TooDark => "too dark",
        QualityDefect::TooBright => "too bright",
        QualityDefect::Blurred => "blurred",
    }
}

fn admitted(look: &TapRow) -> bool {
    look.outcome == Outcome::Admitted
}

impl Report {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} people with a usable photo and a look. Intervals are exact and hold 95 %.", self.people)?;
        if !self.missing.is_empty() {
            writeln!(out, "\nNot used ({}):", self.missing.len())?;
            self.missing.iter().try_for_each(|what| writeln!(out, "  {what}"))?;
        }
        self.write_pictures(out)?;

        writeln!(out, "\nAt their own place, first look of each:")?;
        writeln!(out, "  admitted at once       {}", share(&self.looks, |look| admitted(look) && !look.challenged))?;
        writeln!(out, "  asked to turn          {}", share(&self.looks, |look| look.challenged))?;
        let other = |look: &TapRow| !admitted(look) && !look.challenged;
        writeln!(out, "  sent to the proctor    {}", share(&self.looks, other))?;
        for look in self.looks.iter().filter(|look| other(look)) {
            writeln!(out, "    {}: {}", look.look, look.decision)?;
        }
        let mut times: Vec<_> =
            self.looks.iter().filter(|look| admitted(look)).filter_map(|look| look.decide_ms).collect();
        times.sort_unstable();
        if let Some(median) = times.get(times.len() / 2) {
            writeln!(out, "  first usable frame to admission, median of {}: {median} ms", times.len())?;
        }
        let all = self.looks.iter().filter(|look| admitted(look)).count();
        writeln!(
            out,
            "  of all {} looks {all} admitted at once; a clip cannot do what it is asked, a person can",
            self.looks.len()
        )?;

        writeln!(out, "\nAt a neighbour's place, first look of each:")?;
        writeln!(out, "  admitted               {}", share(&self.neighbours, admitted))?;
        writeln!(
            out,
            "  faces alone, everybody against everybody else: {} of {} comparisons alike enough to admit",
            self.taken_for.len(),
            self.comparisons
        )?;
        for pair in &self.taken_for {
            writeln!(out, "    {pair}: their door needs a proctor, or one photo is wrong")?;
        }

        writeln!(out, "\nAttacks, the first of its kind on each person:")?;
        if self.attacks.is_empty() {
            writeln!(out, "  none were recorded: nothing is said about them")?;
        }
        for (kind, attack) in &self.attacks {
            writeln!(out, "  {kind:<22} admitted {}", share(&attack.taps, admitted))?;
            for tap in attack.taps.iter().filter(|tap| admitted(tap)) {
                writeln!(out, "    {}: admitted", tap.look)?;
            }
        }
        self.write_worth(out)
    }

    fn write_pictures(&self, out: &mut dyn Write) -> io::Result<()> {
        let wrong: Vec<_> =
            self.photos.iter().filter_map(|photo| Some((&photo.photo, photo.wrong.as_ref()?))).collect();
        writeln!(out, "\nPhotos: {} looked at, {} with something wrong", self.photos.len(), wrong.len())?;
        wrong.iter().try_for_each(|(photo, why)| writeln!(out, "  {photo}: {why}"))?;
        let Frames { looked_at, fit, without_face, several_faces, defects } = &self.frames;
        let of = |count: usize| 100.0 * count as f64 / (*looked_at).max(1) as f64;
        writeln!(out, "\nFrames before the camera: {looked_at} looked at, {:.0} % usable", of(*fit))?;
        let counts = [("nobody in view", *without_face), ("several people", *several_faces)];
        let counts = counts.into_iter().chain(defects.iter().map(|(&defect, &count)| (words(defect), count)));
        for (what, count) in counts.filter(|(_, count)| *count > 0) {
            writeln!(out, "  {:.0} % {what}", of(count))?;
        }
        Ok(())
    }

    fn write_worth(&self, out: &mut dyn Write) -> io::Result<()> {
        let people = self.people as u64;
        writeln!(out, "\nWhat this can carry, and what not:")?;
        writeln!(
            out,
            "  Among {people} people, even if nothing goes wrong, what goes wrong for {:.1} % of all may have been missed.",
            at_most(0, people) * 100.0
        )?;
        writeln!(
            out,
            "  One stranger admitted in 10,000 cannot be seen among fewer than 549 people: `examgate-lab calibrate` says what can."
        )?;
        writeln!(
            out,
            "  It holds for this camera, this light and people like these. Whoever takes part knows it and looks nicely; attackers here\n  \
             were staff, not people with something to gain. Other kinds of attack are not covered."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(first: bool, outcome: Outcome, challenged: bool) -> TapRow {
        TapRow {
            look: "p001/1".into(),
            first,
            outcome,
            decision: "refer (no_face)".into(),
            challenged,
            decide_ms: Some(700),
        }
    }

    #[test]
    fn only_first_looks_are_counted_and_all_are_told() {
        let report = Report {
            people: 3,
            looks: vec![
                look(true, Outcome::Admitted, false),
                look(false, Outcome::Admitted, false),
                look(true, Outcome::Asked, true),
                look(true, Outcome::NotLookedAt, false),
            ],
            attacks: BTreeMap::from([("print".into(), Attack { taps: vec![look(true, Outcome::Refused, false)] })]),
            ..Report::default()
        };
        let mut out = Vec::new();
        report.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in [
            "admitted at once       1 of 3 (0.8 to 90.6 %)",
            "asked to turn          1 of 3",
            "sent to the proctor    1 of 3",
            "p001/1: refer (no_face)",
            "of all 4 looks 2 admitted at once",
            "print                  admitted 0 of 1 (0.0 to 97.5 %)",
            "Among 3 people, even if nothing goes wrong, what goes wrong for 70.8 % of all may",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}

//! The result of a calibration: as JSON, as Markdown, and as thresholds for the model manifest.

use std::fmt::Write;

use examgate::vision::{Calibration, Digest};
use serde::Serialize;

/// The whole report. Rates are shares, 0 to 1; intervals hold 95 %; `null` is what the data do not say.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) key: Key,
    pub(super) data: Data,
    pub(super) date: String,
    pub(super) command: String,
    pub(super) thresholds: Vec<Target>,
    pub(super) proposal: Proposal,
    pub(super) admit_in_use: f32,
    pub(super) refer_in_use: f32,
    pub(super) same_face: f32,
    pub(super) unsure: Option<f32>,
    pub(super) fmr_in_use: f64,
    pub(super) fmr_in_use_interval: Option<[f64; 2]>,
    pub(super) accepts: Vec<Accepts>,
    pub(super) genuine: Vec<Genuine>,
    /// The threshold at which `worst` and `groups` are counted.
    pub(super) worst_at: f32,
    pub(super) worst: Vec<Identity>,
    pub(super) groups: Vec<Group>,
}

/// The embedder and rule that the thresholds belong to; they are invalid for any other.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    pub(super) space: String,
    pub(super) probe_artifact: Digest,
    pub(super) enrolment_artifact: Digest,
    pub(super) rule: String,
    pub(super) model: String,
}

/// What they were measured on.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    pub(super) digest: String,
    pub(super) people: usize,
    pub(super) pictures: usize,
    pub(super) pictures_without_face: usize,
    pub(super) comparisons_mated: usize,
    pub(super) comparisons_non_mated: u64,
}

/// The similarity at one false match rate.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    pub(super) fmr: f64,
    /// The number of people needed, where there is too little data for the rate.
    pub(super) people_needed: Option<usize>,
    pub(super) threshold: Option<f32>,
    pub(super) threshold_interval: Option<[f32; 2]>,
    pub(super) fmr_interval: Option<[f64; 2]>,
    pub(super) fnmr: Option<f64>,
    pub(super) fnmr_interval: Option<[f64; 2]>,
}

/// Thresholds for the rule.
#[derive(Debug, Serialize)]
pub(super) struct Proposal {
    pub(super) accept_rate: f64,
    pub(super) refer_rate: f64,
    pub(super) admit: Option<f32>,
    pub(super) refer: Option<f32>,
    pub(super) people_needed: Option<usize>,
}

/// Whole taps by impostors.
#[derive(Debug, Serialize)]
pub(super) struct Accepts {
    pub(super) thresholds: &'static str,
    /// How many different looks per second were fused; `null`: one picture was held.
    pub(super) looks_a_second: Option<u32>,
    pub(super) templates: usize,
    pub(super) pictures_at_least: usize,
    pub(super) people: usize,
    pub(super) taps: usize,
    pub(super) admitted: usize,
    pub(super) rate: f64,
    /// Bootstrap over people.
    pub(super) interval: Option<[f64; 2]>,
    pub(super) independent_taps: u64,
    pub(super) independent_admitted: u64,
    /// Clopper-Pearson over taps that share nobody.
    pub(super) independent_interval: [f64; 2],
    /// The lowest rate that can be shown with so many taps.
    pub(super) carries: f64,
}

/// Whole taps by people at their own place.
#[derive(Debug, Serialize)]
pub(super) struct Genuine {
    pub(super) thresholds: &'static str,
    pub(super) templates: usize,
    pub(super) fused: bool,
    pub(super) people: usize,
    pub(super) taps: usize,
    /// Referred to the proctor or denied.
    pub(super) not_admitted: Option<f64>,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) denied: Option<f64>,
}

/// Somebody who is often taken for others.
#[derive(Debug, Serialize)]
pub(super) struct Identity {
    pub(super) person: String,
    pub(super) pictures: usize,
    pub(super) taken_for: usize,
    pub(super) fmr: f64,
}

/// A group of people among themselves.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) group: String,
    pub(super) people: usize,
    pub(super) comparisons: u64,
    pub(super) matches: usize,
    pub(super) fmr: Option<f64>,
    pub(super) interval: Option<[f64; 2]>,
}

fn rate(rate: f64) -> String {
    format!("{rate:.2e}")
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.2} %", share * 100.0))
}

fn within<T: Copy>(interval: Option<[T; 2]>, show: impl Fn(T) -> String) -> String {
    interval.map_or_else(|| "–".into(), |[low, high]| format!("{} to {}", show(low), show(high)))
}

impl Report {
    /// The report for people.
    pub(super) fn markdown(&self) -> String {
        let mut out = String::new();
        self.write_markdown(&mut out).expect("a string takes what is written");
        out
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        let Data { digest, people, pictures, pictures_without_face, comparisons_mated, comparisons_non_mated } =
            &self.data;
        let cosine = |value: f32| format!("{value:.3}");
        writeln!(out, "# Calibration of {} ({})\n", self.key.model, self.key.space)?;
        writeln!(out, "Rule: {}.", self.key.rule)?;
        writeln!(
            out,
            "Data: {pictures} pictures of {people} people ({pictures_without_face} without a face left out), {comparisons_mated} mated and \
             {comparisons_non_mated} non-mated comparisons; SHA-256 {digest}. {}",
            self.date
        )?;
        writeln!(
            out,
            "\nIntervals hold 95 % and come from a bootstrap over people: other pictures of other people would have given something in \
             between. A similarity is a cosine and no probability.\n"
        )?;
        writeln!(out, "## Comparisons\n")?;
        writeln!(out, "| FMR | similarity | interval | FNMR there | interval |\n|---|---|---|---|---|")?;
        for target in &self.thresholds {
            match (target.people_needed, target.threshold) {
                (None, Some(threshold)) => writeln!(
                    out,
                    "| {:.0e} | {} | {} | {} | {} |",
                    target.fmr,
                    cosine(threshold),
                    within(target.threshold_interval, cosine),
                    share(target.fnmr),
                    within(target.fnmr_interval, |v| share(Some(v))),
                )?,
                (needed, _) => writeln!(
                    out,
                    "| {:.0e} | refused: {people} people cannot carry it, about {} would | | | |",
                    target.fmr,
                    needed.unwrap_or_default(),
                )?,
            }
        }
        writeln!(
            out,
            "\nIn use: admit {} (FMR {}, {}), refer {}.\n",
            self.admit_in_use,
            rate(self.fmr_in_use),
            within(self.fmr_in_use_interval, rate),
            self.refer_in_use
        )?;
        let Proposal { accept_rate, refer_rate, admit, refer, people_needed } = self.proposal;
        match (admit, refer) {
            (Some(admit), Some(refer)) => writeln!(
                out,
                "Proposed: admit {admit:.3}: of no kind of tap played below is more than {accept_rate:.0e} falsely accepted, and where enough people \
                 played it, the whole interval is below that. Refer {refer:.3}: FMR {refer_rate:.0e}, upper end of the interval.",
            )?,
            _ => writeln!(
                out,
                "Nothing is proposed: for {accept_rate:.0e} of whole taps and an FMR of {refer_rate:.0e} about {} people are needed.",
                people_needed.unwrap_or_default()
            )?,
        }
        self.write_taps(out)?;
        self.write_people(out)
    }

    fn write_taps(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n## Whole taps by others\n")?;
        writeln!(
            out,
            "Everybody at everybody else's place, through the shipped rule, liveness taken as passed. Held: one picture an attempt; fused: \
             all pictures of the person in every attempt, one a look, again and again. Video lies in between.\n"
        )?;
        writeln!(
            out,
            "| thresholds | looks | templates | people | taps | admitted | rate | interval | taps that share nobody, exact interval | carries |\n\
             |---|---|---|---|---|---|---|---|---|---|"
        )?;
        for taps in &self.accepts {
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} of {}: {} | {} |",
                taps.thresholds,
                taps.looks_a_second.map_or_else(|| "held".into(), |rate| format!("fused, {rate} a second")),
                taps.templates,
                taps.people,
                taps.taps,
                taps.admitted,
                rate(taps.rate),
                within(taps.interval, rate),
                taps.independent_admitted,
                taps.independent_taps,
                within(Some(taps.independent_interval), rate),
                rate(taps.carries),
            )?;
        }
        writeln!(out, "\n## Whole taps by the people themselves\n")?;
        writeln!(
            out,
            "Who is not admitted goes to the proctor. Enrolled with the first one or two pictures, shown the others; fused at {} looks a second. \
             With one tap a person the interval is exact (Clopper-Pearson).\n\n\
             | thresholds | looks | templates | people | taps | not admitted | interval | of all, denied |\n|---|---|---|---|---|---|---|---|",
            crate::play::rule::FAST,
        )?;
        for taps in &self.genuine {
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                taps.thresholds,
                if taps.fused { "fused" } else { "held" },
                taps.templates,
                taps.people,
                taps.taps,
                share(taps.not_admitted),
                within(taps.interval, |v| share(Some(v))),
                share(taps.denied),
            )?;
        }
        Ok(())
    }

    fn write_people(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n## People most often taken for others, at {:.3}\n", self.worst_at)?;
        writeln!(out, "An impostor borrows the card of somebody like them: the mean over all people flatters.\n")?;
        writeln!(out, "| person | pictures | taken for | FMR |\n|---|---|---|---|")?;
        for one in &self.worst {
            writeln!(out, "| {} | {} | {} | {} |", one.person, one.pictures, one.taken_for, rate(one.fmr))?;
        }
        if !self.groups.is_empty() {
            writeln!(out, "\n## Inside each group, at {:.3}\n", self.worst_at)?;
            writeln!(out, "| group | people | comparisons | matches | FMR | interval |\n|---|---|---|---|---|---|")?;
            for group in &self.groups {
                writeln!(
                    out,
                    "| {} | {} | {} | {} | {} | {} |",
                    group.group,
                    group.people,
                    group.comparisons,
                    group.matches,
                    group.fmr.map_or_else(|| "–".into(), rate),
                    within(group.interval, rate),
                )?;
            }
        }
        Ok(())
    }

    /// The thresholds as the model manifest wants them, with what they belong to and where they come from.
    ///
    /// # Errors
    /// Says how many people it would take, if the data cannot carry them.
    pub(super) fn thresholds(&self) -> Result<String, String> {
        let (Some(admit), Some(refer)) = (self.proposal.admit, self.proposal.refer) else {
            return Err(format!(
                "{} people are there, about {} are needed",
                self.data.people,
                self.proposal.people_needed.unwrap_or_default()
            ));
        };
        let Proposal { accept_rate, refer_rate, .. } = self.proposal;
        let source = format!(
            "examgate-lab calibrate, {}: {accept_rate:.0e} of whole taps falsely accepted (admit) and FMR {refer_rate:.0e} (refer), 95 % \
             bootstrap over {} people, {} pictures; data SHA-256 {}",
            self.date, self.data.people, self.data.pictures, self.data.digest
        );
        let Key { space, probe_artifact, enrolment_artifact, rule, model } = &self.key;
        let calibration = Calibration {
            space: space.clone(),
            probe_artifact: *probe_artifact,
            enrolment_artifact: *enrolment_artifact,
            rule: rule.clone(),
            data: self.data.digest.clone().try_into()?,
            people: self.data.people,
            pictures: self.data.pictures,
            date: self.date.clone(),
            command: self.command.clone(),
        };
        let unsure = self.unsure.map(|length| format!("unsure = {length:.2}\n")).unwrap_or_default();
        let table = toml::to_string(&calibration).expect("names and numbers are TOML");
        Ok(format!(
            "# For models/manifest.toml: put them there instead of the tables of the same names.\n\
             [model.{model}.thresholds]\nadmit = {admit:.3}\nrefer = {refer:.3}\nsame_face = {:.3}\n{unsure}source = {}\n\n\
             # What they belong to: with another embedder or another rule they mean nothing.\n\
             [model.{model}.calibration]\n{table}",
            self.same_face,
            toml::Value::String(source),
        ))
    }
}

//! The report in Markdown: tables, the longest last.
//!
//! It never counts: what it writes was counted by `report`.

use std::fmt::{Result, Write};

use super::{
    curve::Moment,
    name,
    rates::Tally,
    report::{Kind, Line, Pieces, Report, Unplayable},
};

/// All of it.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = String::new();
    for part in [sums, by_live_clip, by_kind, over_time, line_by_line] {
        part(report, &mut text).expect("a string takes everything");
    }
    text
}

fn per_cent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".into(), |rate| format!("{:.1} %", rate * 100.0))
}

fn range(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(|| "-".into(), |[low, high]| format!("{:.1} to {:.1} %", low * 100.0, high * 100.0))
}

fn millis(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms"))
}

/// The cells of five columns.
fn counts(tally: &Tally) -> String {
    let Tally { sessions, admitted, asked, refused, not_looked_at } = tally;
    format!("{sessions} | {admitted} | {asked} | {refused} | {not_looked_at}")
}

fn sums(report: &Report, out: &mut String) -> Result {
    if let (Some(piece), Some(every)) = (report.piece_s, report.every_s) {
        writeln!(
            out,
            "Clips cut into pieces of {piece} s, one beginning every {every} s, each one session. Pieces of one clip show one person and one \
             scene: they are not independent, so there are no intervals.\n"
        )?;
    }
    writeln!(
        out,
        "| | sessions | admitted | asked | refused | not looked at | unplayable | admitted of those looked at | 95 % |\n\
         |---|---|---|---|---|---|---|---|---|"
    )?;
    for (name, tally, admission) in [
        ("live", &report.live_tally, &report.live_admission),
        ("attacks", &report.attack_tally, &report.attack_admission),
    ] {
        let unplayable = report.unplayable.iter().filter(|clip| clip.among == name).count();
        let (counts, rate, interval) = (counts(tally), per_cent(admission.rate), range(admission.interval_95));
        writeln!(out, "| {name} | {counts} | {unplayable} | {rate} | {interval} |")?;
    }
    writeln!(
        out,
        "\nAsk rate {} ({}): live sessions asked for a head turn, of those looked at.\n\
         PAD alone, of sessions that were judged: APCER {} ({}), BPCER {} ({}). Live, first usable frame to admission: p50 {}, p95 {}.",
        per_cent(report.ask_rate),
        range(report.ask_rate_interval_95),
        per_cent(report.apcer),
        range(report.apcer_interval_95),
        per_cent(report.bpcer),
        range(report.bpcer_interval_95),
        millis(report.decide_ms_p50),
        millis(report.decide_ms_p95),
    )
}

fn by_live_clip(report: &Report, out: &mut String) -> Result {
    if report.live_pieces.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n| live clip | pieces | admitted | asked | refused | not looked at | to admission, p50 | longest |\n\
         |---|---|---|---|---|---|---|---|"
    )?;
    for (clip, pieces) in &report.live_pieces {
        let Pieces { tally, decide_ms_p50, decide_ms_max } = *pieces;
        let [middle, longest] = [decide_ms_p50, decide_ms_max].map(millis);
        writeln!(out, "| {clip} | {} | {middle} | {longest} |", counts(&tally))?;
    }
    Ok(())
}

fn by_kind(report: &Report, out: &mut String) -> Result {
    for (what, groups) in [("kind of attack", &report.attacks), ("moved", &report.attacks_by_movement)] {
        if groups.is_empty() {
            continue;
        }
        writeln!(
            out,
            "\n| {what} | sessions | admitted | asked | refused | not looked at | APCER | APCER, 95 % |\n|---|---|---|---|---|---|---|---|"
        )?;
        for (name, Kind { tally, apcer, admission: _ }) in groups {
            let (counts, rate, interval) = (counts(tally), per_cent(apcer.rate), range(apcer.interval_95));
            writeln!(out, "| {name} | {counts} | {rate} | {interval} |")?;
        }
    }
    Ok(())
}

fn over_time(report: &Report, out: &mut String) -> Result {
    writeln!(
        out,
        "\n| since the first usable frame | live admitted by then | attacks | live alike enough then | live admitted, if a look lasts so long at \
         least and nothing is asked | attacks |\n|---|---|---|---|---|---|"
    )?;
    for moment in &report.curve {
        let Moment { ms, live_admitted, attacks_admitted, live_alike, live_if_least, attacks_if_least } = *moment;
        let [a, b, c, d, e] = [live_admitted, attacks_admitted, live_alike, live_if_least, attacks_if_least]
            .map(|rate| per_cent(Some(rate)));
        writeln!(out, "| {ms} ms | {a} | {b} | {c} | {d} | {e} |")?;
    }
    Ok(())
}

fn line_by_line(report: &Report, out: &mut String) -> Result {
    writeln!(
        out,
        "\n| clip | outcome | decision | cue | frames | first usable frame to decision |\n|---|---|---|---|---|---|"
    )?;
    for line in report.live_clips.iter().chain(&report.attack_clips) {
        let cue = line.cue.map_or_else(|| "-".into(), |cue| format!("{cue:?}").to_lowercase());
        let Line { outcome, decision, frames_used, decide_ms, .. } = line;
        let (clip, took) = (name(&line.clip, line.from_s), millis(*decide_ms));
        let outcome = outcome.words();
        writeln!(out, "| {clip} | {outcome} | {decision} | {cue} | {frames_used} | {took} |")?;
    }
    for Unplayable { among: _, clip, why } in &report.unplayable {
        writeln!(out, "| {clip} | unplayable | {why} | - | - | - |")?;
    }
    Ok(())
}

//! The report in Markdown: tables, the longest last.
//!
//! It never counts: what it writes was counted by `report`.

use std::fmt::{Result, Write};

use super::{
    curve::Moment,
    name,
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

fn sums(report: &Report, out: &mut String) -> Result {
    if let (Some(piece), Some(every)) = (report.piece_s, report.every_s) {
        writeln!(
            out,
            "Clips cut into pieces of {piece} s, one beginning every {every} s, each one session. Pieces of one clip show one person and one \
             scene: they are not independent, so there are no intervals.\n"
        )?;
    }
    writeln!(out, "| | sessions | admitted | undecided | admitted, 95 % |\n|---|---|---|---|---|")?;
    for (name, [of, admitted, undecided], interval) in [
        ("live", [report.live_sessions, report.live_admitted, report.live_undecided], report.live_admitted_interval_95),
        (
            "attacks",
            [report.attack_sessions, report.attacks_admitted, report.attacks_undecided],
            report.attacks_admitted_interval_95,
        ),
    ] {
        let rate = per_cent((of > 0).then(|| admitted as f64 / of as f64));
        writeln!(out, "| {name} | {of} | {admitted} ({rate}) | {undecided} | {} |", range(interval))?;
    }
    writeln!(
        out,
        "\nPAD alone: APCER {} ({}), BPCER {} ({}). Live, first usable frame to admission: p50 {}, p95 {}.",
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
        "\n| live clip | pieces | admitted | undecided | to admission, p50 | longest |\n|---|---|---|---|---|---|"
    )?;
    for (clip, pieces) in &report.live_pieces {
        let Pieces { sessions, admitted, undecided, decide_ms_p50, decide_ms_max } = *pieces;
        let [middle, longest] = [decide_ms_p50, decide_ms_max].map(millis);
        writeln!(out, "| {clip} | {sessions} | {admitted} | {undecided} | {middle} | {longest} |")?;
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
            "\n| {what} | sessions | admitted | undecided | APCER | APCER, 95 % |\n|---|---|---|---|---|---|"
        )?;
        for (name, Kind { apcer, admitted, undecided }) in groups {
            let (of, rate, interval) = (apcer.of, per_cent(apcer.rate), range(apcer.interval_95));
            writeln!(out, "| {name} | {of} | {} | {} | {rate} | {interval} |", admitted.events, undecided.events)?;
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
        writeln!(out, "| {clip} | {outcome} | {decision} | {cue} | {frames_used} | {took} |")?;
    }
    for Unplayable { clip, why } in &report.unplayable {
        writeln!(out, "| {clip} | not played | {why} | - | - | - |")?;
    }
    Ok(())
}

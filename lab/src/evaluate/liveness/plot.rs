//! Plots the error against the length of the look.

use std::{io, path::Path, time::Duration};

use plotters::{
    element::PathElement,
    series::LineSeries,
    style::{BLACK, Color, RGBColor},
};

use super::{
    super::plots::{Drawn, MATED, NON_MATED, PALETTE, SIZE, Sheet, chart, legend, mesh, sheet},
    curve::Moment,
};

/// Writes `error-against-time.svg` into `folder`: who is admitted by when, and whom a look of that length would admit. `least` is marked.
pub(super) fn error_against_time(folder: &Path, curve: &[Moment], least: Duration) -> io::Result<()> {
    sheet(folder, "error-against-time.svg", |sheet| against_time(sheet, curve, least))
}

fn against_time(sheet: &Sheet<'_>, curve: &[Moment], least: Duration) -> Drawn {
    type Line = (&'static str, RGBColor, fn(&Moment) -> f64);
    const BY_THEN: [Line; 3] = [
        ("live alike enough", PALETTE[2], |moment| moment.live_alike),
        ("live admitted", MATED, |moment| moment.live_admitted),
        ("attacks admitted", NON_MATED, |moment| moment.attacks_admitted),
    ];
    const IF_LEAST: [Line; 2] = [
        ("live admitted", MATED, |moment| moment.live_if_least),
        ("attacks admitted", NON_MATED, |moment| moment.attacks_if_least),
    ];
    let end = curve.last().map_or(1, |last| last.ms.max(1)) as f64 / 1000.0;
    let (left, right) = sheet.split_horizontally(SIZE.0 / 2);
    for (half, caption, lines) in [
        (left, "The rule as it is: by then", &BY_THEN[..]),
        (right, "If a look lasted so long at least", &IF_LEAST[..]),
    ] {
        // Above the whole there is room for the legend.
        let mut chart = chart(&half, caption, (0.0..end, 0.0..1.35))?;
        let share = |share: &f64| if *share <= 1.0 { format!("{:.0} %", share * 100.0) } else { String::new() };
        mesh(&mut chart, "seconds since the first usable frame", "share of the sessions")
            .max_light_lines(1)
            .x_labels(6)
            .y_labels(8)
            .y_label_formatter(&share)
            .draw()?;
        for &(label, colour, of) in lines {
            let stroke = colour.stroke_width(3);
            let points = curve.iter().map(|moment| (moment.ms as f64 / 1000.0, of(moment)));
            chart
                .draw_series(LineSeries::new(points, stroke))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], stroke));
        }
        let at = least.as_secs_f64();
        chart
            .draw_series(LineSeries::new([(at, 0.0), (at, 1.0)], BLACK.mix(0.6).stroke_width(2)))?
            .label(format!("shortest look, {at} s"))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLACK.mix(0.6).stroke_width(2)));
        legend(&mut chart)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_drawn_whatever_the_curve() {
        let folder = tempfile::tempdir().unwrap();
        let curve: Vec<_> =
            (0..=25).map(|n| Moment { ms: n * 100, live_admitted: n as f64 / 25.0, ..Moment::default() }).collect();
        for curve in [&curve[..], &curve[..1], &[]] {
            error_against_time(folder.path(), curve, Duration::from_millis(700)).unwrap();
            let svg = fs::read_to_string(folder.path().join("error-against-time.svg")).unwrap();
            assert!(svg.contains("shortest look, 0.7 s") && svg.trim_end().ends_with("</svg>"));
        }
    }
}

//! Plots of comparison scores: a histogram and a DET curve.

use std::{io, path::Path};

use plotters::{
    coord::combinators::IntoLogRange,
    element::{Circle, PathElement, Rectangle},
    series::LineSeries,
    style::{BLACK, Color},
};

use super::{Drawn, MATED, NON_MATED, Sheet, chart, legend, mesh, per_cent, sheet};
use crate::statistics::scores::Scores;

/// Bars of the histogram between the ends of `SPAN`.
const BARS: usize = 70;
const SPAN: [f64; 2] = [-0.4, 1.0];

/// Writes `histogram.svg` and `det.svg` into `folder`. `threshold` is marked.
pub(in crate::evaluate) fn scores(folder: &Path, scores: &Scores, threshold: f32) -> io::Result<()> {
    sheet(folder, "histogram.svg", |sheet| histogram(sheet, scores, threshold))?;
    sheet(folder, "det.svg", |sheet| det(sheet, scores, threshold))
}

/// Shares of the comparisons in each bar.
fn bars(scores: &[f32]) -> Vec<f64> {
    let mut bars = vec![0.0; BARS];
    for &score in scores {
        let at = (f64::from(score) - SPAN[0]) / (SPAN[1] - SPAN[0]) * BARS as f64;
        // What could not be compared has no place; the ends take what lies beyond.
        if at.is_finite() {
            bars[(at.max(0.0) as usize).min(BARS - 1)] += 1.0 / scores.len() as f64;
        }
    }
    bars
}

fn histogram(sheet: &Sheet<'_>, scores: &Scores, threshold: f32) -> Drawn {
    let (mated, non_mated) = (bars(scores.mated_scores()), bars(scores.non_mated_scores()));
    // A third more than needed: room for the legend.
    let highest = mated.iter().chain(&non_mated).copied().fold(0.01, f64::max) * 1.33;
    let mut chart = chart(sheet, "Similarity of comparisons", (SPAN[0]..SPAN[1], 0.0..highest))?;
    mesh(&mut chart, "cosine", "share of the comparisons").max_light_lines(1).y_label_formatter(&per_cent).draw()?;
    let width = (SPAN[1] - SPAN[0]) / BARS as f64;
    for (bars, colour, label) in [(non_mated, NON_MATED, "two people"), (mated, MATED, "the same person")] {
        let bar = |(at, high): (usize, f64)| {
            let left = SPAN[0] + at as f64 * width;
            Rectangle::new([(left, 0.0), (left + width, high)], colour.mix(0.55).filled())
        };
        chart
            .draw_series(bars.into_iter().enumerate().map(bar))?
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.mix(0.55).filled()));
    }
    let at = f64::from(threshold);
    chart
        .draw_series(LineSeries::new([(at, 0.0), (at, highest)], BLACK.stroke_width(2)))?
        .label(format!("admit {threshold}"))
        .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLACK.stroke_width(2)));
    legend(&mut chart)
}

/// Detection error trade-off (ISO/IEC 19795-1): both rates on logarithmic axes.
fn det(sheet: &Sheet<'_>, scores: &Scores, threshold: f32) -> Drawn {
    // Below one comparison in all there is nothing to see.
    let lowest = |comparisons: usize| (0.5 / comparisons.max(1) as f64).max(1e-7);
    let (left, bottom) = (lowest(scores.non_mated()), lowest(scores.mated()));
    let rates = |threshold: f32| Some((scores.fmr(threshold)?.max(left), scores.fnmr(threshold)?.max(bottom)));
    let axes = ((left..1.0).log_scale(), (bottom..1.0).log_scale());
    let mut chart = chart(sheet, "Detection error trade-off", axes)?;
    let rate = |rate: &f64| if *rate < 1.0 { format!("{rate:.0e}") } else { "1".into() };
    mesh(&mut chart, "false match rate", "false non-match rate")
        .x_label_formatter(&rate)
        .y_label_formatter(&rate)
        .draw()?;
    let curve = (-400..=1000).filter_map(|thousandths: i16| rates(f32::from(thousandths) / 1000.0));
    chart.draw_series(LineSeries::new(curve, MATED.stroke_width(2)))?;
    if let Some(point) = rates(threshold) {
        chart
            .draw_series([Circle::new(point, 5, NON_MATED.filled())])?
            .label(format!("admit {threshold}"))
            .legend(|(x, y)| Circle::new((x + 7, y), 5, NON_MATED.filled()));
        legend(&mut chart)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::statistics::scores::NOT_COMPARED;

    #[test]
    fn bars_hold_all_that_could_be_compared() {
        let bars = bars(&[-0.9, 0.0, 0.0, 1.0, NOT_COMPARED]);
        assert!((bars.iter().sum::<f64>() - 0.8).abs() < 1e-9);
        assert_eq!((bars[0], bars[20], bars[BARS - 1]), (0.2, 0.4, 0.2));
    }

    #[test]
    fn both_plots_are_drawn_whatever_the_scores() {
        let folder = tempfile::tempdir().unwrap();
        let some = Scores::new(vec![0.7, 0.8, NOT_COMPARED], vec![0.0, 0.1, 0.5]);
        for scores in [some, Scores::new(vec![0.7], vec![]), Scores::new(vec![], vec![])] {
            super::scores(folder.path(), &scores, 0.475).unwrap();
            for name in ["histogram.svg", "det.svg"] {
                let svg = fs::read_to_string(folder.path().join(name)).unwrap();
                assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
            }
        }
        assert!(fs::read_to_string(folder.path().join("histogram.svg")).unwrap().contains("admit 0.475"));
    }
}

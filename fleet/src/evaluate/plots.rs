//! Plots of an evaluation, as SVG: what the scores look like, and which errors go with which.
//!
//! It never knows a person.

use std::{fs, io, path::Path, time::Duration};

use plotters::{
    chart::{ChartBuilder, ChartContext, SeriesLabelPosition},
    coord::{Shift, cartesian::Cartesian2d, combinators::IntoLogRange, ranged1d::Ranged},
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, PathElement, Rectangle},
    prelude::SVGBackend,
    series::LineSeries,
    style::{BLACK, Color, RGBColor, WHITE},
};

use super::{
    discard::{Curve, SHARES},
    fusion,
    liveness::Moment,
    metrics::Scores,
    quality::Distribution,
};

const SIZE: (u32, u32) = (900, 600);
/// Blue and orange of Okabe and Ito's palette: told apart by the colour-blind too.
const MATED: RGBColor = RGBColor(0, 114, 178);
const NON_MATED: RGBColor = RGBColor(213, 94, 0);
/// The same palette whole (Okabe and Ito, "Color universal design", 2008).
const OKABE_ITO: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(240, 228, 66),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
];
/// Bars of a property's small histogram.
const SMALL_BARS: usize = 40;
/// Bars of the histogram between -0.4 and 1.
const BARS: usize = 70;
const SPAN: [f64; 2] = [-0.4, 1.0];

/// Writes `histogram.svg` and `det.svg` into `folder`. `threshold` is marked.
pub(super) fn write(folder: &Path, scores: &Scores, threshold: f32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    histogram(&folder.join("histogram.svg"), scores, threshold).map_err(io::Error::other)?;
    det(&folder.join("det.svg"), scores, threshold).map_err(io::Error::other)
}

type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

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

fn histogram(path: &Path, scores: &Scores, threshold: f32) -> Drawn {
    let area = area(path)?;
    let (mated, non_mated) = (bars(scores.mated_scores()), bars(scores.non_mated_scores()));
    let highest = mated.iter().chain(&non_mated).copied().fold(0.01, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(&area)
        .caption("Similarity of comparisons", ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(SPAN[0]..SPAN[1], 0.0..highest)?;
    let share = |share: &f64| format!("{:.0} %", share * 100.0);
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc("cosine")
        .y_desc("share of the comparisons")
        .y_label_formatter(&share)
        .draw()?;
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
    legend(&mut chart)?;
    Ok(area.present()?)
}

/// Detection error trade-off (ISO/IEC 19795-1): both rates on logarithmic axes.
fn det(path: &Path, scores: &Scores, threshold: f32) -> Drawn {
    let area = area(path)?;
    // Below one comparison in all there is nothing to see.
    let lowest = |comparisons: usize| (0.5 / comparisons.max(1) as f64).max(1e-7);
    let (left, bottom) = (lowest(scores.non_mated()), lowest(scores.mated()));
    let rates = |threshold: f32| Some((scores.fmr(threshold)?.max(left), scores.fnmr(threshold)?.max(bottom)));
    let mut chart = ChartBuilder::on(&area)
        .caption("Detection error trade-off", ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(74)
        .build_cartesian_2d((left..1.0).log_scale(), (bottom..1.0).log_scale())?;
    let rate = |rate: &f64| format!("{rate:.0e}");
    chart
        .configure_mesh()
        .x_desc("false match rate")
        .y_desc("false non-match rate")
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
    Ok(area.present()?)
}

/// Writes `distributions.svg` and, where there are curves, `error-versus-discard.svg` into `folder`.
pub(super) fn quality(folder: &Path, distributions: &[Distribution], curves: &[Curve]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    each_distribution(&folder.join("distributions.svg"), distributions).map_err(io::Error::other)?;
    if curves.is_empty() {
        return Ok(());
    }
    discard(&folder.join("error-versus-discard.svg"), curves).map_err(io::Error::other)
}

/// A small histogram for each property.
fn each_distribution(path: &Path, distributions: &[Distribution]) -> Drawn {
    const COLUMNS: usize = 4;
    let area = area(path)?;
    let cells = area.split_evenly((distributions.len().div_ceil(COLUMNS).max(1), COLUMNS));
    for (one, cell) in distributions.iter().zip(&cells) {
        let (least, most) = match one.values[..] {
            [] => (0.0, 1.0),
            [least, .., most] if most > least => (least, most),
            [value, ..] => (value - 0.5, value + 0.5),
        };
        let (least, width) = (f64::from(least), f64::from(most - least) / SMALL_BARS as f64);
        let mut bars = [0.0_f64; SMALL_BARS];
        for &value in &one.values {
            let at = (f64::from(value) - least) / width;
            bars[(at as usize).min(SMALL_BARS - 1)] += 1.0;
        }
        let highest = bars.iter().copied().fold(1.0, f64::max);
        let unit = if one.unit.is_empty() { String::new() } else { format!(", {}", one.unit) };
        let mut chart = ChartBuilder::on(cell)
            .caption(format!("{}{unit}", one.name), ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(24)
            .build_cartesian_2d(least..f64::from(most), 0.0..highest)?;
        chart.configure_mesh().disable_mesh().x_labels(4).draw()?;
        let bar = |(at, high): (usize, f64)| {
            let left = least + at as f64 * width;
            Rectangle::new([(left, 0.0), (left + width, high)], MATED.mix(0.7).filled())
        };
        chart.draw_series(bars.into_iter().enumerate().map(bar))?;
    }
    Ok(area.present()?)
}

/// False non-match rate over the share of pictures left out.
fn discard(path: &Path, curves: &[Curve]) -> Drawn {
    let area = area(path)?;
    let highest = curves.iter().flat_map(|curve| &curve.fnmr).flatten().copied().fold(0.01, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(&area)
        .caption("Error versus discard", ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..SHARES[SHARES.len() - 1], 0.0..highest)?;
    let share = |share: &f64| format!("{:.0} %", share * 100.0);
    let rate = |rate: &f64| format!("{:.1} %", rate * 100.0);
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc("pictures left out, the worst first")
        .y_desc("false non-match rate")
        .x_label_formatter(&share)
        .y_label_formatter(&rate)
        .draw()?;
    for (at, curve) in curves.iter().enumerate() {
        let colour = OKABE_ITO[at % OKABE_ITO.len()];
        // The palette has eight colours: the second round is thinner.
        let stroke = colour.stroke_width(if at < OKABE_ITO.len() { 3 } else { 1 });
        let points = SHARES.into_iter().zip(&curve.fnmr).filter_map(|(share, fnmr)| Some((share, (*fnmr)?)));
        chart
            .draw_series(LineSeries::new(points, stroke))?
            .label(&curve.measure)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], stroke));
    }
    legend(&mut chart)?;
    Ok(area.present()?)
}

/// Writes `error-by-frames.svg` into `folder`: false non-match rate over the frames fused, a line for each source and number of photos.
pub(super) fn error_by_frames(folder: &Path, lines: &[fusion::Line]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    by_frames(&folder.join("error-by-frames.svg"), lines).map_err(io::Error::other)
}

fn by_frames(path: &Path, lines: &[fusion::Line]) -> Drawn {
    let area = area(path)?;
    let most = lines.iter().map(|line| line.frames).max().unwrap_or(1);
    let highest = lines.iter().map(|line| line.fnmr).fold(0.01, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(&area)
        .caption("Error by frames fused", ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(1..most.max(2), 0.0..highest)?;
    let rate = |rate: &f64| format!("{:.1} %", rate * 100.0);
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc("frames fused")
        .y_desc("false non-match rate at admit")
        .y_label_formatter(&rate)
        .draw()?;
    let curves = lines.chunk_by(|a, b| (&a.source, a.photos) == (&b.source, b.photos));
    for (at, curve) in curves.enumerate().filter(|(_, curve)| curve.len() > 1) {
        let stroke = OKABE_ITO[at % OKABE_ITO.len()].stroke_width(2);
        let (first, points) = (&curve[0], curve.iter().map(|line| (line.frames, line.fnmr)));
        chart
            .draw_series(LineSeries::new(points, stroke))?
            .label(format!("{} people, {}, {} photo(s)", first.people, first.source, first.photos))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], stroke));
    }
    legend(&mut chart)?;
    Ok(area.present()?)
}

/// Writes `error-against-time.svg` into `folder`: who is admitted by when, and whom a look of that length would admit. `least` is marked.
pub(super) fn error_against_time(folder: &Path, curve: &[Moment], least: Duration) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    against_time(&folder.join("error-against-time.svg"), curve, least).map_err(io::Error::other)
}

fn against_time(path: &Path, curve: &[Moment], least: Duration) -> Drawn {
    type Line = (&'static str, RGBColor, fn(&Moment) -> f64);
    const BY_THEN: [Line; 3] = [
        ("live alike enough", OKABE_ITO[3], |moment| moment.live_alike),
        ("live admitted", MATED, |moment| moment.live_admitted),
        ("attacks admitted", NON_MATED, |moment| moment.attacks_admitted),
    ];
    const IF_LEAST: [Line; 2] = [
        ("live admitted", MATED, |moment| moment.live_if_least),
        ("attacks admitted", NON_MATED, |moment| moment.attacks_if_least),
    ];
    let area = area(path)?;
    let end = curve.last().map_or(1, |last| last.ms.max(1));
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    for (half, caption, lines) in [
        (left, "The rule as it is: by then", &BY_THEN[..]),
        (right, "If a look lasted so long at least", &IF_LEAST[..]),
    ] {
        let mut chart = ChartBuilder::on(&half)
            .caption(caption, ("sans-serif", 18))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(54)
            .build_cartesian_2d(0..end, 0.0..1.3)?;
        let share = |share: &f64| format!("{:.0} %", share * 100.0);
        chart
            .configure_mesh()
            .max_light_lines(1)
            .y_labels(6)
            .x_desc("milliseconds since the first usable frame")
            .y_desc("share of the sessions")
            .y_label_formatter(&share)
            .draw()?;
        for &(label, colour, of) in lines {
            let stroke = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(curve.iter().map(|moment| (moment.ms, of(moment))), stroke))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], stroke));
        }
        let at = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
        chart
            .draw_series(LineSeries::new([(at, 0.0), (at, 1.0)], BLACK.mix(0.5)))?
            .label(format!("shortest look, {at} ms"))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLACK.mix(0.5)));
        legend(&mut chart)?;
    }
    Ok(area.present()?)
}

fn area(path: &Path) -> Result<DrawingArea<SVGBackend<'_>, Shift>, Box<dyn std::error::Error + Send + Sync>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    Ok(area)
}

fn legend<'a, X: Ranged, Y: Ranged>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn {
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
    Ok(labels.draw()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::metrics::NOT_COMPARED;

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
            write(folder.path(), &scores, 0.475).unwrap();
            for name in ["histogram.svg", "det.svg"] {
                let svg = fs::read_to_string(folder.path().join(name)).unwrap();
                assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
            }
        }
        assert!(fs::read_to_string(folder.path().join("histogram.svg")).unwrap().contains("admit 0.475"));
    }
}

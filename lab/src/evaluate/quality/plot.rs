//! Plots of the quality measures: their distributions and their error-versus-discard curves.

use std::{io, path::Path};

use plotters::{
    chart::ChartBuilder,
    element::{PathElement, Rectangle, Text},
    series::LineSeries,
    style::{
        Color, IntoTextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    super::{
        discard::{Curve, SHARES, Verdict},
        plots::{Drawn, MARGIN, MATED, PALETTE, SIZE, Sheet, TEXT, chart, mesh, per_cent, sheet},
    },
    Distribution,
};

/// Bars of a property's histogram.
const BARS: usize = 40;
/// Histograms beside each other.
const COLUMNS: usize = 4;
/// Room for the names of the curves on their right, pixels.
const NAMES: u32 = 190;
/// Height of such a name.
const LINE: f64 = 17.0;

/// Writes `distributions.svg` and, where there are curves, `error-versus-discard.svg` into `folder`.
pub(super) fn quality(folder: &Path, distributions: &[Distribution], curves: &[Curve]) -> io::Result<()> {
    sheet(folder, "distributions.svg", |sheet| each_distribution(sheet, distributions))?;
    if curves.is_empty() {
        return Ok(());
    }
    sheet(folder, "error-versus-discard.svg", |sheet| discard(sheet, curves))
}

/// A small histogram for each property.
fn each_distribution(sheet: &Sheet<'_>, distributions: &[Distribution]) -> Drawn {
    let cells = sheet.split_evenly((distributions.len().div_ceil(COLUMNS).max(1), COLUMNS));
    for (one, cell) in distributions.iter().zip(&cells) {
        let (least, most) = match one.values[..] {
            [] => (0.0, 1.0),
            [least, .., most] if most > least => (least, most),
            [value, ..] => (value - 0.5, value + 0.5),
        };
        let (least, width) = (f64::from(least), f64::from(most - least) / BARS as f64);
        let mut bars = [0.0_f64; BARS];
        for &value in &one.values {
            let at = (f64::from(value) - least) / width;
            bars[(at as usize).min(BARS - 1)] += 1.0;
        }
        let highest = bars.iter().copied().fold(1.0, f64::max);
        let unit = if one.unit.is_empty() { String::new() } else { format!(", {}", one.unit) };
        let mut chart = ChartBuilder::on(cell)
            .caption(format!("{}{unit}", words(one.name)), TEXT)
            .margin(10)
            .x_label_area_size(26)
            .build_cartesian_2d(least..f64::from(most), 0.0..highest)?;
        chart.configure_mesh().disable_mesh().x_labels(4).label_style(TEXT).draw()?;
        let bar = |(at, high): (usize, f64)| {
            let left = least + at as f64 * width;
            Rectangle::new([(left, 0.0), (left + width, high)], MATED.mix(0.7).filled())
        };
        chart.draw_series(bars.into_iter().enumerate().map(bar))?;
    }
    Ok(())
}

/// `eye_distance` as people write it.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// False non-match rate over the share of pictures left out; each curve is named where it ends, and those that say nothing are thin.
fn discard(sheet: &Sheet<'_>, curves: &[Curve]) -> Drawn {
    let highest = curves.iter().flat_map(|curve| &curve.fnmr).flatten().copied().fold(0.01, f64::max) * 1.1;
    let (plot, _) = sheet.split_horizontally(SIZE.0 - NAMES);
    let axes = (0.0..SHARES[SHARES.len() - 1], 0.0..highest);
    let mut chart = chart(&plot, "Error versus discard", axes)?;
    let rate = |rate: &f64| format!("{:.1} %", rate * 100.0);
    mesh(&mut chart, "pictures left out, the worst first", "false non-match rate")
        .max_light_lines(1)
        .x_labels(6)
        .x_label_formatter(&per_cent)
        .y_label_formatter(&rate)
        .draw()?;
    let mut ends = Vec::new();
    for (at, curve) in curves.iter().enumerate() {
        let colour = PALETTE[at % (PALETTE.len() - 1)];
        let stroke = match curve.verdict {
            Verdict::Foretells | Verdict::Misleads => colour.stroke_width(3),
            Verdict::Silent => colour.mix(0.7).stroke_width(1),
        };
        let points: Vec<_> =
            SHARES.into_iter().zip(&curve.fnmr).filter_map(|(share, fnmr)| Some((share, (*fnmr)?))).collect();
        if let Some(&last) = points.last() {
            ends.push((f64::from(chart.backend_coord(&last).1), colour, words(&curve.measure)));
        }
        chart.draw_series(LineSeries::new(points, stroke))?;
    }
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let places = apart(&ends.iter().map(|end| end.0).collect::<Vec<_>>(), f64::from(SIZE.1) - 20.0);
    let right = (SIZE.0 - NAMES) as i32;
    for ((end, colour, name), place) in ends.iter().zip(places) {
        let from_curve = [(right - MARGIN as i32 + 1, *end as i32), (right + 4, place as i32)];
        sheet.draw(&PathElement::new(from_curve, colour.stroke_width(1)))?;
        let style = TEXT.into_text_style(sheet).pos(Pos::new(HPos::Left, VPos::Center));
        sheet.draw(&Text::new(name.as_str(), (right + 8, place as i32), style))?;
    }
    Ok(())
}

/// Where lines of text go whose places, ascending, lie too close: downwards, and up again from `bottom`.
fn apart(places: &[f64], bottom: f64) -> Vec<f64> {
    let mut apart = places.to_vec();
    for at in 1..apart.len() {
        apart[at] = apart[at].max(apart[at - 1] + LINE);
    }
    let mut limit = bottom;
    for place in apart.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LINE;
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lie_on_each_other() {
        for (places, wanted) in [
            (&[][..], vec![]),
            (&[10.0, 100.0], vec![10.0, 100.0]),
            (&[10.0, 12.0, 13.0], vec![10.0, 27.0, 44.0]),
            (&[180.0, 181.0, 190.0], vec![166.0, 183.0, 200.0]),
        ] {
            assert_eq!(apart(places, 200.0), wanted, "{places:?}");
        }
    }
}

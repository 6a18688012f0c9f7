//! The error by the frames fused, as a plot.

use std::{collections::BTreeMap, io, path::Path};

use plotters::{
    element::{Circle, PathElement},
    series::LineSeries,
    style::Color,
};

use super::super::plots::{Drawn, PALETTE, Sheet, chart, legend, mesh, sheet};

/// One line: so many people of one source, enrolled with so many photos.
pub(super) struct Curve {
    pub(super) source: String,
    pub(super) people: usize,
    pub(super) photos: usize,
    /// Frames fused, and the false non-match rate then.
    pub(super) points: Vec<(usize, f64)>,
}

/// Writes `error-by-frames.svg` into `folder`. One colour a source; the more photos, the thicker.
pub(super) fn error_by_frames(folder: &Path, curves: &[Curve]) -> io::Result<()> {
    sheet(folder, "error-by-frames.svg", |sheet| by_frames(sheet, curves))
}

fn by_frames(sheet: &Sheet<'_>, curves: &[Curve]) -> Drawn {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most = points().map(|&(frames, _)| frames).max().unwrap_or(1);
    let highest = points().map(|&(_, fnmr)| fnmr).fold(0.01, f64::max) * 1.1;
    let mut chart = chart(sheet, "Error by frames fused", (1..most.max(2), 0.0..highest))?;
    let rate = |rate: &f64| format!("{:.1} %", rate * 100.0);
    mesh(&mut chart, "frames fused", "false non-match rate at admit")
        .max_light_lines(1)
        .y_label_formatter(&rate)
        .draw()?;
    let mut colours = BTreeMap::new();
    for Curve { source, people, photos, points } in curves {
        let next = PALETTE[colours.len() % PALETTE.len()];
        let colour = *colours.entry(source).or_insert(next);
        let width = if *photos > 1 { 4 } else { 2 };
        let photos = if *photos > 1 { format!("{photos} photos") } else { "1 photo".into() };
        let stroke = colour.stroke_width(width);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), stroke))?
            .label(format!("{people} people, {source}, {photos}"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], stroke));
        chart.draw_series(points.iter().map(|&point| Circle::new(point, width + 1, colour.filled())))?;
    }
    legend(&mut chart)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let curve = |photos, points| Curve { source: "clips".into(), people: 7, photos, points };
        error_by_frames(folder.path(), &[curve(1, vec![(1, 0.06), (8, 0.05)]), curve(2, vec![(1, 0.04)])]).unwrap();
        let svg = fs::read_to_string(folder.path().join("error-by-frames.svg")).unwrap();
        assert!(svg.contains("7 people, clips, 1 photo\n") && svg.contains("7 people, clips, 2 photos\n"), "{svg}");
        error_by_frames(folder.path(), &[]).unwrap();
    }
}

//! Plots of an evaluation, as SVG: one sheet, one palette, one size of letters for all of them.
//!
//! `scores` draws what several commands may, others draw their own.

mod scores;

use std::{fs, io, path::Path};

use plotters::{
    chart::{ChartBuilder, ChartContext, MeshStyle, SeriesLabelPosition},
    coord::{
        Shift,
        cartesian::Cartesian2d,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    },
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    prelude::SVGBackend,
    style::{BLACK, Color, RGBColor, WHITE},
};

pub(super) use self::scores::scores;

/// Width and height of a sheet, pixels.
pub(super) const SIZE: (u32, u32) = (900, 600);
/// The palette of Okabe and Ito ("Color universal design", 2008), told apart by the colour-blind too. Yellow, faint on white, comes last.
pub(super) const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(240, 228, 66),
];
/// Of the same person, of live people.
pub(super) const MATED: RGBColor = PALETTE[0];
/// Of two people, of attacks.
pub(super) const NON_MATED: RGBColor = PALETTE[1];

/// Around a chart, pixels.
pub(super) const MARGIN: u32 = 14;
/// Letters on axes and in legends, pixels.
pub(super) const TEXT: (&str, i32) = ("sans-serif", 15);
const CAPTION: (&str, i32) = ("sans-serif", 21);

pub(super) type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;
pub(super) type Sheet<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Chart<'a, X, Y> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>;

/// Draws one sheet into `folder`, which is made if it is not there.
pub(super) fn sheet(folder: &Path, name: &str, draw: impl FnOnce(&Sheet<'_>) -> Drawn) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
    let drawn = || -> Drawn {
        let sheet = SVGBackend::new(&path, SIZE).into_drawing_area();
        sheet.fill(&WHITE)?;
        draw(&sheet)?;
        Ok(sheet.present()?)
    };
    drawn().map_err(io::Error::other)
}

/// Axes under a `caption`.
pub(super) fn chart<'a, X: AsRangedCoord, Y: AsRangedCoord>(
    sheet: &Sheet<'a>,
    caption: &str,
    (x, y): (X, Y),
) -> Result<Chart<'a, X::CoordDescType, Y::CoordDescType>, DrawingAreaErrorKind<io::Error>> {
    let mut builder = ChartBuilder::on(sheet);
    builder
        .caption(caption, CAPTION)
        .margin(MARGIN)
        .x_label_area_size(50)
        .y_label_area_size(74)
        .build_cartesian_2d(x, y)
}

/// A mesh whose lines stand behind what is drawn.
pub(super) fn mesh<'a, 'c, X, Y>(
    chart: &'c mut Chart<'a, X, Y>,
    x: &str,
    y: &str,
) -> MeshStyle<'a, 'c, X, Y, SVGBackend<'a>>
where
    X: Ranged + ValueFormatter<X::ValueType>,
    Y: Ranged + ValueFormatter<Y::ValueType>,
{
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(BLACK.mix(0.14)).light_line_style(BLACK.mix(0.05)).label_style(TEXT).axis_desc_style(TEXT);
    mesh.x_desc(x).y_desc(y);
    mesh
}

/// What the lines are, in the upper right corner.
pub(super) fn legend<'a, X: Ranged, Y: Ranged>(chart: &mut Chart<'a, X, Y>) -> Drawn {
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.9)).border_style(BLACK.mix(0.3));
    Ok(labels.label_font(TEXT).draw()?)
}

/// Of a share, 0 to 1.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what plotters calls with a label's value")]
pub(super) fn per_cent(share: &f64) -> String {
    format!("{:.0} %", share * 100.0)
}

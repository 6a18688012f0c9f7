//! `shapes`: where faces have their points, as numbers that the detector tells a strange face by.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::bail;
use examgate::{exit::Refusal, vision::Shape};
use examgate_enrol::{
    faces::each_central,
    models::{self, ModelArgs},
};

use crate::dataset::pictures;

/// Fewer faces say nothing of how faces are spread.
const LEAST: usize = 200;
/// Share of the strangest faces that is left out: their points may be wrong, which the numbers are to notice.
const LEFT_OUT: f64 = 0.01;

type Vector = [f64; 5];
type Matrix = [Vector; 5];

/// Measures how eyes, nose and mouth are spread in the faces of many pictures.
///
/// Printed are the three arrays of src/vision/detect/shape.rs: the mean of what a mirror leaves as it is, and the inverse covariances of
/// what it leaves and of what it turns about. The strangest hundredth of the faces is left out.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  examgate-lab shapes --images id-photos")]
pub(crate) struct Args {
    /// Folder of pictures, JPEG or PNG; those of its folders are taken, too.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    #[command(flatten)]
    models: ModelArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let paths = pictures::list(&args.images)?;
    let models = args.models.load()?;
    let shapes = each_central(&models, models::default_threads(), &paths, |_, _, face| Ok(Shape::of(face)))?;
    let wide = |values: [f32; 5]| values.map(f64::from);
    let mut shapes: Vec<(Vector, Vector)> =
        shapes.into_iter().flatten().map(|shape| (wide(shape.even), wide(shape.odd))).collect();
    if shapes.len() < LEAST {
        bail!(Refusal::Data(format!(
            "{} has {} pictures with a face: at least {LEAST} are needed",
            args.images.display(),
            shapes.len()
        )));
    }
    let all = Spread::of(&shapes)?;
    shapes.sort_by(|a, b| all.distance(a).total_cmp(&all.distance(b)));
    shapes.truncate(((1.0 - LEFT_OUT) * shapes.len() as f64) as usize);
    let spread = Spread::of(&shapes)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{} faces", shapes.len())?;
    writeln!(out, "MEAN {:.5?}", spread.mean)?;
    writeln!(out, "EVEN {:.1?}", spread.even)?;
    writeln!(out, "ODD {:.1?}", spread.odd)?;
    Ok(())
}

/// A mean and two inverse covariances.
struct Spread {
    mean: Vector,
    even: Matrix,
    odd: Matrix,
}

impl Spread {
    fn of(shapes: &[(Vector, Vector)]) -> anyhow::Result<Self> {
        let count = shapes.len() as f64;
        let mean: Vector = std::array::from_fn(|i| shapes.iter().map(|(even, _)| even[i]).sum::<f64>() / count);
        let even = shapes.iter().map(|(even, _)| std::array::from_fn(|i| even[i] - mean[i]));
        Ok(Self { mean, even: inverse_covariance(even)?, odd: inverse_covariance(shapes.iter().map(|(_, odd)| *odd))? })
    }

    /// Squared.
    fn distance(&self, (even, odd): &(Vector, Vector)) -> f64 {
        let even = std::array::from_fn(|i| even[i] - self.mean[i]);
        quadratic(&even, &self.even) + quadratic(odd, &self.odd)
    }
}

fn quadratic(v: &Vector, matrix: &Matrix) -> f64 {
    matrix.iter().zip(v).map(|(row, a)| a * row.iter().zip(v).map(|(m, b)| m * b).sum::<f64>()).sum()
}

/// Of vectors about 0.
fn inverse_covariance(vectors: impl Iterator<Item = Vector> + Clone) -> anyhow::Result<Matrix> {
    let count = vectors.clone().count() as f64;
    let covariance = std::array::from_fn(|i| {
        std::array::from_fn(|j| vectors.clone().map(|vector| vector[i] * vector[j]).sum::<f64>() / count)
    });
    match inverse(covariance) {
        Some(inverse) => Ok(inverse),
        None => bail!(Refusal::Data("all faces are the same: their spread cannot be measured".into())),
    }
}

/// By Gauss and Jordan, with the largest pivot; `None` where there is none.
fn inverse(mut left: Matrix) -> Option<Matrix> {
    let mut right: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
    for column in 0..5 {
        let pivot = (column..5).max_by(|&a, &b| left[a][column].abs().total_cmp(&left[b][column].abs()))?;
        left.swap(column, pivot);
        right.swap(column, pivot);
        let scale = left[column][column];
        if scale.abs() < 1e-12 {
            return None;
        }
        left[column].iter_mut().chain(&mut right[column]).for_each(|value| *value /= scale);
        let (of_left, of_right) = (left[column], right[column]);
        for row in (0..5).filter(|&row| row != column) {
            let times = left[row][column];
            left[row].iter_mut().zip(of_left).for_each(|(value, other)| *value -= times * other);
            right[row].iter_mut().zip(of_right).for_each(|(value, other)| *value -= times * other);
        }
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_times_the_matrix_is_one() {
        let matrix: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| 1.0 / (i + j + 1) as f64));
        let inverse = inverse(matrix).unwrap();
        for (i, row) in matrix.iter().enumerate() {
            for j in 0..5 {
                let product: f64 = row.iter().zip(&inverse).map(|(a, b)| a * b[j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-6, "{i} {j}: {product}");
            }
        }
        assert_eq!(super::inverse([[1.0; 5]; 5]), None);
    }

    #[test]
    fn a_spread_is_found_again() {
        // Two of each: at the mean plus and minus one deviation along each axis.
        let deviations = [0.01, 0.02, 0.03, 0.04, 0.05];
        let mut shapes = Vec::new();
        for (axis, deviation) in deviations.into_iter().enumerate() {
            for sign in [-1.0, 1.0] {
                let mut even = [0.2; 5];
                let mut odd = [0.0; 5];
                even[axis] += sign * deviation;
                odd[axis] += sign * deviation;
                shapes.push((even, odd));
            }
        }
        let spread = Spread::of(&shapes).unwrap();
        assert!(spread.mean.iter().all(|mean| (mean - 0.2).abs() < 1e-9));
        // A fifth of the shapes lie along each axis.
        assert!((spread.odd[2][2] - 5.0 / 0.0009).abs() < 1e-6 && spread.even[0][1].abs() < 1e-6);
        assert!((spread.distance(&shapes[0]) - 10.0).abs() < 1e-6);
    }
}

//! Whether eyes, nose and mouth lie where those of a face may lie in its box.
//!
//! Where the third net is wrong about the points, it seldom is wrong about all of them and the box in a way that fits: they contradict
//! each other. Over many faces the points are spread like a normal distribution in ten dimensions, and the mirror image of a face is as
//! likely as the face, so that what is even and what is odd under mirroring does not depend on each other.

use crate::vision::{Face, Point};

/// Where a face's points lie in its box, about the box's middle and in shares of its longer side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// What a mirror leaves as it is: half the distance of the eyes, their height, the nose's height, half the mouth's width, its height.
    pub even: [f32; 5],
    /// What a mirror turns about: the eyes' middle, half their slope, the nose, the mouth's middle, half its slope.
    pub odd: [f32; 5],
}

/// The mean of [`Shape::even`]; that of [`Shape::odd`] is 0 by symmetry. These and the two below: `examgate-lab shapes --images` on LFW
/// deep-funneled, folds 1-3.
const MEAN: [f32; 5] = [0.16749, -0.11034, 0.08606, 0.14884, 0.25547];
/// The inverse of its covariance.
const EVEN: [[f32; 5]; 5] = [
    [20063.2, 4166.1, 1126.9, -13424.3, -8360.3],
    [4166.1, 4826.5, -1091.7, -3147.2, -2901.8],
    [1126.9, -1091.7, 1288.4, -1694.0, -1131.3],
    [-13424.3, -3147.2, -1694.0, 15258.8, 9530.4],
    [-8360.3, -2901.8, -1131.3, 9530.4, 8087.3],
];
/// The inverse of the covariance of [`Shape::odd`].
const ODD: [[f32; 5]; 5] = [
    [11130.4, 1247.9, -5584.6, -1540.4, -6639.8],
    [1247.9, 96317.4, -4220.2, 5385.6, -85674.8],
    [-5584.6, -4220.2, 5034.2, -3000.5, 1117.0],
    [-1540.4, 5385.6, -3000.5, 6894.9, 5827.3],
    [-6639.8, -85674.8, 1117.0, 5827.3, 114022.7],
];

impl Shape {
    /// Of `face`.
    #[must_use]
    pub fn of(face: &Face) -> Self {
        let (middle, side) = (face.bounds.centre(), face.bounds.width().max(face.bounds.height()).max(1.0));
        let [left, right, nose, mouth_left, mouth_right] =
            face.landmarks.0.map(|p| Point { x: (p.x - middle.x) / side, y: (p.y - middle.y) / side });
        let (half, mean) = (|a: f32, b: f32| (b - a) / 2.0, |a: f32, b: f32| f32::midpoint(a, b));
        Self {
            even: [
                half(left.x, right.x),
                mean(left.y, right.y),
                nose.y,
                half(mouth_left.x, mouth_right.x),
                mean(mouth_left.y, mouth_right.y),
            ],
            odd: [
                mean(left.x, right.x),
                half(left.y, right.y),
                nose.x,
                mean(mouth_left.x, mouth_right.x),
                half(mouth_left.y, mouth_right.y),
            ],
        }
    }

    /// Its Mahalanobis distance from the mean face: about 3 for half of all faces, above 5 for one in twenty.
    pub(super) fn strangeness(&self) -> f32 {
        let mut even = self.even;
        even.iter_mut().zip(MEAN).for_each(|(value, mean)| *value -= mean);
        (quadratic(&even, &EVEN) + quadratic(&self.odd, &ODD)).max(0.0).sqrt()
    }
}

fn quadratic(v: &[f32; 5], matrix: &[[f32; 5]; 5]) -> f32 {
    matrix.iter().zip(v).map(|(row, a)| a * row.iter().zip(v).map(|(m, b)| m * b).sum::<f32>()).sum()
}

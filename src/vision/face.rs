//! Where a face is in a picture. Coordinates are pixels, the picture's top left corner is (0, 0).

/// A point in a picture, pixels; the centre of the top left pixel is (0, 0).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Pixels from the left.
    pub x: f32,
    /// Pixels from the top.
    pub y: f32,
}

/// A rectangle, half open; may reach outside the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// First column.
    pub left: f32,
    /// First row.
    pub top: f32,
    /// One past the last column.
    pub right: f32,
    /// One past the last row.
    pub bottom: f32,
}

impl Bounds {
    /// Columns.
    #[must_use]
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Its middle.
    #[must_use]
    pub fn centre(&self) -> Point {
        Point { x: (self.left + self.right) / 2.0, y: (self.top + self.bottom) / 2.0 }
    }
}

/// Five points of a face, in the picture's order: the eye further left, the other eye, the nose, the mouth's left corner, its right
/// corner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Landmarks(pub [Point; 5]);

impl Landmarks {
    /// Distance between the eyes, pixels.
    #[must_use]
    pub fn eye_distance(&self) -> f32 {
        let [left, right, ..] = self.0;
        (right.x - left.x).hypot(right.y - left.y)
    }

    /// Distance between the eyes over the distance from the middle of the eyes to that of the mouth: about 0.87 of a frontal face. Not a
    /// number if all points are one.
    #[must_use]
    pub fn proportion(&self) -> f32 {
        let [left, right, _, mouth_left, mouth_right] = self.0;
        let down =
            (left.x + right.x - mouth_left.x - mouth_right.x).hypot(left.y + right.y - mouth_left.y - mouth_right.y);
        2.0 * self.eye_distance() / down
    }

    /// The same points, drawn together (below 1) or apart around their middle.
    pub(crate) fn scaled(&self, scale: f32) -> Self {
        let (x, y) = self.0.iter().fold((0.0, 0.0), |(x, y), point| (x + point.x / 5.0, y + point.y / 5.0));
        Self(self.0.map(|point| Point { x: x + (point.x - x) * scale, y: y + (point.y - y) * scale }))
    }
}

/// One face found in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// The face from forehead to chin.
    pub bounds: Bounds,
    /// The detector's probability of a face, 0..=1.
    pub score: f32,
    /// Eyes, nose, mouth.
    pub landmarks: Landmarks,
}

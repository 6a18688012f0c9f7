//! Pictures of 8-bit colour in memory: owned ([`Image`]) and borrowed ([`ImageView`]).

use zeroize::Zeroize;

use super::manifest::Colour;

/// Bytes that are not the picture they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// No pixels at all.
    #[error("a picture of {width}x{height} pixels has none to look at")]
    Empty {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A row does not fit into its stride.
    #[error("rows of {width} pixels take {} bytes, the stride is only {stride}", width * 3)]
    Stride {
        /// Pixels a row.
        width: usize,
        /// Bytes from row to row.
        stride: usize,
    },
    /// Fewer bytes than the dimensions ask for.
    #[error("a picture of {width}x{height} pixels (stride {stride}) takes {expected} bytes, {actual} came")]
    Length {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes from row to row.
        stride: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
}

/// A borrowed picture: 8 bits, three interleaved channels, rows from the top, `stride` bytes apart.
#[derive(Clone, Copy)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    colour: Colour,
}

impl<'a> ImageView<'a> {
    /// Looks at `data` as `height` rows of `width` pixels, `stride` bytes apart.
    ///
    /// # Errors
    /// When there is no pixel, a row does not fit its stride, or bytes are missing.
    pub fn new(
        data: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
        colour: Colour,
    ) -> Result<Self, PictureError> {
        if width == 0 || height == 0 {
            return Err(PictureError::Empty { width, height });
        }
        if width.checked_mul(3).is_none_or(|row| row > stride) {
            return Err(PictureError::Stride { width, stride });
        }
        let expected = stride.saturating_mul(height - 1).saturating_add(width * 3);
        if data.len() < expected {
            return Err(PictureError::Length { width, height, stride, expected, actual: data.len() });
        }
        Ok(Self { data, width, height, stride, colour })
    }

    /// Pixels a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Order of the channels.
    #[must_use]
    pub const fn colour(&self) -> Colour {
        self.colour
    }

    /// Row `y` from the top, `3 * width` bytes. `y` must be below the height.
    #[must_use]
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width * 3]
    }
}

/// A turn of a picture by right angles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A quarter clockwise: what lay at the left is at the top.
    Right,
    /// A half.
    Half,
    /// A quarter anticlockwise: what lay at the right is at the top.
    Left,
}

/// An owned picture without gaps between rows. Wiped when dropped: it may show a face.
#[derive(Clone)]
pub struct Image {
    data: Vec<u8>,
    width: usize,
    height: usize,
    colour: Colour,
}

impl Image {
    /// A picture without pixels, to decode into.
    #[must_use]
    pub const fn empty() -> Self {
        Self { data: Vec::new(), width: 0, height: 0, colour: Colour::Rgb }
    }

    /// Takes `3 * width * height` bytes.
    ///
    /// # Errors
    /// When there is no pixel, or bytes are missing.
    pub fn new(data: Vec<u8>, width: usize, height: usize, colour: Colour) -> Result<Self, PictureError> {
        ImageView::new(&data, width, height, width.saturating_mul(3), colour)?;
        Ok(Self { data, width, height, colour })
    }

    /// Makes room for `width * height` pixels, keeping the buffer, and returns it to be filled.
    pub(crate) fn reshape(&mut self, width: usize, height: usize, colour: Colour) -> &mut [u8] {
        self.data.resize(width * height * 3, 0);
        (self.width, self.height, self.colour) = (width, height, colour);
        &mut self.data
    }

    /// The picture, turned.
    #[must_use]
    pub fn turned(&self, turn: Turn) -> Self {
        let (width, height) = match turn {
            Turn::Half => (self.width, self.height),
            Turn::Right | Turn::Left => (self.height, self.width),
        };
        let mut data = Vec::with_capacity(self.data.len());
        for y in 0..height {
            for x in 0..width {
                let (column, row) = match turn {
                    Turn::Right => (y, width - 1 - x),
                    Turn::Half => (width - 1 - x, height - 1 - y),
                    Turn::Left => (height - 1 - y, x),
                };
                data.extend_from_slice(&self.data[(row * self.width + column) * 3..][..3]);
            }
        }
        Self { data, width, height, colour: self.colour }
    }

    /// Pixels a row; 0 if nothing was decoded into it.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows; 0 if nothing was decoded into it.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The bytes: `3 * width` a row.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// Looks at it.
    ///
    /// # Errors
    /// When nothing was decoded into it yet.
    pub fn view(&self) -> Result<ImageView<'_>, PictureError> {
        ImageView::new(&self.data, self.width, self.height, self.width * 3, self.colour)
    }
}

impl std::fmt::Debug for ImageView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageView({}x{} {:?})", self.width, self.height, self.colour)
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}x{} {:?})", self.width, self.height, self.colour)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_bring_each_side_to_the_top() {
        // Two rows of three pixels, numbered as they are read.
        let bytes = (1..=6).flat_map(|n| [n; 3]).collect();
        let image = Image::new(bytes, 3, 2, Colour::Rgb).unwrap();
        for (turn, size, wanted) in [
            (Turn::Right, (2, 3), [4, 1, 5, 2, 6, 3]),
            (Turn::Half, (3, 2), [6, 5, 4, 3, 2, 1]),
            (Turn::Left, (2, 3), [3, 6, 2, 5, 1, 4]),
        ] {
            let turned = image.turned(turn);
            assert_eq!((turned.width(), turned.height()), size, "{turn:?}");
            let first: Vec<u8> = turned.as_bytes().chunks(3).map(|pixel| pixel[0]).collect();
            assert_eq!(first, wanted, "{turn:?}");
        }
        assert!(Image::empty().turned(Turn::Right).as_bytes().is_empty());
    }

    #[test]
    fn dimensions_and_bytes_must_agree() {
        for (len, width, height, stride, fits) in [
            (12, 2, 2, 6, true),
            (14, 2, 2, 8, true),
            (13, 2, 2, 8, false),
            (11, 2, 2, 6, false),
            (12, 2, 2, 5, false),
            (12, 0, 2, 6, false),
            (12, 2, 0, 6, false),
            (12, usize::MAX, 2, 6, false),
            (12, 2, usize::MAX, 6, false),
        ] {
            let made = ImageView::new(&vec![0; len], width, height, stride, Colour::Rgb).is_ok();
            assert_eq!(made, fits, "{len} bytes as {width}x{height} stride {stride}");
        }
    }
}

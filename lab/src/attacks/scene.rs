//! One presentation attack, drawn: a photo or a clip on something flat or bent, moved before a camera. The same seed draws the same.
//!
//! Drawn are the perspective of what a trembling hand holds, waves, tilts, moves in and out or brings close; the paper, the phone and
//! the fingers around the picture and the room behind it; of a screen its pixel grid beating with the camera's (moire), its gamma and
//! a reflection that stays where the room is; the sensor's noise. Not drawn: shadows, rolling shutter, autofocus, exposure.

use std::f32::consts::TAU;

use image::RgbImage;

/// Frames per second.
pub(crate) const RATE: u32 = 30;
/// Width and height of a frame, pixels.
pub(crate) const SIZE: (u32, u32) = (640, 480);
/// Focal length of the drawn camera, pixels: a webcam's 50 degrees across.
const FOCAL: f32 = 690.0;
/// Standard deviation of the sensor's noise, grey levels.
const NOISE: f32 = 2.5;
/// Powers of two of different noise values.
const GRAIN: u32 = 16;

/// What the picture is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A print with its white margin, held by two fingers, before a room.
    Print,
    /// The same, bent about its upright axis, more and less as the hands move.
    BentPrint,
    /// A print cut out along the head, before a room.
    Cutout,
    /// A print, or a screen whose grid does not show, so near that nothing else is seen.
    Filling,
    /// A phone in a hand: dark frame, pixel grid, gamma, reflection, before a room.
    Phone,
    /// The same, so near that only its screen is seen.
    PhoneClose,
}

impl Carrier {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Print, Self::BentPrint, Self::Cutout, Self::Filling, Self::Phone, Self::PhoneClose];

    const fn fills_the_view(self) -> bool {
        matches!(self, Self::Filling | Self::PhoneClose)
    }

    /// What such an attack is called; `None` where a picture that moves by itself (`moves`) cannot be on it.
    #[must_use]
    pub(crate) const fn kind(self, moves: bool) -> Option<&'static str> {
        match (self, moves) {
            (Self::Print, false) => Some("print"),
            (Self::BentPrint, false) => Some("print-bent"),
            (Self::Cutout, false) => Some("print-cut-out"),
            (Self::Filling, false) => Some("still-fills-view"),
            (Self::Phone, false) => Some("phone-still"),
            (Self::PhoneClose, false) => Some("phone-still-close"),
            (Self::Filling, true) => Some("replay-fills-view"),
            (Self::Phone, true) => Some("replay"),
            (Self::PhoneClose, true) => Some("replay-close"),
            (Self::Print | Self::BentPrint | Self::Cutout, true) => None,
        }
    }
}

/// How it is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Movement {
    /// On a stand: not at all.
    Stood,
    /// Only a hand's tremor.
    Held,
    /// From side to side.
    Waved,
    /// Turned about both axes.
    Tilted,
    /// Nearer and farther.
    InAndOut,
    /// From where it is to before the lens, within two seconds.
    BroughtClose,
}

impl Movement {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Stood, Self::Held, Self::Waved, Self::Tilted, Self::InAndOut, Self::BroughtClose];

    /// What a folder is called.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stood => "on-a-stand",
            Self::Held => "held",
            Self::Waved => "waved",
            Self::Tilted => "tilted",
            Self::InAndOut => "in-and-out",
            Self::BroughtClose => "brought-close",
        }
    }
}

/// Numbers without a pattern: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
struct Random(u64);

impl Random {
    fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    /// About normal, with a standard deviation of one: six uniform numbers.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..6).map(|_| self.next() as f32 / u32::MAX as f32).sum();
        (sum - 3.0) * std::f32::consts::SQRT_2
    }
}

/// Frames without end of `pictures` (a still, or a clip that runs forth and back) on `carrier`; of no pictures, none.
pub(crate) fn draw(
    pictures: &[RgbImage],
    carrier: Carrier,
    movement: Movement,
    seed: u64,
) -> impl Iterator<Item = RgbImage> + '_ {
    let mut random = Random::seeded(seed);
    let studio = Studio::new(&mut random);
    // No two hands begin at the same moment of a swing.
    let phase = random.next() as f32 / u32::MAX as f32;
    let mut tremor = [0.0_f32; 3];
    let turn = pictures.len().saturating_sub(1);
    (0..).map_while(move |n: usize| {
        let at = n % (2 * turn).max(1);
        let picture = pictures.get(if at > turn { 2 * turn - at } else { at })?;
        for axis in &mut tremor {
            *axis = *axis * 0.98 + 0.4 * random.normal();
        }
        let view = View::new(picture, carrier, movement, n as f32 / RATE as f32, phase, tremor);
        Some(view.draw(picture, carrier, &studio, random.next() as usize))
    })
}

/// What is the same in every frame.
struct Studio {
    /// The sensor's noise, drawn once and looked up from another place in every frame.
    grain: Vec<f32>,
    room: Vec<[f32; 3]>,
    /// What a screen makes of each grey level.
    gamma: Vec<f32>,
}

impl Studio {
    fn new(random: &mut Random) -> Self {
        let pixels = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x as f32, y as f32)));
        Self {
            grain: (0..1 << GRAIN).map(|_| NOISE * random.normal()).collect(),
            room: pixels.map(|(x, y)| room(x, y)).collect(),
            gamma: (0..=255_u8).map(|grey| 255.0 * (f32::from(grey) / 255.0).powf(1.15)).collect(),
        }
    }
}

/// How a frame's pixels and the picture's belong together.
struct View {
    /// From the carrier's axes to the camera's, row by row.
    turn: [[f32; 3]; 3],
    /// Of the picture's middle, in the camera's axes, pixels at the focal distance.
    place: [f32; 3],
    /// Frame pixels a picture pixel, at the focal distance.
    scale: f32,
    /// One over the radius, in frame pixels; 0 is flat.
    bend: f32,
}

impl View {
    fn new(
        picture: &RgbImage,
        carrier: Carrier,
        movement: Movement,
        time: f32,
        phase: f32,
        [dx, dy, turn]: [f32; 3],
    ) -> Self {
        let (across, down) = (SIZE.0 as f32 / picture.width() as f32, SIZE.1 as f32 / picture.height() as f32);
        let scale = if carrier.fills_the_view() { across.max(down) * 1.08 } else { across.min(down) * 0.72 };
        let swing = |rate: f32| (TAU * (rate * time + phase)).sin();
        let (mut yaw, mut pitch, mut roll) = (0.0, 0.0, turn * 0.1);
        let mut place = [dx, dy, FOCAL];
        match movement {
            Movement::Stood => (place, roll) = ([0.0, 0.0, FOCAL], 0.0),
            Movement::Held => {}
            Movement::Waved => {
                place[0] += 45.0 * swing(0.9);
                roll += 7.0 * swing(1.2);
            }
            Movement::Tilted => (yaw, pitch) = (24.0 * swing(0.9), 12.0 * swing(0.6)),
            Movement::InAndOut => place[2] /= 1.0 + 0.22 * swing(0.9),
            Movement::BroughtClose => place[2] /= 1.0 + 0.6 * (time / 2.0).min(1.0),
        }
        // A third of a circle at most: a sheet bent further no longer shows its sides.
        let bend = match carrier {
            Carrier::BentPrint if movement == Movement::Stood => 1.2 / (picture.width() as f32 * scale),
            Carrier::BentPrint => (1.2 + 0.5 * swing(0.7)) / (picture.width() as f32 * scale),
            Carrier::Print | Carrier::Cutout | Carrier::Filling | Carrier::Phone | Carrier::PhoneClose => 0.0,
        };
        let [(sy, cy), (sp, cp), (sr, cr)] = [yaw, pitch, roll].map(|degrees: f32| degrees.to_radians().sin_cos());
        let turn = [
            [cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp],
            [cp * sr, cp * cr, -sp],
            [-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp],
        ];
        Self { turn, place, scale, bend }
    }

    /// Where the ray through a pixel of the frame meets the sheet, in pixels from the picture's middle.
    fn meets(&self, x: f32, y: f32) -> (f32, f32) {
        let ray = [x - SIZE.0 as f32 / 2.0, y - SIZE.1 as f32 / 2.0, FOCAL];
        let along = |column: usize, v: &[f32; 3]| (0..3).map(|row| self.turn[row][column] * v[row]).sum::<f32>();
        let (rx, ry, rz) = (along(0, &ray), along(1, &ray), along(2, &ray));
        let (px, py, pz) = (along(0, &self.place), along(1, &self.place), along(2, &self.place));
        let (mut u, mut depth) = (0.0, pz / rz);
        if self.bend > 0.0 {
            // The middle bulges towards the camera: where the ray meets the depth that the sheet has at the place met before.
            for _ in 0..5 {
                let sine = (self.bend * (rx * depth - px)).clamp(-0.95, 0.95);
                depth = (pz + (1.0 - (1.0 - sine * sine).sqrt()) / self.bend) / rz;
                u = sine.asin() / self.bend;
            }
        } else {
            u = rx * depth - px;
        }
        (u / self.scale, (ry * depth - py) / self.scale)
    }

    fn draw(&self, picture: &RgbImage, carrier: Carrier, studio: &Studio, first: usize) -> RgbImage {
        let (wide, high) = (picture.width() as f32, picture.height() as f32);
        let margin = 0.07 * wide.min(high);
        let mut bytes = Vec::with_capacity(3 * studio.room.len());
        for (at, room) in studio.room.iter().enumerate() {
            let (x, y) = ((at % SIZE.0 as usize) as f32, (at / SIZE.0 as usize) as f32);
            let (u, v) = self.meets(x, y);
            let (px, py) = (u + wide / 2.0, v + high / 2.0);
            let outside = (-px).max(px - wide).max(-py).max(py - high);
            let colour = match carrier {
                Carrier::Filling => sample(picture, px, py),
                Carrier::PhoneClose => self.lit(sample(picture, px, py), studio, (u, v), (x, y)),
                // Whoever cuts leaves a little of what is around the head.
                Carrier::Cutout if (u / (0.27 * wide)).hypot(v / (0.42 * high)) <= 1.0 => sample(picture, px, py),
                Carrier::Print | Carrier::BentPrint | Carrier::Phone if is_finger(u / wide, v / high) => SKIN,
                Carrier::Print | Carrier::BentPrint if outside <= 0.0 => {
                    // Ink on paper is neither black nor white; paper that turns away from the light is darker.
                    let shade = 1.0 - 0.35 * (self.bend * u * self.scale).abs();
                    sample(picture, px, py).map(|c| shade * (18.0 + 0.88 * c))
                }
                Carrier::Phone if outside <= 0.0 => self.lit(sample(picture, px, py), studio, (u, v), (x, y)),
                Carrier::Print | Carrier::BentPrint if outside < margin => [236.0; 3],
                Carrier::Phone if outside < margin => [22.0; 3],
                Carrier::Print | Carrier::BentPrint | Carrier::Cutout | Carrier::Phone => *room,
            };
            for (channel, value) in colour.into_iter().enumerate() {
                let noise = studio.grain[(first + 3 * at + channel) & ((1 << GRAIN) - 1)];
                bytes.push((value + noise).clamp(0.0, 255.0) as u8);
            }
        }
        RgbImage::from_raw(SIZE.0, SIZE.1, bytes).expect("three bytes for each pixel of the room")
    }

    /// A colour as a screen shows it at a place of the picture, seen at a place of the frame.
    fn lit(&self, colour: [f32; 3], studio: &Studio, (u, v): (f32, f32), (x, y): (f32, f32)) -> [f32; 3] {
        // The screen's rows and columns beat with the sensor's: periods a little off a whole number of pixels.
        let beat = 1.0 + 0.05 * (u * self.scale * 2.93).sin() + 0.05 * (v * self.scale * 3.07).sin();
        let shine = 26.0 * (-((x - 430.0).powi(2) + (y - 120.0).powi(2)) / 16_000.0).exp();
        colour.map(|c| studio.gamma[c as usize & 255] * beat + shine)
    }
}

/// Of the fingers that hold it.
const SKIN: [f32; 3] = [188.0, 140.0, 118.0];

/// Two fingertips over the sides, in shares of the picture from its middle.
fn is_finger(u: f32, v: f32) -> bool {
    [-0.54, 0.54].into_iter().any(|side: f32| ((u - side) / 0.05).hypot((v - 0.22) / 0.08) <= 1.0)
}

/// A grey wall, lit from the left, with a door and a shelf.
fn room(x: f32, y: f32) -> [f32; 3] {
    let light = 150.0 - 0.08 * x + 4.0 * (x / 37.0).sin() * (y / 23.0).cos();
    let dark = if (70.0..82.0).contains(&x) || (520.0..526.0).contains(&x) || y > 440.0 { -45.0 } else { 0.0 };
    let books = if x > 526.0 && y > 150.0 && y < 230.0 { 35.0 * (x / 5.0).sin() - 20.0 } else { 0.0 };
    let grey = light + dark + books;
    [grey, grey, grey - 6.0]
}

/// Between four pixels; beyond the border, the border.
fn sample(picture: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let (right, bottom) = (picture.width() - 1, picture.height() - 1);
    let (x, y) = (x.clamp(0.0, right as f32), y.clamp(0.0, bottom as f32));
    let (left, top) = (x as u32, y as u32);
    let (fx, fy) = (x - left as f32, y - top as f32);
    let pixel = |x: u32, y: u32| picture.get_pixel(x.min(right), y.min(bottom)).0.map(f32::from);
    let (a, b) = (pixel(left, top), pixel(left + 1, top));
    let (c, d) = (pixel(left, top + 1), pixel(left + 1, top + 1));
    std::array::from_fn(|n| {
        let (upper, lower) = (a[n] + (b[n] - a[n]) * fx, c[n] + (d[n] - c[n]) * fx);
        upper + (lower - upper) * fy
    })
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(320, 240, |x, y| Rgb([(x / 2) as u8, y as u8, ((x ^ y) & 0xff) as u8]))
    }

    fn frame(carrier: Carrier, movement: Movement, seed: u64, nth: usize) -> RgbImage {
        draw(&[picture()], carrier, movement, seed).nth(nth).expect("without end")
    }

    #[test]
    fn the_same_seed_draws_the_same_and_every_movement_moves() {
        for carrier in Carrier::ALL {
            let one = |seed| frame(carrier, Movement::Held, seed, 0);
            assert_eq!(one(1), one(1), "{carrier:?}");
            assert_ne!(one(1), one(2), "{carrier:?}: the noise is another");
        }
        for movement in &Movement::ALL[2..] {
            let [moved, held] = [*movement, Movement::Held].map(|movement| frame(Carrier::Print, movement, 1, 9));
            let apart = moved.iter().zip(held.iter()).filter(|(a, b)| a.abs_diff(**b) > 20).count();
            assert!(apart > 5_000, "{movement:?}: {apart}");
        }
        assert_eq!(draw(&[], Carrier::Phone, Movement::Held, 1).count(), 0);
    }

    #[test]
    fn a_clip_runs_forth_and_back() {
        let grey = [50, 100, 200].map(|grey| RgbImage::from_pixel(8, 6, Rgb([grey; 3])));
        let shown: Vec<_> = draw(&grey, Carrier::Filling, Movement::Held, 1)
            .take(6)
            .map(|frame| (f32::from(frame.get_pixel(320, 240).0[1]) / 50.0).round() as u32)
            .collect();
        assert_eq!(shown, [1, 2, 4, 2, 1, 2]);
    }

    #[test]
    fn the_middle_shows_the_middle_and_a_bent_sheet_is_narrower() {
        let still = |carrier| View::new(&picture(), carrier, Movement::Held, 0.0, 0.0, [0.0; 3]);
        for carrier in Carrier::ALL {
            let (u, v) = still(carrier).meets(320.0, 240.0);
            assert!(u.abs() < 1e-3 && v.abs() < 1e-3, "{carrier:?}: {u} {v}");
        }
        let at = |carrier| still(carrier).meets(480.0, 240.0).0;
        assert!((at(Carrier::Print) - 160.0 / still(Carrier::Print).scale).abs() < 1e-2);
        assert!(at(Carrier::BentPrint) > at(Carrier::Print) + 5.0, "its side turns away");
    }
}

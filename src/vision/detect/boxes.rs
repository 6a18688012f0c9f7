//! Arithmetic of candidate windows: overlap, suppression, correction, squaring.

use crate::vision::Bounds;

/// What two windows' overlap is measured against.
#[derive(Clone, Copy, Debug)]
pub(super) enum Against {
    /// The area both cover together (intersection over union).
    Union,
    /// The smaller one's area: a window inside another one goes, however small it is.
    Smaller,
}

fn area(b: &Bounds) -> f32 {
    b.width().max(0.0) * b.height().max(0.0)
}

/// Share of overlap, 0..=1.
pub(super) fn overlap(a: &Bounds, b: &Bounds, against: Against) -> f32 {
    let width = a.right.min(b.right) - a.left.max(b.left);
    let height = a.bottom.min(b.bottom) - a.top.max(b.top);
    let both = width.max(0.0) * height.max(0.0);
    let whole = match against {
        Against::Union => area(a) + area(b) - both,
        Against::Smaller => area(a).min(area(b)),
    };
    if whole > 0.0 { both / whole } else { 0.0 }
}

/// Non-maximum suppression: keeps the best of each group of windows that overlap by more than `limit`, best first.
pub(super) fn suppress<T>(windows: &mut Vec<T>, limit: f32, against: Against, key: impl Fn(&T) -> (Bounds, f32)) {
    windows.sort_by(|a, b| key(b).1.total_cmp(&key(a).1));
    let mut kept = 0;
    for i in 0..windows.len() {
        let (bounds, _) = key(&windows[i]);
        if windows[..kept].iter().all(|better| overlap(&key(better).0, &bounds, against) <= limit) {
            windows.swap(kept, i);
            kept += 1;
        }
    }
    windows.truncate(kept);
}

/// Moves the four sides by shares of the window's own width and height: left, top, right, bottom.
pub(super) fn corrected(b: &Bounds, [left, top, right, bottom]: [f32; 4]) -> Bounds {
    let (w, h) = (b.width(), b.height());
    Bounds { left: b.left + left * w, top: b.top + top * h, right: b.right + right * w, bottom: b.bottom + bottom * h }
}

/// The square around the same middle with the longer side, on whole pixels.
pub(super) fn squared(b: &Bounds) -> Bounds {
    let side = b.width().max(b.height());
    let middle = b.centre();
    let (left, top) = ((middle.x - side / 2.0).floor(), (middle.y - side / 2.0).floor());
    Bounds { left, top, right: left + side.floor(), bottom: top + side.floor() }
}

/// Most of a window's side that lies outside a picture of `(width, height)`; not more than 0 if none does.
pub(super) fn outside(b: &Bounds, (width, height): (f32, f32)) -> f32 {
    let (w, h) = (b.width().max(1.0), b.height().max(1.0));
    [-b.left / w, (b.right - width) / w, -b.top / h, (b.bottom - height) / h].into_iter().fold(f32::MIN, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn bounds(left: f32, top: f32, right: f32, bottom: f32) -> Bounds {
        Bounds { left, top, right, bottom }
    }

    #[test]
    fn overlap_of_windows() {
        let a = bounds(0.0, 0.0, 10.0, 10.0);
        for (b, union, smaller) in [
            (a, 1.0, 1.0),
            (bounds(5.0, 0.0, 15.0, 10.0), 1.0 / 3.0, 0.5),
            (bounds(2.0, 2.0, 4.0, 4.0), 0.04, 1.0),
            (bounds(10.0, 0.0, 20.0, 10.0), 0.0, 0.0),
            (bounds(-8.0, -8.0, -1.0, -1.0), 0.0, 0.0),
            (bounds(3.0, 3.0, 3.0, 3.0), 0.0, 0.0),
            (bounds(9.0, 9.0, 4.0, 4.0), 0.0, 0.0),
        ] {
            assert!((overlap(&a, &b, Against::Union) - union).abs() < 1e-6, "{b:?}");
            assert!((overlap(&a, &b, Against::Smaller) - smaller).abs() < 1e-6, "{b:?}");
        }
    }

    #[test]
    fn what_sticks_out_is_measured_by_side() {
        for (b, most) in [
            (bounds(10.0, 10.0, 30.0, 50.0), -0.25),
            (bounds(-5.0, 10.0, 15.0, 50.0), 0.25),
            (bounds(10.0, 10.0, 30.0, 110.0), 0.1),
            (bounds(90.0, -10.0, 130.0, 90.0), 0.75),
        ] {
            assert!((outside(&b, (100.0, 100.0)) - most).abs() < 1e-6, "{b:?}");
        }
    }

    #[test]
    fn suppression_keeps_the_best_of_each_group() {
        let near = |dx: f32, score: f32| (bounds(dx, 0.0, dx + 10.0, 10.0), score);
        for (given, limit, against, kept) in [
            (vec![], 0.5, Against::Union, vec![]),
            (vec![near(0.0, 0.6), near(1.0, 0.9), near(2.0, 0.7)], 0.5, Against::Union, vec![0.9]),
            (vec![near(0.0, 0.6), near(30.0, 0.9)], 0.5, Against::Union, vec![0.9, 0.6]),
            // The middle one is gone, so it suppresses nobody.
            (vec![near(0.0, 0.9), near(4.0, 0.8), near(8.0, 0.7)], 0.4, Against::Union, vec![0.9, 0.7]),
            (vec![near(0.0, 0.9), (bounds(1.0, 1.0, 3.0, 3.0), 0.8)], 0.7, Against::Union, vec![0.9, 0.8]),
            (vec![near(0.0, 0.9), (bounds(1.0, 1.0, 3.0, 3.0), 0.8)], 0.7, Against::Smaller, vec![0.9]),
            // A score that is not a number neither panics nor wins.
            (vec![near(0.0, -f32::NAN), near(0.0, 0.9)], 0.5, Against::Union, vec![0.9]),
        ] {
            let mut windows = given.clone();
            suppress(&mut windows, limit, against, |w| *w);
            assert_eq!(windows.iter().map(|w| w.1).collect::<Vec<_>>(), kept, "{given:?}");
        }
    }

    #[test]
    fn correction_and_squaring() {
        let b = bounds(10.0, 20.0, 30.0, 60.0);
        assert_eq!(corrected(&b, [0.1, -0.1, 0.5, 0.0]), bounds(12.0, 16.0, 40.0, 60.0));
        assert_eq!(squared(&b), bounds(0.0, 20.0, 40.0, 60.0));
        assert_eq!(squared(&bounds(-3.5, 0.0, 1.0, 2.0)), bounds(-4.0, -2.0, 0.0, 2.0));
    }
}

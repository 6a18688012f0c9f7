//! Which frames reach the screen.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    domain::{Decision, EventId, MonoTime},
    edge::camera::Frame,
};

fn at(millis: u64) -> MonoTime {
    MonoTime::from_start(Duration::from_millis(millis))
}

fn frame(millis: u64, format: PixelFormat) -> CameraView {
    let bytes = vec![u8::try_from(millis / 100).expect("small")].into();
    CameraView::Streaming(Arc::new(Frame { format, width: 1, height: 1, bytes, captured_at: at(millis), sequence: 1 }))
}

/// What is mirrored after each step; frames carry their time, in tenths of a second, as their one byte.
fn mirrored(steps: &[(Option<Shown>, Option<CameraView>)]) -> Vec<Option<u8>> {
    let (say, shown) = watch::channel(Shown::new(Answer::Idle, at(0)));
    let (take, frames) = watch::channel(CameraView::Starting);
    let (pictures, seen) = watch::channel(None);
    let script = async move {
        let mut all = Vec::new();
        for (said, taken) in steps.iter().cloned() {
            tokio::task::yield_now().await;
            said.map(|said| say.send_replace(said));
            taken.map(|taken| take.send_replace(taken));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            all.push(seen.borrow().as_ref().map(|picture: &Picture| picture.as_ref()[0]));
        }
        all
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { tokio::join!(mirror(shown, frames, pictures), script).1 })
}

#[test]
fn only_pictures_of_whoever_is_looked_at_are_mirrored() {
    let looking = |attempt, millis| Some(Shown::new(Answer::Looking { attempt, of: 3 }, at(millis)));
    let event = EventId(uuid::Uuid::nil());
    let decided = Answer::Decided { event, decision: Decision::Admit, name: None, seat: None };
    let seen = mirrored(&[
        (None, Some(frame(100, PixelFormat::Mjpeg))),
        (looking(1, 500), None),
        (None, Some(frame(400, PixelFormat::Mjpeg))),
        (None, Some(frame(600, PixelFormat::Mjpeg))),
        (None, Some(frame(700, PixelFormat::Yuyv))),
        (looking(2, 800), Some(frame(900, PixelFormat::Mjpeg))),
        (Some(Shown::new(decided, at(1000))), None),
        (None, Some(frame(1100, PixelFormat::Mjpeg))),
    ]);
    assert_eq!(seen, [None, None, None, Some(6), Some(6), Some(9), None, None]);
}

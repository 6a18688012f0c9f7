//! Checks that the camera delivers pictures, and that the background has enough texture to see a face move against it.
//!
//! Never keeps a picture.

use std::sync::Arc;

use super::{
    super::settings::{camera_settings, mono},
    PATIENCE, PartHealth, State, finding,
};
use crate::{
    config::Config,
    domain::WithSources,
    edge::{
        camera::{Camera, CameraSettings, CameraView, Frame, v4l_opener},
        clock::{Clock, SystemClock},
    },
    flow,
    vision::{Image, has_backdrop},
};

/// Whether it answers, and what it sees.
pub(super) fn look(config: &Config, clock: &Arc<SystemClock>, findings: &mut Vec<PartHealth>) {
    let reading = Arc::clone(clock);
    let opener = v4l_opener(camera_settings(&config.camera), Arc::new(move || reading.both()));
    let camera = match Camera::start(opener, mono(Arc::clone(clock) as Arc<dyn Clock>), CameraSettings::default()) {
        Ok(camera) => camera,
        Err(error) => {
            findings.push(finding("camera", State::Unwell, WithSources(&error).to_string()));
            return;
        }
    };
    let mut view = camera.view();
    let seen = tokio::runtime::Builder::new_current_thread().enable_time().build().map(|runtime| {
        runtime.block_on(async {
            tokio::time::timeout(PATIENCE, view.wait_for(|view| !matches!(view, CameraView::Starting)))
                .await
                .map(|seen| seen.map(|seen| seen.clone()))
        })
    });
    match seen {
        Ok(Ok(Ok(CameraView::Streaming(frame)))) => {
            let found = format!("{} frames of {}x{} pixels", frame.format, frame.width, frame.height);
            findings.extend([finding("camera", State::Well, found), backdrop(&frame)]);
        }
        Ok(Ok(Ok(CameraView::Faulted(fault)))) => findings.push(finding("camera", State::Unwell, fault.to_string())),
        Ok(Ok(Ok(CameraView::Starting) | Err(_)) | Err(_)) | Err(_) => {
            findings.push(finding("camera", State::Unwell, "it does not answer; replug it"));
        }
    }
}

/// What the camera sees where nobody stands.
fn backdrop(frame: &Frame) -> PartHealth {
    let mut picture = Image::empty();
    let (state, found) = match flow::decode(frame, &mut picture).map(|()| picture.view()) {
        Err(error) => (State::Unwell, WithSources(&error).to_string()),
        Ok(Err(error)) => (State::Unwell, WithSources(&error).to_string()),
        Ok(Ok(view)) if has_backdrop(&view) => (State::Well, "has texture, so that a face can be seen to move before it".into()),
        Ok(Ok(_)) => (
            State::Impaired,
            "is blank: nearly every student will be asked to turn the head. Hang a poster behind them, or turn the camera; \
             if it is dark, switch the light on and look again"
                .into(),
        ),
    };
    finding("backdrop", state, found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{domain::MonoTime, edge::camera::PixelFormat};

    #[test]
    fn a_blank_wall_behind_the_students_is_named() {
        let frame = |grey: fn(u32, u32) -> u8, format| Frame {
            format,
            width: 320,
            height: 240,
            bytes: (0..240).flat_map(|y| (0..320).flat_map(move |x| [grey(x, y), 128])).collect(),
            captured_at: MonoTime::from_start(Duration::ZERO),
            sequence: 1,
        };
        let shelf: fn(u32, u32) -> u8 = |x, y| if (x / 7 + y / 9) % 2 == 0 { 60 } else { 190 };
        for (frame, state, words) in [
            (frame(shelf, PixelFormat::Yuyv), State::Well, "has texture"),
            (frame(|_, _| 150, PixelFormat::Yuyv), State::Impaired, "Hang a poster"),
            (frame(shelf, PixelFormat::Mjpeg), State::Unwell, "JPEG"),
        ] {
            let found = backdrop(&frame);
            assert!(found.state == state && found.found.contains(words), "{found:?}");
        }
    }
}

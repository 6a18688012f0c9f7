//! Passes the camera's frames on to the screen, so that a student sees their own face. No frame is kept.

use tokio::sync::watch;

use crate::{
    domain::{Answer, Shown},
    edge::{
        camera::{CameraView, PixelFormat},
        screen::Picture,
    },
};

/// Passes JPEG frames on while a student is looked at, and nothing otherwise. Frames of before show somebody else. A camera that
/// delivers raw pictures shows none.
pub async fn mirror(
    mut shown: watch::Receiver<Shown>,
    mut frames: watch::Receiver<CameraView>,
    pictures: watch::Sender<Option<Picture>>,
) {
    loop {
        let since = {
            let shown = shown.borrow_and_update();
            matches!(shown.answer, Answer::Looking { .. }).then_some(shown.since)
        };
        let changed = if let Some(since) = since {
            if let CameraView::Streaming(frame) = &*frames.borrow_and_update()
                && frame.captured_at > since
                && frame.format == PixelFormat::Mjpeg
            {
                pictures.send_replace(Some(Picture::copied(&frame.bytes)));
            }
            tokio::select! {
                changed = shown.changed() => changed,
                changed = frames.changed() => changed,
            }
        } else {
            pictures.send_if_modified(|picture| picture.take().is_some());
            shown.changed().await
        };
        if changed.is_err() {
            pictures.send_replace(None);
            return;
        }
    }
}

#[cfg(test)]
mod tests;

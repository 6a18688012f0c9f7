//! The student screen, built from the configuration.

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use tokio::sync::watch;

use crate::{
    config::Config,
    domain::{Exam, RoomId},
    edge::screen::{Follows, Limits, Plate, Screen, Settings, Words},
};

/// Listens, if a screen is asked for.
///
/// # Errors
/// A language or the port cannot be had.
pub(super) async fn listen(config: &Config, follows: Follows) -> Result<Option<Screen>> {
    let Some(wanted) = &config.screen else { return Ok(None) };
    let (tags, folder) = (&wanted.languages, wanted.messages.as_deref());
    let settings = Settings {
        words: Words::of(tags, folder).context("the screen cannot speak")?,
        more: Words::others(tags, folder).context("the screen cannot speak")?,
        zone: TimeZone::system(),
        sound: wanted.sound,
        limits: Limits::default(),
    };
    let screen = Screen::listen(wanted.port, settings, follows).await.context("the screen cannot be served")?;
    tracing::info!(port = screen.port(), "the screen is served on 127.0.0.1");
    Ok(Some(screen))
}

/// What stands on the door, for as long as the verification says which edition it is served by.
pub(super) fn plates(
    room: RoomId,
    mut in_force: watch::Receiver<Exam>,
) -> (watch::Receiver<Plate>, impl Future<Output = ()>) {
    let plate = move |exam: &Exam| Plate { exam: exam.title.clone(), room: room.clone(), window: exam.window };
    let (plates, followed) = watch::channel(plate(&in_force.borrow()));
    let following = async move {
        while in_force.changed().await.is_ok() {
            plates.send_replace(plate(&in_force.borrow_and_update()));
        }
    };
    (followed, following)
}

//! The student screen, built from the configuration.

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use tokio::sync::watch;

use crate::{
    config::Config,
    domain::{Doors, Exam, RoomId},
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

/// What stands on the door, for as long as the verification says what it serves.
pub(super) fn plates(
    room: RoomId,
    mut in_force: watch::Receiver<Option<Exam>>,
    mut doors: watch::Receiver<Doors>,
) -> (watch::Receiver<Plate>, impl Future<Output = ()>) {
    let plate = move |exam: Option<&Exam>, doors: &Doors| Plate {
        exam: exam.map(|exam| exam.title.clone()).unwrap_or_default(),
        room: room.clone(),
        window: exam.map(|exam| exam.window),
        next: match doors {
            Doors::Closed { next, .. } => *next,
            Doors::Open { .. } | Doors::Unknown | Doors::NothingHeld => None,
        },
    };
    let (plates, followed) = watch::channel(plate(in_force.borrow().as_ref(), &doors.borrow()));
    let following = async move {
        loop {
            let (moved, told) = tokio::select! {
                moved = in_force.changed() => (moved, Ok(())),
                told = doors.changed() => (Ok(()), told),
            };
            if moved.is_err() || told.is_err() {
                // Who tells has ended with the box.
                return;
            }
            plates.send_replace(plate(in_force.borrow_and_update().as_ref(), &doors.borrow_and_update()));
        }
    };
    (followed, following)
}

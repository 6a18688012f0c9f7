//! The student screen, built from the configuration.

use anyhow::{Context, Result};
use jiff::tz::TimeZone;

use crate::{
    config::Config,
    domain::Exam,
    edge::screen::{Follows, Limits, Plate, Screen, Settings, Words},
};

/// Listens, if a screen is asked for.
///
/// # Errors
/// A language or the port cannot be had.
pub(super) async fn listen(config: &Config, exam: &Exam, follows: Follows) -> Result<Option<Screen>> {
    let Some(wanted) = &config.screen else { return Ok(None) };
    let (tags, folder) = (&wanted.languages, wanted.messages.as_deref());
    let settings = Settings {
        words: Words::of(tags, folder).context("the screen cannot speak")?,
        more: Words::others(tags, folder).context("the screen cannot speak")?,
        plate: Plate { exam: exam.title.clone(), room: config.room.clone(), window: exam.window },
        zone: TimeZone::system(),
        sound: wanted.sound,
        limits: Limits::default(),
    };
    let screen = Screen::listen(wanted.port, settings, follows).await.context("the screen cannot be served")?;
    tracing::info!(port = screen.port(), "the screen is served on 127.0.0.1");
    Ok(Some(screen))
}

//! A screen without a box: whatever is to be shown is published by hand.

use std::{path::Path, sync::Arc, time::Duration};

use examgate::{
    domain::{Answer, Decision, EventId, MonoTime, Shown},
    edge::{
        clock::{Clock as _, ScriptedClock},
        screen::{Follows, Limits, Picture, Plate, Screen, Settings, Words},
    },
};
use jiff::tz::TimeZone;
use tokio::{sync::watch, task::JoinSet};

/// The screen and what it follows.
pub(crate) struct Hall {
    pub(crate) clock: Arc<ScriptedClock>,
    pub(crate) url: String,
    shown: watch::Sender<Shown>,
    pictures: Arc<watch::Sender<Option<Picture>>>,
    tasks: JoinSet<()>,
}

impl Hall {
    /// Opens at 8:40 of the sample exam, speaking `languages`; `messages` may hold more of them.
    pub(crate) async fn open(languages: &[&str], messages: Option<&Path>, exam: &str) -> Self {
        let clock = Arc::new(ScriptedClock::starting_at("2026-12-14T13:40:00Z".parse().expect("valid")));
        let (shown, seen) = watch::channel(Shown::new(Answer::Idle, clock.mono()));
        let (pictures, mirrored) = watch::channel(None);
        let settings = Settings {
            words: Words::of(languages, messages).expect("the languages are spoken"),
            more: Words::others(languages, messages).expect("they are whole"),
            zone: TimeZone::fixed(jiff::tz::offset(-5)),
            sound: false,
            limits: Limits::default(),
        };
        let (_, plate) = watch::channel(Plate { exam: exam.into(), ..Plate::sample() });
        let follows = Follows { shown: seen, plate, pictures: mirrored, clock: clock.clone() };
        let screen = Screen::listen(0, settings, follows).await.expect("loopback can be listened on");
        let url = format!("http://127.0.0.1:{}/", screen.port());
        let mut tasks = JoinSet::new();
        tasks.spawn(screen.run());
        Self { clock, url, shown, pictures: Arc::new(pictures), tasks }
    }

    /// Holds a picture up to whoever is looked at, again and again.
    pub(crate) fn mirror(&mut self, jpeg: Vec<u8>) {
        let pictures = self.pictures.clone();
        self.tasks.spawn(async move {
            loop {
                pictures.send_replace(Some(Picture::copied(&jpeg)));
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        });
    }

    pub(crate) fn now(&self) -> MonoTime {
        self.clock.mono()
    }

    pub(crate) fn show(&self, shown: Shown) {
        self.shown.send_replace(shown);
    }
}

/// The answer to a tap.
pub(crate) fn decided(decision: Decision, name: Option<&str>) -> Answer {
    Answer::Decided { event: EventId(uuid::Uuid::nil()), decision, name: name.map(Into::into), seat: None }
}

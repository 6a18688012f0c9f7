//! Checks every part of a box, one after the other, and reports what was found and how to fix what is wrong.
//! A failing part never hides another. It creates and changes nothing, and has the permissions of the service's user.

mod broker;
mod camera;
mod cards;
mod events;
mod keys;
mod models;
mod pages;
mod piv;
mod roster;
mod sam;
mod state;
mod trust;
mod user;

use std::{error::Error, sync::Arc, time::Duration};

use serde::Serialize;

pub use self::user::judge_as;
pub(super) use self::{
    events::{recorded, set_back},
    state::disk,
};

use super::{
    Environment,
    settings::{card_reads, light_kind, surroundings},
};
use crate::{
    config::Config,
    domain::{ClockTrust, EmbeddingSpaceId, Pepper, Timestamp, WithSources},
    edge::{
        card::{self, CardError, CardEvent, CardReader, PcscCardReader, ReaderModel},
        clock::{Clock, SystemClock},
        light::{self, LightKind},
    },
    store::{KeyFolder, Secret},
};

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Well,
    /// The box serves, but look into it.
    Impaired,
    /// The box refers, or does not start.
    Unwell,
}

/// One part and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartHealth {
    /// The part of the box.
    pub part: String,
    /// How it is.
    pub state: State,
    /// What was found; where it is not well, why and how to mend it.
    pub found: String,
}

/// How long the reader and the camera may take to answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// Looks at everything.
#[must_use]
pub fn examine(config: &Config, environment: &Environment) -> Vec<PartHealth> {
    let mut findings = Vec::new();
    let keys = environment.keys(config);
    let clock = clock(config, &mut findings);
    state::look(config, environment, &keys, &mut findings);
    keys::look(config, &keys, &mut findings);
    let models = models::look(config, &mut findings);
    let space = models.as_ref().map(|models| &models.manifest().embedder.space);
    roster::look(config, &keys, space, time(config, &clock), &mut findings);
    findings.extend(models::cards(config));
    piv::look(config, time(config, &clock), &mut findings);
    events::look(config, &keys, clock.wall(), &mut findings);
    trust::look(config, time(config, &clock), &mut findings);
    events::collector(config, &keys, &mut findings);
    match &models {
        Some(models) => broker::look(config, &keys, models, clock.wall(), &mut findings),
        None => findings.push(finding("broker", State::Impaired, "not looked at: mend the models first")),
    }
    broker::certificate(config, &keys, clock.wall(), &mut findings);
    disk(&config.state, &mut findings);
    pages::console(config, &keys, clock.wall(), &mut findings);
    pages::screen(config, &mut findings);
    cards::look(config, &keys, &mut findings);
    reader(config, &keys, &clock, &mut findings);
    sam::look(config, &keys, &mut findings);
    camera::look(config, &clock, &mut findings);
    light(config, &mut findings);
    findings
}

/// Looks at what a running box says nothing about, and disturbs nothing: not at reader, camera, light and nets, which are in use, nor at
/// the broker, which would take the question for the box.
#[must_use]
pub(super) fn examine_running(
    config: &Config,
    environment: &Environment,
    space: &EmbeddingSpaceId,
    now: Timestamp,
) -> Vec<PartHealth> {
    let (mut findings, keys) = (Vec::new(), environment.keys(config));
    state::look(config, environment, &keys, &mut findings);
    keys::look(config, &keys, &mut findings);
    piv::look(config, now, &mut findings);
    roster::look(config, &keys, Some(space), now, &mut findings);
    trust::look(config, now, &mut findings);
    events::collector(config, &keys, &mut findings);
    broker::certificate(config, &keys, now, &mut findings);
    pages::console(config, &keys, now, &mut findings);
    cards::look(config, &keys, &mut findings);
    findings
}

/// The time that the box will go by.
fn time(config: &Config, clock: &SystemClock) -> Timestamp {
    #[cfg(feature = "sim")]
    if let Some(wall) = config.sim.as_ref().and_then(crate::rig::strings::scripted_time) {
        return wall;
    }
    #[cfg(not(feature = "sim"))]
    let _ = config;
    clock.wall()
}

/// Whether nothing is unwell.
#[must_use]
pub fn is_well(findings: &[PartHealth]) -> bool {
    findings.iter().all(|finding| finding.state != State::Unwell)
}

/// One JSON array.
#[must_use]
pub fn as_json(findings: &[PartHealth]) -> String {
    serde_json::to_string_pretty(findings).expect("texts are JSON")
}

/// One line a part.
#[must_use]
pub fn as_text(findings: &[PartHealth]) -> String {
    let lines = findings.iter().map(|PartHealth { part, state, found }| {
        let mark = match state {
            State::Well => "well    ",
            State::Impaired => "impaired",
            State::Unwell => "UNWELL  ",
        };
        format!("{mark}  {part:<24} {found}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn finding(part: impl Into<String>, state: State, found: impl Into<String>) -> PartHealth {
    PartHealth { part: part.into(), state, found: found.into() }
}

fn of(part: &str, result: Result<String, impl Error + 'static>) -> PartHealth {
    match result {
        Ok(found) => finding(part, State::Well, found),
        Err(error) => finding(part, State::Unwell, WithSources(&error).to_string()),
    }
}

fn clock(config: &Config, findings: &mut Vec<PartHealth>) -> Arc<SystemClock> {
    let clock = SystemClock::with_holdover(config.state.join("clock-floor"), config.clock.holdover());
    let standing = clock.explain();
    let state = match standing.trust() {
        ClockTrust::Synchronised => State::Well,
        ClockTrust::Holdover => State::Impaired,
        ClockTrust::Untrusted => State::Unwell,
    };
    findings.push(finding("clock", state, standing.to_string()));
    Arc::new(clock)
}

fn reader(config: &Config, keys: &KeyFolder, clock: &Arc<SystemClock>, findings: &mut Vec<PartHealth>) {
    let pepper = match keys.secret(Secret::Pepper) {
        Ok(pepper) => Pepper::from_bytes(*pepper),
        Err(error) => {
            let found = format!(
                "the fleet's pepper, which turns card numbers into pseudonyms, is missing: {}",
                WithSources(&error)
            );
            findings.push(finding("reader", State::Unwell, found));
            return;
        }
    };
    let reads = match card_reads(&config.card, keys) {
        Ok(reads) => reads,
        Err(error) => {
            findings.push(finding("reader", State::Unwell, format!("{error:#}")));
            return;
        }
    };
    let around = surroundings(Arc::<SystemClock>::clone(clock));
    let look = || match PcscCardReader::open(reads, pepper, around)?.next(PATIENCE)? {
        Some(CardEvent::Ready { slots }) => Ok(format!("{slots} slots are watched: {}", known_readers()?)),
        Some(CardEvent::Tapped { .. } | CardEvent::Removed { .. }) => Ok("a card lies on it".to_owned()),
        None => Err(CardError::Hung { waited: PATIENCE }),
    };
    findings.push(of("reader", look()));
}

/// Each reader by its name, and what such a reader can do.
fn known_readers() -> Result<String, CardError> {
    let said = |name: &String| format!("`{name}`: {}", ReaderModel::of(name));
    Ok(card::readers()?.iter().map(said).collect::<Vec<_>>().join("; "))
}

fn light(config: &Config, findings: &mut Vec<PartHealth>) {
    let kind = light_kind(&config.light);
    findings.push(match light::open(&kind) {
        Err(error) => finding("light", State::Unwell, WithSources(&error).to_string()),
        Ok(_) if matches!(kind, LightKind::Simulated) => finding("light", State::Impaired, kind.to_string()),
        Ok(_) => finding("light", State::Well, kind.to_string()),
    });
}

//! Looks at every part of a box, one after the other, and says of each what was found, and what to do where it is not well.
//! One part's trouble never hides another's. Changes nothing but what opening a part changes.

mod broker;
mod camera;

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    Environment, Stores,
    models::TuningUse,
    office, outbox,
    settings::{light_kind, policy},
    verified_models,
};
use crate::{
    config::Config,
    domain::{ClockTrust, Pepper, Timestamp, WithSources},
    edge::{
        card::{CardError, CardEvent, CardReader, PcscCardReader},
        clock::{Clock, SystemClock},
        console::{ConsoleError, Standing},
        light::{self, LightKind},
        system::free_space,
    },
    store::{Began, Cause, EpochInfo, EventStore, Headroom, read_secret},
    vision::{Fusion, Manifest, Options, Pipeline, VerifiedModels},
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

/// Free disk below which the operator should look: a term of events takes less than a tenth of it.
const LEAST_DISK: u64 = 256 << 20;

/// Looks at everything.
#[must_use]
pub fn examine(config: &Config, environment: &Environment) -> Vec<PartHealth> {
    let mut findings = Vec::new();
    let clock = clock(config, &mut findings);
    let models = models(config, &mut findings);
    if let Some(models) = &models {
        store(config, environment, models, clock.wall(), &mut findings);
        broker::look(config, models, clock.wall(), &mut findings);
    } else {
        findings.push(finding("store, broker", State::Impaired, "not looked at: mend the models first"));
    }
    disk(&config.state, &mut findings);
    console(config, clock.wall(), &mut findings);
    reader(config, &mut findings);
    camera::look(config, &clock, &mut findings);
    light(config, &mut findings);
    findings
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

fn models(config: &Config, findings: &mut Vec<PartHealth>) -> Option<VerifiedModels> {
    let models = match verified_models(config) {
        Ok((models, tuning)) => {
            findings.extend(match tuning {
                TuningUse::None => None,
                TuningUse::Used(words) => Some(finding("tuning", State::Well, words)),
                TuningUse::Refused(why) => Some(finding("tuning", State::Impaired, why)),
            });
            models
        }
        Err(error) => {
            findings.push(finding("models", State::Unwell, format!("{error:#}")));
            return None;
        }
    };
    let manifest = models.manifest();
    for net in manifest.nets() {
        findings.push(finding(format!("model {}", net.name), State::Well, format!("sha256 {}", net.sha256)));
    }
    findings.push(thresholds(config, manifest));
    match Pipeline::open(&models, Options::default()) {
        Err(error) => findings.push(finding("runtime", State::Unwell, WithSources(&error).to_string())),
        Ok(pipeline) => {
            findings.push(finding(
                "runtime",
                State::Well,
                format!("{} {}", manifest.runtime.package, manifest.runtime.version),
            ));
            for report in pipeline.providers() {
                let part = format!("provider of {}", report.net);
                findings.push(match &report.why {
                    None => finding(part, State::Well, report.used.to_string()),
                    Some(why) => {
                        let found = format!("{} instead of {}, which failed: {why}", report.used, report.asked);
                        finding(part, State::Impaired, found)
                    }
                });
            }
        }
    }
    Some(models)
}

/// Whether the thresholds were calibrated for what decides here. That they are of these nets the manifest has checked.
fn thresholds(config: &Config, manifest: &Manifest) -> PartHealth {
    let embedder = &manifest.embedder;
    let (admit, refer) = (embedder.thresholds.admit.get(), embedder.thresholds.refer.get());
    let said = format!("admit {admit}, refer {refer}");
    let Some(calibration) = &embedder.calibration else {
        let found = format!("{said}: not calibrated for {}; `examgate-fleet calibrate` does", embedder.net.name);
        return finding("thresholds", State::Impaired, found);
    };
    let here = policy(&config.policy, manifest).rule(Fusion::WINDOW);
    if calibration.rule == here {
        let found = format!("{said}: calibrated on {} people, {}", calibration.people, calibration.date);
        finding("thresholds", State::Well, found)
    } else {
        let found = format!(
            "{said}: calibrated for another rule ({}) than the one here ({here}); take [policy] out, or calibrate for it",
            calibration.rule
        );
        finding("thresholds", State::Impaired, found)
    }
}

fn store(
    config: &Config,
    environment: &Environment,
    models: &VerifiedModels,
    now: Timestamp,
    findings: &mut Vec<PartHealth>,
) {
    match Stores::open(config, environment, models) {
        Err(error) => findings.push(finding("store", State::Unwell, format!("{error:#}"))),
        Ok(stores) => {
            let window = stores.exam.window;
            let found = format!(
                "{}, version {}, doors open {} to {}",
                stores.exam.id, stores.exam.version.0, window.opens, window.closes
            );
            findings.push(finding("roster", State::Well, found));
            findings.push(events(&stores.lookup.events));
            findings.extend(set_back(&stores.lookup.events, now));
            findings.extend(match outbox::shortage(config, &stores.lookup.events) {
                Ok(shortage) => shortage.map(|found| finding("outbox", State::Impaired, found)),
                Err(error) => Some(finding("outbox", State::Unwell, format!("{error:#}"))),
            });
        }
    }
}

/// The events and their outbox, and whether their chain is whole.
fn events(events: &EventStore) -> PartHealth {
    match events.verify_chain() {
        Err(error) => finding("events", State::Unwell, WithSources(&error).to_string()),
        Ok(_) => {
            let recorded = recorded(events);
            PartHealth { found: format!("their chain is whole; {}", recorded.found), ..recorded }
        }
    }
}

/// The events and their outbox.
pub(super) fn recorded(events: &EventStore) -> PartHealth {
    let look = || Ok::<_, crate::store::EventError>((events.ends()?.last, events.outbox_len()?, events.room()?));
    match look() {
        Err(error) => finding("events", State::Unwell, WithSources(&error).to_string()),
        Ok((last, waiting, room)) => {
            let found = format!("{last} recorded, {waiting} wait for a receipt");
            match room {
                Headroom::Plenty => finding("events", State::Well, found),
                Headroom::Low => finding(
                    "events",
                    State::Impaired,
                    format!("{found}; room runs low: bring the broker back or free the disk"),
                ),
                Headroom::Exhausted => finding(
                    "events",
                    State::Unwell,
                    format!("{found}; no room is left: bring the broker back or free the disk"),
                ),
            }
        }
    }
}

/// How long a box that was set back is named: until somebody has surely looked.
const NAME_SET_BACK: Duration = Duration::from_hours(7 * 24);

/// Whether the collector held another history of this box than the box itself, lately or with events that still wait.
pub(super) fn set_back(events: &EventStore, now: Timestamp) -> Option<PartHealth> {
    let look = || Ok::<_, crate::store::EventError>((events.epochs()?, events.outbox_len()?));
    let (epochs, waiting) = match look() {
        Err(error) => return Some(finding("epoch", State::Unwell, WithSources(&error).to_string())),
        Ok(found) => found,
    };
    let EpochInfo { epoch, began, .. } = epochs.last()?;
    let Began { cause: Cause::SetBack, at, resealed } = (*began)? else { return None };
    let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    (age < NAME_SET_BACK || waiting > 0).then(|| {
        let found = format!(
            "this box was set back to an older state, or its disk lost its last writes: epoch {epoch} began {at}, {resealed} \
             events were sent again in it and none is lost; who was admitted in between the collector alone knows: compare \
             `examgate-fleet events` with the list here, and look into the disk if nobody restored the box"
        );
        finding("epoch", State::Impaired, found)
    })
}

pub(super) fn disk(state: &Path, findings: &mut Vec<PartHealth>) {
    findings.push(match free_space(state) {
        Err(error) => finding("disk", State::Unwell, WithSources(&error).to_string()),
        Ok(space) => {
            let found = format!("{} of {} MiB free at {}", space.available >> 20, space.total >> 20, state.display());
            let state = if space.available < LEAST_DISK { State::Impaired } else { State::Well };
            finding("disk", state, found)
        }
    });
}

/// Whether browsers will open the console's pages.
fn console(config: &Config, now: Timestamp, findings: &mut Vec<PartHealth>) {
    let Some(console) = &config.console else { return };
    let standing = office::identity(config, &console.certificate).and_then(|identity| {
        Ok(identity.standing(config.device.as_str(), console.listen.ip(), now).map_err(ConsoleError::Identity)?)
    });
    findings.push(match standing {
        Err(error) => finding("console", State::Unwell, format!("{error:#}")),
        Ok(standing) => {
            let state = match standing {
                Standing::Good(_) => State::Well,
                Standing::EndsSoon(_) | Standing::Expired(_) | Standing::NotYet { .. } | Standing::Misnamed { .. } => {
                    State::Impaired
                }
            };
            finding("console", state, standing.to_string())
        }
    });
}

fn reader(config: &Config, findings: &mut Vec<PartHealth>) {
    let pepper = match read_secret(&config.keys.join("pepper.key")) {
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
    let look = || match PcscCardReader::open(config.card.uid_order, pepper)?.next(PATIENCE)? {
        Some(CardEvent::Ready { slots }) => Ok(format!("{slots} slots are watched")),
        Some(CardEvent::Tapped { .. } | CardEvent::Removed { .. }) => Ok("a card lies on it".to_owned()),
        None => Err(CardError::Hung { waited: PATIENCE }),
    };
    findings.push(of("reader", look()));
}

fn light(config: &Config, findings: &mut Vec<PartHealth>) {
    let kind = light_kind(&config.light);
    findings.push(match light::open(&kind) {
        Err(error) => finding("light", State::Unwell, WithSources(&error).to_string()),
        Ok(_) if matches!(kind, LightKind::Simulated) => finding("light", State::Impaired, kind.to_string()),
        Ok(_) => finding("light", State::Well, kind.to_string()),
    });
}

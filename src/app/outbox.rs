//! The disk space that the outbox needs, and the change of a box's id.

use anyhow::{Context, Result};
use uuid::Uuid;

use super::Environment;
use crate::{
    config::{Config, ConfigError},
    domain::{DeviceId, Epoch},
    edge::{
        clock::{Clock as _, SystemClock},
        system::{Running, free_space},
    },
    store::{Cause, EventStore, KeyName, Layout, Limits},
};

/// How much may wait for the collector.
pub(super) fn limits(config: &Config) -> Limits {
    Limits { rows: config.outbox.max_events, ..Limits::default() }
}

/// Refuses a limit that the file system of the state folder could not hold even if it were empty.
///
/// # Errors
/// [`ConfigError::OutboxTooLarge`]; or the file system cannot be asked.
pub(super) fn check_disk(config: &Config) -> Result<()> {
    Ok(fits(config, free_space(&config.state)?.total)?)
}

/// Whether a file system of `total` bytes holds the outbox.
fn fits(config: &Config, total: u64) -> Result<(), ConfigError> {
    let limits = limits(config);
    if limits.disk(limits.rows) <= total {
        return Ok(());
    }
    Err(ConfigError::OutboxTooLarge { events: limits.rows, most: limits.held_by(total) })
}

/// What to say when the free disk does not hold as many more events as the configuration allows.
///
/// # Errors
/// When the outbox or the file system cannot be asked.
pub(super) fn shortage(config: &Config, events: &EventStore) -> Result<Option<String>> {
    let waiting = events.outbox_len().context("the outbox cannot be counted")?;
    Ok(lacking(config, waiting, free_space(&config.state)?.available))
}

/// What to say when `available` bytes do not hold the rest of the outbox, in which `waiting` events are.
fn lacking(config: &Config, waiting: u64, available: u64) -> Option<String> {
    let limits = limits(config);
    let more = limits.rows.saturating_sub(waiting);
    // The reserve has its blocks already.
    let needed = limits.disk(more) - limits.reserve;
    (needed > available).then(|| {
        format!(
            "outbox.max_events allows {more} events more, which need {} MiB; {} has {} MiB free, enough for about {}: free \
             the disk, or lower the limit",
            needed >> 20,
            config.state.display(),
            available >> 20,
            limits.held_by(available + limits.reserve)
        )
    })
}

/// Gives the box the id of its configuration: its events stay, those that wait for a receipt travel under the new id in a new
/// epoch. Says what was done.
///
/// # Errors
/// When the events are not those of `from`, or the store cannot be used. Nothing is changed then.
pub fn change_id(config: &Config, environment: &Environment, from: &DeviceId) -> Result<String> {
    let to = &config.device;
    let running = Running::claim(&config.state)?;
    anyhow::ensure!(
        running.is_some(),
        "an examgate runs on the state folder {}: stop it first",
        config.state.display()
    );
    let keys = environment.keys(config);
    let key = keys.read(KeyName::Events).context("the key of the event store cannot be had")?;
    let path = Layout::new(&config.state).events();
    anyhow::ensure!(path.exists(), "there is no event store at {}: nothing has to be changed", path.display());
    anyhow::ensure!(from != to, "`device` in the configuration is still {from}: set it to the new id first");
    let fresh = Epoch(Uuid::now_v7());
    let mut events =
        EventStore::open(&path, &key, from, fresh, limits(config)).context("the event store cannot be used")?;
    let clock = SystemClock::with_holdover(config.state.join("clock-floor"), config.clock.holdover());
    let waiting =
        events.begin_epoch(fresh, to, Cause::NewIdentity, clock.wall()).context("the new epoch cannot begin")?;
    Ok(format!(
        "{from} is {to} now: epoch {fresh} begins; {waiting} events that wait for a receipt travel under the new id. The \
         broker and the collector must know {to}: its certificate, and its entry in the list of devices"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(events: u64) -> Config {
        let text = format!(
            "device = \"door-1\"\nroom = \"R\"\nexam = \"A\"\nstate = \"/state\"\nkeys = \"/keys\"\nmodels = \"/models\"\n\
             [camera]\ndevice = {{ index = 0 }}\n[light]\nkind = \"simulated\"\n[outbox]\nmax_events = {events}\n"
        );
        Config::parse(&text).unwrap()
    }

    #[test]
    fn a_limit_that_the_disk_can_never_hold_is_refused_with_the_one_it_can() {
        let large = config(10_000_000);
        let needed = limits(&large).disk(10_000_000);
        assert!(fits(&large, needed).is_ok());
        let refused = fits(&large, 8 << 30).unwrap_err().to_string();
        assert!(refused.contains("outbox.max_events = 10000000"), "{refused}");
        let most: u64 = refused.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(fits(&config(most), 8 << 30).is_ok() && fits(&config(most + 1), 8 << 30).is_err(), "{refused}");
    }

    #[test]
    fn free_space_that_does_not_hold_what_is_configured_is_said() {
        let config = config(200_000);
        let needed = limits(&config).disk(200_000) - limits(&config).reserve;
        assert_eq!(lacking(&config, 0, needed), None);
        assert_eq!(lacking(&config, 100_000, needed / 2 + (16 << 20)), None, "half of it is written already");
        let said = lacking(&config, 0, 100 << 20).unwrap();
        assert!(said.contains("200000 events more") && said.contains("100 MiB free"), "{said}");
    }
}

//! Asks the broker as the box would.

use super::{PartHealth, State, finding};
use crate::{
    app::{Broker, commands},
    config::Config,
    domain::{Timestamp, WithSources},
    edge::{
        mqtt::{self, Asked, Listeners},
        system::Running,
    },
    mqtt::{Authorities, common_name},
    store::KeyFolder,
    vision::VerifiedModels,
};

/// Looks at the line to the broker.
pub(super) fn look(
    config: &Config,
    keys: &KeyFolder,
    models: &VerifiedModels,
    now: Timestamp,
    findings: &mut Vec<PartHealth>,
) {
    let Some(uplink) = &config.uplink else {
        findings.push(finding("broker", State::Impaired, "no [uplink] is configured: events wait in the outbox"));
        return;
    };
    findings.push(match Broker::settings(config, keys, uplink, None, models) {
        Err(error) => finding("broker", State::Unwell, format!("{error:#}")),
        Ok(settings) => ask(config, &settings, now),
    });
}

/// Asks the broker as the box would. It knows the box by its certificate, so a running box would be thrown off the line by this
/// question; it is asked in full only while no box runs, and none can start meanwhile.
fn ask(config: &Config, settings: &mqtt::Settings, now: Timestamp) -> PartHealth {
    let (host, port, device) = (&settings.host, settings.port, config.device.as_str());
    match common_name(&settings.tls.certificate) {
        Some(name) if name == device => {}
        Some(name) => {
            let found = format!(
                "uplink.certificate was issued to {name:?}, and this box is {device:?}: the broker would take it for the other \
                 one and refuse its events; put this box's certificate there, or mend `device`"
            );
            return finding("broker", State::Unwell, found);
        }
        None => {
            let found = format!("uplink.certificate names nobody: let it be issued with the common name {device:?}");
            return finding("broker", State::Unwell, found);
        }
    }
    let free = Running::free(&config.state);
    let asked = match free {
        Ok(Some(_)) => Asked::Everything { rosters: config.fleet.is_some(), commands: commands::are_wanted(config) },
        Ok(None) | Err(_) => Asked::Trust,
    };
    let (state, found) = match mqtt::probe(settings, asked) {
        Err(error) => return finding("broker", State::Unwell, WithSources(&error).to_string()),
        Ok(Err(fault)) => {
            return finding("broker", State::Impaired, format!("{}; events wait in the outbox", WithSources(&fault)));
        }
        Ok(Ok(Listeners { collector: Some(false), .. })) => {
            let found = format!(
                "{host}:{port} lets this box in and takes what it sends, but no collector is connected there: events wait in the outbox; \
                 start `examgate-fleetd collect`"
            );
            (State::Impaired, found)
        }
        Ok(Ok(Listeners { keeper: Some(false), .. })) => {
            let found = format!(
                "{host}:{port} lets this box in and takes what it sends, but no keeper is connected there: no roster comes; start \
                 `examgate-fleetd keep`"
            );
            (State::Impaired, found)
        }
        Ok(Ok(_)) => {
            let found = match asked {
                Asked::Everything { .. } => {
                    format!("{host}:{port} is reached and trusted, lets this box in and takes what it sends")
                }
                Asked::Trust => format!(
                    "{host}:{port} is reached and trusted; what it allows was not asked, since the box is running and would lose \
                     its line: stop it and ask again, or see the log"
                ),
            };
            (State::Well, found)
        }
    };
    // Somebody meant them to count, and they do no longer.
    let over = Authorities::read(&settings.tls.authority).map(|all| all.out_of_date(now));
    match over {
        Ok(over) if !over.is_empty() => {
            let found = format!("{found}; out of date in uplink.ca: {}: take them out", over.join(", "));
            finding("broker", State::Impaired, found)
        }
        Ok(_) | Err(_) => finding("broker", state, found),
    }
}

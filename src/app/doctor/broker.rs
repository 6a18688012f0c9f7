//! Asks the broker as the box would.

use jiff::SignedDuration;

use super::{PartHealth, State, finding};
use crate::{
    app::{Broker, commands, renewal},
    config::Config,
    domain::{Timestamp, WithSources},
    edge::{
        enrolment::validity,
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
        Ok((settings, _)) => ask(config, &settings, now),
    });
}

/// So long before its end a certificate that was not renewed is remarked upon.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Looks at how long the newest certificate for the broker counts. Asks nobody.
pub(super) fn certificate(config: &Config, keys: &KeyFolder, now: Timestamp, findings: &mut Vec<PartHealth>) {
    let Some(uplink) = &config.uplink else { return };
    // What cannot be read is said elsewhere: among the keys, and at the broker.
    let Ok(held) = renewal::held(keys, uplink) else { return };
    let Some(validity) = held.first().and_then(|newest| validity(&newest.pair.certificate)) else { return };
    let day = |at: Timestamp| at.strftime("%F").to_string();
    let (until, renews) = (day(validity.until), uplink.enrolment.as_deref());
    let advice = renews.map_or_else(
        || {
            "`enrolment` under [uplink] is not set, so the box does not renew it: set it, or enrol the box again"
                .to_owned()
        },
        |url| {
            format!("the box renews it as soon as it reaches {url} with a clock that is believed; its log says why not")
        },
    );
    findings.push(if validity.until <= now {
        finding(
            "certificate",
            State::Unwell,
            format!("for the broker: ended {until}, so events wait in the outbox; {advice}"),
        )
    } else if validity.until.duration_since(now) < SOON {
        finding("certificate", State::Impaired, format!("for the broker: ends {until} already; {advice}"))
    } else {
        let renewed = match renews {
            Some(_) => format!("the box renews it from {} on", day(validity.renew_at())),
            None => "nobody renews it: `enrolment` under [uplink] is not set".to_owned(),
        };
        finding("certificate", State::Well, format!("for the broker: until {until}; {renewed}"))
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

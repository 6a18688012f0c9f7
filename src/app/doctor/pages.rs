//! Whether browsers will open the console's pages, and whether the student screen has words and a port.
//!
//! Which authorities the browsers in the room trust cannot be seen from here.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use super::{super::office, PartHealth, State, finding};
use crate::{
    config::Config,
    domain::{Timestamp, WithSources},
    edge::{
        console::{ConsoleError, Standing},
        screen::Words,
    },
    store::KeyFolder,
};

/// Whether browsers will open the console's pages.
pub(super) fn console(config: &Config, keys: &KeyFolder, now: Timestamp, findings: &mut Vec<PartHealth>) {
    let Some(console) = &config.console else { return };
    let standing = office::identity(keys, &console.certificate).and_then(|identity| {
        Ok(identity.standing(config.device.as_str(), console.listen.ip(), now).map_err(ConsoleError::Identity)?)
    });
    if let Err(error) = listens(console.listen) {
        let found = format!(
            "it cannot be served on {}: {error}; mend [console] listen: the box's own address in the room's network, a port over 1023",
            console.listen
        );
        findings.push(finding("console", State::Unwell, found));
    }
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

/// Whether the student screen can speak and be served.
pub(super) fn screen(config: &Config, findings: &mut Vec<PartHealth>) {
    let Some(screen) = &config.screen else { return };
    let (tags, folder) = (&screen.languages, screen.messages.as_deref());
    let words = Words::of(tags, folder).and_then(|_| Words::others(tags, folder));
    findings.push(match (words, listens((Ipv4Addr::LOCALHOST, screen.port).into())) {
        (Err(error), _) => finding("screen", State::Unwell, WithSources(&error).to_string()),
        (Ok(_), Err(error)) => {
            let found = format!("it cannot be served on port {}: {error}; mend [screen] port", screen.port);
            finding("screen", State::Unwell, found)
        }
        (Ok(_), Ok(())) => {
            finding("screen", State::Well, format!("speaks {}, on port {}", tags.join(", "), screen.port))
        }
    });
}

/// Whether an address can be listened on. A port in use is taken for the running box's own.
fn listens(address: SocketAddr) -> io::Result<()> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

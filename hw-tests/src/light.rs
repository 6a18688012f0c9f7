//! The light: every pattern on the lamps a configuration names, or on lamps that are not there.
//!
//! Never sees the lamps: the person who runs the test must check that each pattern looks right.

use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use anyhow::Result;
use examgate::{
    app::settings::light_kind,
    config,
    edge::light::{self, Light as _, LightError, Pattern, Player, SimulatedLamps},
};

use crate::report::{Outcome, Report};

/// How long each pattern is played: its rhythm can be seen.
const EACH: Duration = Duration::from_secs(2);

/// How long the player may take to light the first step.
const PATIENCE: Duration = Duration::from_secs(5);

/// The lamps that `light` names.
pub(crate) fn real(light: &config::Light, report: &mut Report) -> Result<()> {
    let absent = match light {
        config::Light::Simulated => Some("the configuration names no lamps (kind = \"simulated\")".to_owned()),
        config::Light::Gpio { chip, .. } if !chip.exists() => Some(format!("this machine has no {}", chip.display())),
        config::Light::RaspberryPi { .. } if !Path::new("/dev/gpiomem").exists() => {
            Some("this machine is no Raspberry Pi: there is no /dev/gpiomem".into())
        }
        config::Light::Gpio { .. } | config::Light::RaspberryPi { .. } => None,
    };
    if let Some(why) = absent {
        return report.tell("light, real lamps", &Outcome::Skipped(why));
    }
    let mut player = match light::open(&light_kind(light)) {
        Ok(player) => player,
        Err(error) => return report.tell("light, real lamps", &Outcome::Failed(error.to_string())),
    };
    for pattern in Pattern::ALL {
        let outcome =
            play(&mut player, pattern).map_or_else(|error| Outcome::Failed(error.to_string()), |()| Outcome::Passed);
        report.tell(
            &format!("light, real lamps: {pattern:?} was played; look whether it can be told from the others"),
            &outcome,
        )?;
    }
    Ok(())
}

/// Plays a pattern for a while. What the hardware refused is told at the next call.
fn play(player: &mut Player, pattern: Pattern) -> Result<(), LightError> {
    player.show(pattern)?;
    let (_keep, never) = channel::<()>();
    let waited = never.recv_timeout(EACH);
    debug_assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    player.show(pattern)
}

/// Lamps that only tell how they would be lit.
pub(crate) fn not_there(report: &mut Report) -> Result<()> {
    for pattern in Pattern::ALL {
        let (lamps, lit) = SimulatedLamps::watched();
        let mut player = Player::start(lamps)?;
        player.show(pattern)?;
        let first = pattern.rhythm().steps[0].lit;
        // Dark at the start, which may be the first step too.
        let seen = [lit.recv_timeout(PATIENCE), lit.recv_timeout(PATIENCE)];
        let outcome = match seen {
            [Ok(_), Ok(second)] if second == first => Outcome::Passed,
            other => Outcome::Failed(format!("{other:?} was lit, not {first:?}")),
        };
        report.tell(&format!("light, lamps that are not there: {pattern:?} begins as its rhythm says"), &outcome)?;
    }
    report.tell("light, real lamps", &Outcome::Skipped("not tried: name them with --config".into()))
}

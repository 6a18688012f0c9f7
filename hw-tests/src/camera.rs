//! The camera: its contract on the V4L2 device a configuration names, or on a replay.
//!
//! Never keeps a picture.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use examgate::{
    app::settings::{camera_settings, mono},
    config,
    edge::{
        camera::{
            Opener, StreamFormat, contract,
            replay::{Scene, replay},
            v4l_opener,
        },
        clock::{Clock, SystemClock},
    },
};

use crate::report::{Outcome, Report};

/// Three seconds of most cameras.
const FRAMES: u32 = 90;

/// The contract, twice: a camera that is closed has to open again.
fn keeps_the_contract(what: &str, open: &Opener, clock: &Arc<dyn Clock>, report: &mut Report) -> Result<()> {
    for opening in ["opened", "opened again"] {
        let kept = open()
            .map_err(|error| error.to_string())
            .and_then(|mut source| contract::check(&mut *source, &mono(Arc::clone(clock)), FRAMES));
        let outcome = kept.map_or_else(Outcome::Failed, |()| Outcome::Passed);
        report.tell(&format!("camera, {what}: {FRAMES} frames keep the contract, {opening}"), &outcome)?;
    }
    Ok(())
}

/// The device that `camera` names.
pub(crate) fn real(camera: &config::Camera, report: &mut Report) -> Result<()> {
    let devices = Path::new("/sys/class/video4linux").read_dir().map_or(0, Iterator::count);
    if devices == 0 {
        let why = "this machine has no V4L2 device (/sys/class/video4linux is empty)";
        return report.tell("camera, V4L2", &Outcome::Skipped(why.into()));
    }
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let clock = Arc::new(SystemClock::new(folder.path().join("floor")));
    let reading = Arc::clone(&clock);
    let open = v4l_opener(camera_settings(camera), Arc::new(move || reading.both()));
    keeps_the_contract("V4L2", &open, &(clock as Arc<dyn Clock>), report)
}

/// A replay of an empty room.
pub(crate) fn replayed(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(folder.path().join("floor")));
    let (open, control) = replay(StreamFormat::VGA, mono(Arc::clone(&clock)))?;
    control.play(&Scene::Empty)?;
    keeps_the_contract("replay", &open, &clock, report)?;
    report.tell("camera, V4L2", &Outcome::Skipped("not tried: name one with --config".into()))
}

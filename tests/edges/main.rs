//! The edges when what lies behind them fails: what the whole box shows within seconds, and that it mends by itself.
//!
//! Needs the Debian packages `pcscd` and `vsmartcard-vpcd`, and a C compiler.

mod camera;
mod device;
mod parts;
mod proofs;
mod reader;
mod screen;

use std::path::Path;

use examgate::rig::stage::{Enrolled, Programs, Reality, Stage};

const EXAM: &str = "MATH-UA-120-final";
const WINDOW: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
const CARD: [u8; 7] = [0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6];

/// A stage with one student, who sits before the camera, and a screen; says on which port that is.
fn stage(reader: bool) -> (Stage, u16) {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let reality = Reality { reader, broker: false };
    let mut stage =
        Stage::set(Path::new(env!("CARGO_MANIFEST_DIR")), programs, EXAM, reality).expect("the stage can be set");
    let pictures = &["clips/WolfgangLanger_Pexels/0010.jpg", "clips/WolfgangLanger_Pexels/0040.jpg"];
    let woman = Enrolled { id: "N1", given_name: "Ada", card: "04A1B2C3D4E5F6", pictures, language: None };
    stage.enrol(EXAM, "Linear Algebra", WINDOW, &[woman]).expect("the roster is imported");
    stage.set_clock("2026-12-14T08:40:00-05:00").expect("a string is pulled");
    stage.seat_woman().expect("a string is pulled");
    stage.set_environment("RUST_LOG", "info,examgate::edge::light=debug");
    let port = stage.hang_screen(&["en"]).expect("there is a port");
    (stage, port)
}

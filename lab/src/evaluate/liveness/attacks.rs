//! A few of the drawn attacks, those that the net alone would let in among them, through the shipped session and probe.
//! `make attacks` plays them all.

use std::thread;

use examgate::domain::Decision;

use crate::{
    attacks::{Carrier, Movement, draw, portraits_of},
    play::tap::Ended,
};

use super::staged::{StagedTap, cache, picture};

/// Two and a half seconds: one look.
const FRAMES: usize = 75;

fn attack(stage: &mut StagedTap, source: &str, carrier: Carrier, movement: Movement) -> Ended {
    let portrait = portraits_of(&mut stage.pipeline, &cache(source)).unwrap().remove(0);
    let frames = draw(&portrait.frames, carrier, movement, 7);
    let filling: Vec<_> = draw(&portrait.frames[..1], Carrier::Filling, Movement::Held, 1).take(1).collect();
    let victim = stage.enrolled(&filling[0]);
    stage.play(&victim, frames.take(FRAMES))
}

#[test]
fn no_drawn_attack_is_admitted() {
    let (photo, clip) = ("photos/single_face.jpg", "clips/single_face");
    let attacks = [
        (photo, Carrier::Print, Movement::Waved),
        (photo, Carrier::BentPrint, Movement::Tilted),
        (photo, Carrier::Cutout, Movement::Waved),
        (photo, Carrier::Filling, Movement::Tilted),
        (photo, Carrier::PhoneClose, Movement::BroughtClose),
        (clip, Carrier::Filling, Movement::Held),
        (clip, Carrier::Filling, Movement::Waved),
        (clip, Carrier::Phone, Movement::Held),
        (clip, Carrier::PhoneClose, Movement::Held),
        (clip, Carrier::PhoneClose, Movement::BroughtClose),
    ];
    let (even, odd) = attacks.split_at(attacks.len() / 2);
    thread::scope(|scope| {
        let halves = [even, odd].map(|half| {
            scope.spawn(move || {
                let mut stage = StagedTap::new();
                for &(source, carrier, movement) in half {
                    let ended = attack(&mut stage, source, carrier, movement);
                    assert!(ended.frames_used > 0, "{carrier:?} {movement:?} was not looked at: {ended:?}");
                    assert_ne!(ended.decision, Decision::Admit, "{carrier:?} {movement:?}: {ended:?}");
                }
            })
        });
        halves.into_iter().for_each(|half| half.join().expect("no attack is admitted"));
    });
}

#[test]
fn the_person_of_a_clip_is_admitted() {
    let mut stage = StagedTap::new();
    let template = stage.enrolled(&picture("clips/WolfgangLanger_Pexels/0070.jpg"));
    let frames = (1..=60).map(|n| picture(&format!("clips/WolfgangLanger_Pexels/{n:04}.jpg")));
    let ended = stage.play(&template, frames);
    assert_eq!(ended.decision, Decision::Admit, "{ended:?}");
}

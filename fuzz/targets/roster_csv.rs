//! A roster's CSV: any bytes are read or refused, and every row that is read is valid on its own.
#![no_main]

use std::collections::HashSet;

use examgate::{
    domain::{CredentialProfile, MAX_CARDS, Pepper},
    wire::uid::UidForm,
};
use libfuzzer_sys::fuzz_target;

/// The part of the fleet's program that reads a roster's table.
#[expect(dead_code, unused_imports, reason = "the fleet's program uses all of it")]
#[path = "../../fleet/cli/src/roster"]
mod roster {
    mod cells;
    mod columns;
    pub mod rows;
    mod suspects;
}

fuzz_target!(|bytes: &[u8]| {
    let pepper = Pepper::from_bytes([0x5A; 32]);
    let read = roster::rows::read(bytes, |card| {
        let uid = UidForm::Hex.parse(card, None).map_err(|error| error.to_string())?;
        Ok(pepper.pseudonym(CredentialProfile::Uid, uid.as_bytes()))
    });
    match read {
        Ok(read) => {
            let rows = read.rows;
            let students: HashSet<_> = rows.iter().map(|row| &row.entry.student.id).collect();
            assert_eq!(students.len(), rows.len());
            let held = || rows.iter().flat_map(|row| row.entry.cards());
            let cards: HashSet<_> = held().map(|card| card.pseudonym).collect();
            assert!(cards.len() == held().count() && rows.iter().all(|row| row.entry.cards().count() <= MAX_CARDS));
            assert!(!rows.is_empty() || !read.problems.is_empty());
            // Lines lead to where they say.
            let lines = bytes.len() as u64 + 1;
            let told = read.problems.iter().chain(&read.remarks).filter_map(|problem| problem.line);
            assert!(told.chain(rows.iter().map(|row| row.line)).all(|line| (1..=lines).contains(&line)));
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});

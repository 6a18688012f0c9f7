//! A roster's CSV: any bytes are read or refused, and every row that is read is valid on its own.
#![no_main]

use std::collections::HashSet;

use examgate::{
    domain::{CredentialProfile, Pepper},
    wire::uid::UidForm,
};
use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "it is a room of the fleet's program")]
#[path = "../../fleet/src/roster/csv.rs"]
mod roster;

fuzz_target!(|bytes: &[u8]| {
    let pepper = Pepper::from_bytes([0x5A; 32]);
    let read = roster::rows(bytes, |card| {
        let uid = UidForm::Hex.parse(card, None).map_err(|error| error.to_string())?;
        Ok(pepper.pseudonym(CredentialProfile::Uid, uid.as_bytes()))
    });
    match read {
        Ok(rows) => {
            let students: HashSet<_> = rows.iter().map(|row| &row.student.id).collect();
            let cards: HashSet<_> = rows.iter().map(|row| row.card).collect();
            assert!(!rows.is_empty() && students.len() == rows.len() && cards.len() == rows.len());
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});

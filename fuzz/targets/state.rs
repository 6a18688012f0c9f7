//! Retained state messages: what is read is written again as it was understood.
#![no_main]

use examgate::wire::state::{DeviceState, MAX_STATE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(state) = DeviceState::decode(bytes) else { return };
    let again = state.encode();
    // Fields left out are written out, so what was just short enough may no longer be.
    if again.len() <= MAX_STATE {
        assert_eq!(DeviceState::decode(&again), Some(state));
    }
});

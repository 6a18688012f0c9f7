//! What readers give for an ATR: every one is of some family.
#![no_main]

use examgate::wire::atr::Family;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|atr: &[u8]| assert!(!Family::of(atr).name().is_empty()));

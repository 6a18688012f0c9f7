//! A box's configuration: any text is read or refused with a reason.
#![no_main]

use examgate::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(text) {
        assert!(!error.to_string().is_empty());
    }
});

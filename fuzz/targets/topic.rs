//! Topics: one that is read is written as it was.
#![no_main]

use examgate::wire::topic::DeviceTopic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|topic: &str| {
    if let Some((device, which)) = DeviceTopic::parse(topic) {
        assert_eq!(which.of(&device), topic);
    }
});

//! Topics: one that is read is written as it was.
#![no_main]

use examgate::wire::topic::{DeviceTopic, admitted_of, chunk_of, parse_admitted, parse_chunk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|topic: &str| {
    if let Some((device, which)) = DeviceTopic::parse(topic) {
        assert_eq!(which.of(&device), topic);
    }
    if let Some((device, digest)) = parse_chunk(topic) {
        assert_eq!(chunk_of(&device, &digest), topic);
    }
    if let Some((exam, device, page)) = parse_admitted(topic) {
        assert_eq!(admitted_of(&exam, &device, page), topic);
    }
});

//! Answers to GET DATA, in either order of bytes: what is taken for an identifier is exactly what the answer holds.
#![no_main]

use examgate::wire::{apdu, uid::ReaderOrder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|response: &[u8]| {
    let (sent, reversed) = (apdu::uid(response, ReaderOrder::AsSent), apdu::uid(response, ReaderOrder::Reversed));
    match (sent, reversed) {
        (Ok(sent), Ok(reversed)) => {
            assert_eq!([sent.as_bytes(), &[0x90, 0x00]].concat(), response);
            assert!(sent.as_bytes().iter().eq(reversed.as_bytes().iter().rev()));
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("one order is read, the other not: {one:?}, {other:?}"),
    }
});

//! Answers to GET DATA, each with its length before it, in either order of bytes: what is taken for an identifier is the same
//! bytes either way, and every exchange ends.
#![no_main]

use examgate::wire::{
    apdu::{ApduError, Exchange, Step},
    uid::{ReaderOrder, Uid},
};
use libfuzzer_sys::fuzz_target;

fn play(mut input: &[u8], order: ReaderOrder) -> Result<Uid, ApduError> {
    let mut exchange = Exchange::new(order);
    for _ in 0..8 {
        let length = usize::from(input.first().copied().unwrap_or(0)).min(input.len().saturating_sub(1));
        let (response, rest) = input.get(1..).unwrap_or_default().split_at(length);
        input = rest;
        if let Step::Done(ended) = exchange.answered(response) {
            return ended;
        }
    }
    panic!("it never ended");
}

fuzz_target!(|input: &[u8]| {
    match (play(input, ReaderOrder::AsSent), play(input, ReaderOrder::Reversed)) {
        (Ok(sent), Ok(reversed)) => assert!(sent.as_bytes().iter().eq(reversed.as_bytes().iter().rev())),
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("one order is read, the other not: {one:?}, {other:?}"),
    }
});

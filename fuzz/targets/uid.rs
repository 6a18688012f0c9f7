//! Identifiers as campus systems print them. The first byte chooses the form and whether a length is stated.
#![no_main]

use examgate::wire::uid::{UidForm, UidLength};
use libfuzzer_sys::fuzz_target;

const LENGTHS: [Option<UidLength>; 5] =
    [None, Some(UidLength::Four), Some(UidLength::Seven), Some(UidLength::Eight), Some(UidLength::Ten)];

fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    let form = UidForm::ALL[usize::from(choice) % 4];
    let stated = LENGTHS[usize::from(choice) / 4 % 5];
    match form.parse(text, stated) {
        Ok(uid) => {
            let length = UidLength::try_from(uid.as_bytes().len()).expect("a length of identifiers");
            assert!(stated.is_none_or(|stated| stated == length));
            let plain = UidForm::Hex.parse(&hex::encode(uid.as_bytes()), Some(length));
            assert_eq!(plain.as_ref(), Ok(&uid));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

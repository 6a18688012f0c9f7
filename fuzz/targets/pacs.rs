//! Answers of a reader's secure element, and card numbers as campus systems write them: both are read or refused, and what is read is
//! written and read again as the same.
#![no_main]

use examgate::wire::pacs::{MOST_BITS, PacsBits, PacsColumn, PacsForm, PacsNumber};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8], &str)| {
    let (choice, answer, text) = input;
    let form = PacsForm::ALL[usize::from(choice) % PacsForm::ALL.len()];
    let same = |number: PacsNumber| {
        assert_eq!(PacsNumber::parse(&number.roster_value(), PacsColumn::default()), Ok(number));
    };
    match PacsBits::of_secure_element(answer) {
        Ok(bits) => {
            assert!((1..=MOST_BITS).contains(&bits.length()));
            PacsForm::ALL.into_iter().filter_map(|form| form.read(&bits).ok()).for_each(same);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Some(bits) = PacsBits::right_aligned(answer, form) {
        form.read(&bits).into_iter().for_each(same);
    }
    let column = PacsColumn { form: Some(form), facility: (choice > 127).then_some(u32::from(choice)) };
    match PacsNumber::parse(text, column) {
        Ok(number) => same(number),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

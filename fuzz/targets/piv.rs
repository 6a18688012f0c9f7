//! Answers of PIV cards, and PIV numbers as rosters write them: both are read or refused, and what is read is written and read again as the
//! same.
#![no_main]

use examgate::wire::piv::{Algorithm, Chuid, Object, PivNumber, StoredCertificate, is_selected, signature};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &str)| {
    let (answer, text) = input;
    let same = |number: PivNumber| assert_eq!(PivNumber::parse(&number.roster_value()), Ok(number));
    let content = match Object::content(answer) {
        Ok(content) => content,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            answer
        }
    };
    match Chuid::read(content) {
        Ok(chuid) => PivNumber::of(&chuid).into_iter().for_each(same),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Some(begun) = Chuid::begun(answer) {
        PivNumber::of(&begun).into_iter().for_each(same);
    }
    if let Some(stored) = StoredCertificate::read(content) {
        assert!(stored.bytes.len() < content.len());
    }
    if let Ok(signature) = signature(answer) {
        assert!(signature.len() < answer.len());
    }
    let _ = is_selected(answer);
    for algorithm in Algorithm::ALL {
        let block = &answer[..answer.len().min(700)];
        assert!(algorithm.authenticate(block).iter().all(|command| command.len() <= 261));
    }
    match PivNumber::parse(text) {
        Ok(number) => same(number),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

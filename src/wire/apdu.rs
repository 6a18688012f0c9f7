//! The one APDU the `uid` profile needs, and the judgement of what comes back.
//!
//! GET DATA is a pseudo-APDU: the reader answers it from its anticollision result, the card does not. What arrives is
//! outside input, so every response is judged and none is trusted.

use super::uid::{ReaderOrder, Uid};

/// GET DATA for the identifier: CLA FF, INS CA, P1 00 (identifier), P2 00, Le 00 (all of it).
/// PC/SC part 3, revision 2.01.09, section 3.2.2.1.3.
pub const GET_UID: [u8; 5] = [0xFF, 0xCA, 0x00, 0x00, 0x00];

/// SW1 SW2 of success, ISO/IEC 7816-4.
const SUCCESS: u16 = 0x9000;

/// Why a response is not an identifier. Holds no byte of the response's data field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApduError {
    /// There is not even a status word.
    #[error("the response is {length} bytes long, a status word takes 2")]
    TooShort {
        /// Bytes received.
        length: usize,
    },
    /// The reader or card refused. `6A81` is what a contact card or an old reader gives.
    #[error("the status word is {status:04X}, success is 9000")]
    Status {
        /// SW1 SW2.
        status: u16,
    },
    /// Success, but with a data field no identifier has.
    #[error("the identifier is {length} bytes long, allowed are 4, 7 and 10 (ISO/IEC 14443-3)")]
    Length {
        /// Bytes of data before the status word.
        length: usize,
    },
}

/// Judges the response to [`GET_UID`] of a reader that gives identifiers in `order`.
///
/// # Errors
/// When the response is no success with 4, 7 or 10 bytes of data.
pub fn uid(response: &[u8], order: ReaderOrder) -> Result<Uid, ApduError> {
    let Some((data, &[sw1, sw2])) = response.split_last_chunk::<2>() else {
        return Err(ApduError::TooShort { length: response.len() });
    };
    let status = u16::from_be_bytes([sw1, sw2]);
    if status != SUCCESS {
        return Err(ApduError::Status { status });
    }
    Uid::from_reader(data, order).map_err(|_| ApduError::Length { length: data.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn judges_every_kind_of_response() {
        let status = |status| Some(ApduError::Status { status });
        let length = |length| Some(ApduError::Length { length });
        let table: &[(&str, Option<ApduError>)] = &[
            ("deadbeef9000", None),
            ("04112233445566 9000", None),
            ("04112233445566778899 9000", None),
            ("", Some(ApduError::TooShort { length: 0 })),
            ("90", Some(ApduError::TooShort { length: 1 })),
            ("9000", length(0)),
            ("aabbcc9000", length(3)),
            ("0411223344 9000", length(5)),
            ("0411223344556677 9000", length(8)),
            ("6a81", status(0x6A81)),
            ("6300", status(0x6300)),
            ("6282", status(0x6282)),
            ("deadbeef6282", status(0x6282)),
            ("deadbeef9001", status(0x9001)),
            ("deadbeef0090", status(0x0090)),
        ];
        for (response, expected) in table {
            let bytes = hex::decode(response.replace(' ', "")).unwrap();
            assert_eq!(uid(&bytes, ReaderOrder::AsSent).err(), *expected, "{response}");
        }
    }

    #[test]
    fn turns_what_a_reversing_reader_gives() {
        let response = hex::decode("efbeadde9000").unwrap();
        assert_eq!(uid(&response, ReaderOrder::Reversed).unwrap().as_bytes(), [0xDE, 0xAD, 0xBE, 0xEF]);
    }

    proptest! {
        #[test]
        fn survives_anything(response in proptest::collection::vec(any::<u8>(), 0..300)) {
            match uid(&response, ReaderOrder::AsSent) {
                Ok(uid) => prop_assert_eq!(&[uid.as_bytes(), &[0x90, 0x00]].concat(), &response),
                Err(problem) => prop_assert!(!problem.to_string().is_empty()),
            }
        }
    }
}

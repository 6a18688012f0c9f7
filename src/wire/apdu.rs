//! APDUs, and the judgement of what comes back.
//!
//! GET DATA is a pseudo-APDU: the reader answers it from its anticollision result, the card does not. Some readers do so in
//! two steps (`61xx`, `6Cxx`) or with a warning (`6282`), as ISO/IEC 7816-4 allows: [`Transfer`] sends what is then due. What
//! arrives is outside input, so every response is judged, none is trusted, and the commands are counted.

use zeroize::Zeroizing;

use super::uid::{ReaderOrder, Uid};

/// GET DATA for the identifier: CLA FF, INS CA, P1 00 (identifier), P2 00, Le 00 (all of it).
/// PC/SC part 3, revision 2.01.09, section 3.2.2.1.3.
pub const GET_UID: [u8; 5] = [0xFF, 0xCA, 0x00, 0x00, 0x00];

/// GET RESPONSE, ISO/IEC 7816-4 section 11.5.2, without its Le: first in the class of the command before, which the reader
/// answers itself; then in the interindustry class, which it passes on.
const GET_RESPONSE: [[u8; 4]; 2] = [[0xFF, 0xC0, 0x00, 0x00], [0x00, 0xC0, 0x00, 0x00]];

/// Commands of one transfer at most: the command, once more with the length asked for, and GET RESPONSE in two classes or
/// for two parts.
const MOST_COMMANDS: u8 = 4;

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
    #[error("the identifier is {length} bytes long, allowed are 4, 7, 8 and 10")]
    Length {
        /// Bytes of data before the status word.
        length: usize,
    },
}

/// What is due after a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<T = Uid> {
    /// Send the command that is due now.
    Send,
    /// The exchange is over.
    Done(Result<T, ApduError>),
}

/// One command with all the responses it takes, without I/O: send [`Self::command`], hand the response to [`Self::answered`], until
/// it is done. It ends after four commands at most, or as many as were allowed, whatever arrives.
#[derive(Debug)]
pub struct Transfer {
    /// It ends in Le, and may name a card or a key.
    command: Zeroizing<Vec<u8>>,
    sent: u8,
    /// Commands at most.
    most: u8,
    /// `6Cxx` was obeyed: a second one for the same command is a refusal.
    corrected: bool,
    /// Which GET RESPONSE is in use.
    class: usize,
    /// What earlier parts of the answer held.
    data: Zeroizing<Vec<u8>>,
}

impl Transfer {
    /// A transfer before its first command, which ends in Le.
    #[must_use]
    pub fn new(command: &[u8]) -> Self {
        Self::in_parts(command, MOST_COMMANDS)
    }

    /// The same for an answer that may come in many parts: `most` commands at most.
    #[must_use]
    pub fn in_parts(command: &[u8], most: u8) -> Self {
        // Room for the longest answer: no reallocation leaves an unwiped copy behind.
        let data = Zeroizing::new(Vec::with_capacity(usize::from(most) * 256));
        // What the reader answers itself begins with FF; everything else goes through to the card.
        let class = usize::from(command.first() != Some(&GET_RESPONSE[0][0]));
        Self { command: Zeroizing::new(command.to_vec()), sent: 1, most, corrected: false, class, data }
    }

    /// What earlier parts of the answer held: whoever has what it wants need not fetch the rest.
    #[must_use]
    pub fn so_far(&self) -> &[u8] {
        &self.data
    }

    /// The command to send now.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        &self.command
    }

    /// Judges the response to [`Self::command`]. The data comes whole, without status words.
    pub fn answered(&mut self, response: &[u8]) -> Step<Zeroizing<Vec<u8>>> {
        let Some((data, &[sw1, sw2])) = response.split_last_chunk::<2>() else {
            return Step::Done(Err(ApduError::TooShort { length: response.len() }));
        };
        let status = u16::from_be_bytes([sw1, sw2]);
        let refused = Step::Done(Err(ApduError::Status { status }));
        match (sw1, sw2) {
            // 6282: the end came before as many bytes as Le allows, which is nothing to complain of when Le allows any number
            // (PC/SC part 3, table 3-9). Every other warning (62xx, 63xx) says that the data may be wrong or missing.
            (0x90, 0x00) | (0x62, 0x82) if !data.is_empty() || !self.data.is_empty() || status == 0x9000 => {
                self.data.extend_from_slice(data);
                Step::Done(Ok(std::mem::take(&mut self.data)))
            }
            (0x61, more) => {
                self.data.extend_from_slice(data);
                self.send(GET_RESPONSE[self.class], more).unwrap_or(refused)
            }
            (0x6C, length) if !self.corrected => {
                self.corrected = true;
                if let Some(le) = self.command.last_mut() {
                    *le = length;
                }
                self.count().unwrap_or(refused)
            }
            // Neither the reader's own class, instruction nor function: the card behind it is asked.
            (0x68 | 0x6A | 0x6D | 0x6E, _) if self.command.starts_with(&GET_RESPONSE[0]) => {
                self.class = 1;
                let length = self.command.last().copied().unwrap_or(0);
                self.send(GET_RESPONSE[1], length).unwrap_or(refused)
            }
            _ => refused,
        }
    }

    /// Another command, which may be corrected anew.
    fn send(&mut self, [cla, ins, p1, p2]: [u8; 4], length: u8) -> Option<Step<Zeroizing<Vec<u8>>>> {
        self.corrected = false;
        self.command = Zeroizing::new(vec![cla, ins, p1, p2, length]);
        self.count()
    }

    fn count(&mut self) -> Option<Step<Zeroizing<Vec<u8>>>> {
        self.sent += 1;
        (self.sent <= self.most).then_some(Step::Send)
    }
}

/// One exchange for an identifier, without I/O: send [`Self::command`], hand the response to [`Self::answered`], until it is
/// done. It ends after four commands at most, whatever arrives.
///
/// ```
/// use examgate::wire::{apdu::{Exchange, Step}, uid::ReaderOrder};
///
/// let mut exchange = Exchange::new(ReaderOrder::AsSent);
/// assert_eq!(exchange.command(), [0xFF, 0xCA, 0, 0, 0]);
/// assert_eq!(exchange.answered(&[0x6C, 0x04]), Step::Send);
/// assert_eq!(exchange.command(), [0xFF, 0xCA, 0, 0, 4]);
/// let Step::Done(Ok(uid)) = exchange.answered(&[0xDE, 0xAD, 0xBE, 0xEF, 0x90, 0x00]) else { panic!() };
/// assert_eq!(uid.as_bytes(), [0xDE, 0xAD, 0xBE, 0xEF]);
/// ```
#[derive(Debug)]
pub struct Exchange {
    order: ReaderOrder,
    transfer: Transfer,
}

impl Exchange {
    /// An exchange with a reader that gives identifiers in `order`, before its first command.
    #[must_use]
    pub fn new(order: ReaderOrder) -> Self {
        Self { order, transfer: Transfer::new(&GET_UID) }
    }

    /// The command to send now.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        self.transfer.command()
    }

    /// Judges the response to [`Self::command`].
    pub fn answered(&mut self, response: &[u8]) -> Step {
        match self.transfer.answered(response) {
            Step::Send => Step::Send,
            Step::Done(Ok(data)) => {
                let read = Uid::from_reader(&data, self.order);
                Step::Done(read.map_err(|_| ApduError::Length { length: data.len() }))
            }
            Step::Done(Err(problem)) => Step::Done(Err(problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    /// Plays `script`, pairs of the command expected and the response to it; says how the exchange ended.
    fn play(script: &[(&str, &str)], order: ReaderOrder) -> Result<String, ApduError> {
        let mut exchange = Exchange::new(order);
        for (n, (command, response)) in script.iter().enumerate() {
            assert_eq!(hex::encode(exchange.command()), command.replace(' ', ""), "command {n} of {script:?}");
            match exchange.answered(&bytes(response)) {
                Step::Send => {}
                Step::Done(ended) => {
                    assert_eq!(n + 1, script.len(), "{script:?} ended early");
                    return ended.map(|uid| hex::encode(uid.as_bytes()));
                }
            }
        }
        panic!("{script:?} did not end");
    }

    const GET: &str = "ffca000000";

    #[test]
    fn judges_every_kind_of_single_response() {
        let status = |status| Err(ApduError::Status { status });
        let length = |length| Err(ApduError::Length { length });
        let ok = |text: &str| Ok(text.to_owned());
        let table = [
            ("deadbeef 9000", ok("deadbeef")),
            ("04112233445566 9000", ok("04112233445566")),
            ("01fe0123456789ab 9000", ok("01fe0123456789ab")),
            ("04112233445566778899 9000", ok("04112233445566778899")),
            ("", Err(ApduError::TooShort { length: 0 })),
            ("90", Err(ApduError::TooShort { length: 1 })),
            ("9000", length(0)),
            ("aabbcc 9000", length(3)),
            ("0411223344 9000", length(5)),
            ("041122334455667788 9000", length(9)),
            ("6a81", status(0x6A81)),
            ("6300", status(0x6300)),
            ("6282", status(0x6282)),
            ("deadbeef 6282", ok("deadbeef")),
            ("deadbeef04 6282", length(5)),
            ("deadbeef 6281", status(0x6281)),
            ("deadbeef 6200", status(0x6200)),
            ("deadbeef 6300", status(0x6300)),
            ("deadbeef 63c2", status(0x63C2)),
            ("deadbeef 9001", status(0x9001)),
            ("deadbeef 0090", status(0x0090)),
        ];
        for (response, expected) in table {
            assert_eq!(play(&[(GET, response)], ReaderOrder::AsSent), expected, "{response}");
        }
    }

    #[test]
    fn answers_in_several_steps_are_put_together() {
        /// Commands with their answers.
        type Exchange<'e> = &'e [(&'e str, &'e str)];
        let table: &[(Exchange<'_>, Result<&str, ApduError>)] = &[
            (&[(GET, "6c04"), ("ffca000004", "deadbeef 9000")], Ok("deadbeef")),
            (&[(GET, "6c08"), ("ffca000008", "01fe0123456789ab 6282")], Ok("01fe0123456789ab")),
            (&[(GET, "6107"), ("ffc0000007", "04112233445566 9000")], Ok("04112233445566")),
            (&[(GET, "6107"), ("ffc0000007", "6e00"), ("00c0000007", "04112233445566 9000")], Ok("04112233445566")),
            (&[(GET, "0411 6105"), ("ffc0000005", "2233445566 9000")], Ok("04112233445566")),
            (&[(GET, "6104"), ("ffc0000004", "dead 6102"), ("ffc0000002", "beef 9000")], Ok("deadbeef")),
            (&[(GET, "6100"), ("ffc0000000", "6c04"), ("ffc0000004", "deadbeef 9000")], Ok("deadbeef")),
            (&[(GET, "6c04"), ("ffca000004", "6c07")], Err(ApduError::Status { status: 0x6C07 })),
            (&[(GET, "6107"), ("ffc0000007", "6985")], Err(ApduError::Status { status: 0x6985 })),
            (
                &[(GET, "6107"), ("ffc0000007", "6d00"), ("00c0000007", "6d00")],
                Err(ApduError::Status { status: 0x6D00 }),
            ),
        ];
        for (script, expected) in table {
            assert_eq!(play(script, ReaderOrder::AsSent), expected.map(str::to_owned), "{script:?}");
        }
    }

    #[test]
    fn a_reader_that_always_promises_more_is_given_up() {
        for endless in ["6104", "6c04", "01 6101"] {
            let mut exchange = Exchange::new(ReaderOrder::AsSent);
            let mut commands = 1;
            while exchange.answered(&bytes(endless)) == Step::Send {
                commands += 1;
                assert!(commands <= MOST_COMMANDS, "{endless}");
            }
        }
    }

    #[test]
    fn a_longer_command_is_corrected_at_its_end_and_a_cards_own_answer_is_fetched_from_the_card() {
        let select = bytes("00a4040002abcd00");
        let mut transfer = Transfer::new(&select);
        assert_eq!(transfer.answered(&bytes("6c03")), Step::Send);
        assert_eq!(transfer.command(), bytes("00a4040002abcd03"));
        assert_eq!(transfer.answered(&bytes("6103")), Step::Send);
        assert_eq!(transfer.command(), bytes("00c0000003"));
        assert_eq!(transfer.answered(&bytes("0102039000")), Step::Done(Ok(Zeroizing::new(vec![1, 2, 3]))));
        assert_eq!(Transfer::new(&[]).answered(&bytes("6c03")), Step::Send, "nothing to correct is no reason to panic");
    }

    #[test]
    fn many_parts_are_fetched_where_they_are_allowed() {
        let get = bytes("00cb3fff055c035fc10100");
        let mut transfer = Transfer::in_parts(&get, 6);
        for n in 0..5 {
            assert_eq!(transfer.so_far().len(), n);
            assert_eq!(transfer.answered(&[7, 0x61, 0]), Step::Send, "part {n}");
            assert_eq!(transfer.command(), bytes("00c0000000"));
        }
        assert_eq!(transfer.answered(&bytes("079000")), Step::Done(Ok(Zeroizing::new(vec![7; 6]))));
        let mut endless = Transfer::in_parts(&get, 6);
        let sent = (1..).find(|_| endless.answered(&[7, 0x61, 0]) != Step::Send);
        assert_eq!(sent, Some(6));
    }

    #[test]
    fn turns_what_a_reversing_reader_gives() {
        assert_eq!(play(&[(GET, "efbeadde9000")], ReaderOrder::Reversed).unwrap(), "deadbeef");
    }

    proptest! {
        #[test]
        fn survives_anything(responses in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 8)) {
            let mut exchange = Exchange::new(ReaderOrder::AsSent);
            let mut ended = None;
            for response in &responses {
                if let Step::Done(result) = exchange.answered(response) {
                    ended = Some((result, response));
                    break;
                }
            }
            match ended {
                Some((Ok(uid), response)) => prop_assert!(uid.as_bytes().ends_with(&response[..response.len() - 2])),
                Some((Err(problem), _)) => prop_assert!(!problem.to_string().is_empty()),
                None => prop_assert!(false, "it never ended"),
            }
        }
    }
}

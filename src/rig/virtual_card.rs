//! A card for the virtual reader `vpcd`: it connects to the reader's TCP port, and is in the slot while connected.
//!
//! Wire format, as in `vpcd` 3.3: two bytes of length, big-endian, then the payload; a payload of one byte is a control
//! message, every other an APDU.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::sockopt;

use super::cards::{Applet, Chip, Said};
use crate::wire::{apdu, pacs};

/// Control messages that want no answer.
const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;

/// Control message: give the ATR.
const GET_ATR: u8 = 4;

/// The ATR that PC/SC readers make up for a contactless memory card (PC/SC part 3, here MIFARE Classic 1K).
const ATR: [u8; 20] = [
    0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x6A,
];

/// Status word for an instruction the card does not have, ISO/IEC 7816-4.
const UNKNOWN_INSTRUCTION: [u8; 2] = [0x6D, 0x00];

/// How a virtual card answers GET DATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// With this identifier and success.
    Uid(Vec<u8>),
    /// With exactly these bytes.
    Answer(Vec<u8>),
    /// Each command with the response beside it.
    Dialogue(Vec<(Vec<u8>, Vec<u8>)>),
    /// The same, of a card with this ATR, and of what its reader answers for it.
    Card {
        /// As the reader makes it up.
        atr: Vec<u8>,
        /// Commands, each with its response.
        answers: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// As the program of this card says.
    Applet(Chip<dyn Applet>),
    /// Not at all, for ever.
    Mute,
    /// It leaves the reader when asked.
    Pulled,
}

/// ATR of an iCLASS card of 2 kbit behind an OMNIKEY: a PicoPass 2KS of ISO/IEC 15693, by the name of PC/SC part 3.
const ICLASS: [u8; 20] = [
    0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06, 0x0A, 0x00, 0x18, 0x00, 0x00, 0x00, 0x00,
    0x7A,
];

/// ATR of a Seos card behind an OMNIKEY, as its users report it.
const SEOS: [u8; 5] = [0x3B, 0x80, 0x80, 0x01, 0x01];

/// Status word of success.
const DONE: [u8; 2] = [0x90, 0x00];

impl Behaviour {
    /// An iCLASS card behind an OMNIKEY whose secure element has no key for it: eight bytes of identifier, and a refusal.
    #[must_use]
    pub fn iclass(identifier: [u8; 8]) -> Self {
        let refusal = vec![0x9E, 0x02, 0x00, 0x03, 0x90, 0x00];
        let mut answers: Vec<_> = pacs::COMMANDS.map(|command| (command.to_vec(), refusal.clone())).into();
        answers.push((apdu::GET_UID.to_vec(), [&identifier[..], &DONE].concat()));
        Self::Card { atr: ICLASS.to_vec(), answers }
    }

    /// A Seos card behind an OMNIKEY: an identifier made up of `tap`, and the Wiegand bits, `unused` of them at the end of `bytes`, by the
    /// command to the reader's secure element.
    ///
    /// # Panics
    /// When there are more than a hundred bytes.
    #[must_use]
    pub fn seos(tap: [u8; 3], unused: u8, bytes: &[u8]) -> Self {
        let length = u8::try_from(bytes.len() + 1).expect("a card number is short");
        let bits = [&[0x9D, length + 2, 0x03, length, unused], bytes, &DONE].concat();
        let answers =
            vec![(pacs::COMMANDS[0].to_vec(), bits), (apdu::GET_UID.to_vec(), [&[0x08], &tap[..], &DONE].concat())];
        Self::Card { atr: SEOS.to_vec(), answers }
    }

    /// A phone: an identifier made up of `tap`, and a wallet that says which one it is.
    #[must_use]
    pub fn wallet(tap: [u8; 3]) -> Self {
        let ask = [&[0x00, 0xA4, 0x04, 0x00, 0x0A], &b"OSE.VAS.01"[..], &[0x00]].concat();
        let answers = vec![
            (ask, [&[0x6F, 0x0A, 0x50, 0x08], &b"ApplePay"[..], &DONE].concat()),
            (apdu::GET_UID.to_vec(), [&[0x08], &tap[..], &DONE].concat()),
        ];
        Self::Card { atr: SEOS.to_vec(), answers }
    }
}

/// Why there is no virtual card.
#[derive(Debug, thiserror::Error)]
pub enum VirtualCardError {
    /// No virtual reader listens.
    #[error("cannot connect to the virtual reader at port {port}; is the rig's pcscd running?")]
    Connect {
        /// TCP port on loopback.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The card's thread could not be started.
    #[error("cannot start the virtual card's thread")]
    StartThread {
        /// The cause.
        source: io::Error,
    },
}

/// A card in a slot. Dropping it removes the card.
#[derive(Debug)]
pub struct VirtualCard {
    reader: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl VirtualCard {
    /// Inserts a card into the slot that listens at `port`. The reader sees it within half a second, as pcscd polls.
    ///
    /// # Errors
    /// When nobody listens there, or no thread can be started.
    pub fn insert(port: u16, behaviour: Behaviour) -> Result<Self, VirtualCardError> {
        let connect = || {
            let reader = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            reader.set_nodelay(true)?;
            Ok((reader.try_clone()?, reader))
        };
        let (theirs, reader) = connect().map_err(|source| VirtualCardError::Connect { port, source })?;
        let thread = thread::Builder::new()
            .name("examgate-virtual-card".into())
            .spawn(move || {
                // The reader closing the connection, or `remove`, is how a card's life ends.
                let _ = serve(&theirs, &behaviour);
                if let Behaviour::Applet(chip) = &behaviour {
                    chip.hold().lose_power();
                }
                let _ = theirs.shutdown(Shutdown::Both);
            })
            .map_err(|source| VirtualCardError::StartThread { source })?;
        Ok(Self { reader, thread: Some(thread) })
    }

    /// Removes the card. The reader sees it within half a second.
    pub fn remove(self) {}
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        // Fails only when the reader is gone already.
        let _ = self.reader.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers until the connection ends.
fn serve(mut reader: &TcpStream, behaviour: &Behaviour) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        // vpcd writes length and payload apart, and its kernel holds the payload back until the length is acknowledged:
        // 40 ms later, unless asked for anew each time (tcp(7), TCP_QUICKACK).
        sockopt::set_tcp_quickack(reader, true)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        reader.read_exact(&mut message)?;
        match (&*message, behaviour) {
            ([GET_ATR], Behaviour::Card { atr, .. }) => send(reader, atr)?,
            ([GET_ATR], Behaviour::Applet(chip)) => send(reader, &chip.hold().atr())?,
            ([GET_ATR], _) => send(reader, &ATR)?,
            ([POWER_OFF | RESET], Behaviour::Applet(chip)) => chip.hold().lose_power(),
            // A native command of one byte, like GET VERSION of DESFire, is none of the control messages.
            ([] | [POWER_OFF | POWER_ON | RESET], _) | (_, Behaviour::Mute) => {}
            (_, Behaviour::Pulled) => return Ok(()),
            (apdu, Behaviour::Uid(uid)) if apdu == apdu::GET_UID => send(reader, &[uid, &[0x90, 0x00][..]].concat())?,
            (apdu, Behaviour::Answer(answer)) if apdu == apdu::GET_UID => send(reader, answer)?,
            (apdu, Behaviour::Dialogue(answers) | Behaviour::Card { answers, .. }) => {
                let known = answers.iter().find(|(command, _)| command == apdu);
                send(reader, known.map_or(&UNKNOWN_INSTRUCTION[..], |(_, answer)| answer))?;
            }
            (_, Behaviour::Uid(_) | Behaviour::Answer(_)) => send(reader, &UNKNOWN_INSTRUCTION)?,
            (apdu, Behaviour::Applet(chip)) => {
                let said = chip.hold().answer(apdu);
                match said {
                    Said::Answer(answer) => send(reader, &answer)?,
                    Said::Late(time, answer) => {
                        stay(reader, time)?;
                        send(reader, &answer)?;
                    }
                    Said::Mute => {}
                    Said::Pulled => return Ok(()),
                }
            }
        }
    }
}

/// Keeps the reader waiting so long, or until the card is removed. The reader sends nothing meanwhile.
fn stay(reader: &TcpStream, time: Duration) -> io::Result<()> {
    reader.set_read_timeout(Some(time.max(Duration::from_millis(1))))?;
    let ended = match reader.peek(&mut [0]) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    };
    reader.set_read_timeout(None)?;
    ended
}

fn send(mut reader: &TcpStream, payload: &[u8]) -> io::Result<()> {
    let length = u16::try_from(payload.len()).map_err(io::Error::other)?;
    reader.write_all(&[&length.to_be_bytes(), payload].concat())
}

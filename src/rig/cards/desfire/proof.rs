//! How reader and card prove to each other that they have a key: AUTHENTICATE AES, EV2 FIRST and EV2 NON FIRST.
//!
//! AES as described by libfreefare: the ciphers chain. EV2 by AN12196 section 6.6 and its tables 14, 19 and 23: each begins at zeros.

use super::{
    super::aes::{Block, decipher, encipher, last_block},
    Desfire, Frames, Generation, Status, Waiting,
    channel::{Channel, Ev1, Ev2},
};

const ZEROS: Block = [0; 16];

/// How long the capabilities of either side are.
const CAPABILITIES: usize = 6;

/// An authentication whose first half is done.
pub(super) struct Proof {
    how: How,
    number: u8,
    key: Block,
    /// What the card drew.
    card: Block,
}

enum How {
    /// The cipher of the first half, with which the second goes on.
    Aes { iv: Block },
    /// What the reader says that it can do.
    First { reader: [u8; CAPABILITIES] },
    /// The transaction that goes on, and its counter.
    NonFirst { transaction: [u8; 4], counter: u16 },
}

impl Desfire {
    pub(super) fn authenticate_aes(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.forget();
        let [number] = *sent else { return Err(Status::LENGTH) };
        self.challenge(number, How::Aes { iv: ZEROS })
    }

    pub(super) fn authenticate_first(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.forget();
        let [number, length, told @ ..] = sent else { return Err(Status::LENGTH) };
        if usize::from(*length) != told.len() || told.len() > CAPABILITIES {
            return Err(Status::LENGTH);
        }
        let mut reader = [0; CAPABILITIES];
        reader[..told.len()].copy_from_slice(told);
        self.challenge(*number, How::First { reader })
    }

    pub(super) fn authenticate_non_first(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        let [number] = *sent else { return Err(Status::LENGTH) };
        let Channel::Ev2(Ev2 { transaction, counter, .. }) = self.power.channel else { return Err(Status::DENIED) };
        self.forget();
        self.challenge(number, How::NonFirst { transaction, counter })
    }

    fn challenge(&mut self, number: u8, mut how: How) -> Result<Frames, Status> {
        if self.generation == Generation::Ev1 && !matches!(how, How::Aes { .. }) {
            return Err(Status::UNKNOWN_COMMAND);
        }
        let key = self.key(number)?;
        let card = self.draw();
        let challenge = encipher(&key, &ZEROS, &card);
        if let How::Aes { iv } = &mut how {
            *iv = last_block(&challenge);
        }
        self.power.waiting = Some(Waiting::Proof(Proof { how, number, key, card }));
        Ok([challenge].into())
    }

    /// The second half: what the reader sent for the card's challenge.
    pub(super) fn proved(&mut self, proof: &Proof, sent: &[u8]) -> Result<Frames, Status> {
        let Proof { how, number, key, card } = proof;
        let iv = if let How::Aes { iv } = how { *iv } else { ZEROS };
        let clear = decipher(key, &iv, sent).ok_or(Status::LENGTH)?;
        let (reader, echo) = clear.split_first_chunk::<16>().ok_or(Status::LENGTH)?;
        if echo.len() != card.len() {
            return Err(Status::LENGTH);
        }
        let turned = |block: &Block| {
            let mut turned = *block;
            turned.rotate_left(1);
            turned
        };
        if *echo != turned(card) {
            return Err(Status::UNAUTHENTICATED);
        }
        let (channel, answer) = match how {
            How::Aes { .. } => {
                let answer = encipher(key, &last_block(sent), &turned(reader));
                (Channel::Ev1(Ev1::new(reader, card)), answer)
            }
            How::First { reader: told } => {
                let transaction = self.draw();
                let answer = [&transaction[..], &turned(reader), &[0; CAPABILITIES], told].concat();
                let channel = Ev2::new(key, reader, card, transaction, 0);
                (Channel::Ev2(channel), encipher(key, &ZEROS, &answer))
            }
            How::NonFirst { transaction, counter } => {
                let channel = Ev2::new(key, reader, card, *transaction, *counter);
                (Channel::Ev2(channel), encipher(key, &ZEROS, &turned(reader)))
            }
        };
        self.power.channel = channel;
        self.power.proved = Some(*number);
        Ok([answer].into())
    }
}

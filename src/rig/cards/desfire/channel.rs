//! Secure messaging of a DESFire card: that of EV1, whose CMACs and ciphers chain from command to command, and that of EV2, which counts.
//!
//! EV1 as described by libfreefare and the Proxmark3 client; EV2 by AN12196 and AN12343.

use super::{
    super::aes::{Block, cmac, crc32, decipher, encipher, last_block},
    Mode, Status,
};

/// How long a MAC is in a message.
const MAC: usize = 8;

/// What stands before the input of an initial vector, of a command and of an answer (AN12196 section 4).
const OF_COMMAND: [u8; 2] = [0xA5, 0x5A];
const OF_ANSWER: [u8; 2] = [0x5A, 0xA5];

/// What holds between an authenticated reader and the card.
pub(super) enum Channel {
    /// Nothing: nobody is authenticated.
    Open,
    /// After AUTHENTICATE AES.
    Ev1(Ev1),
    /// After AUTHENTICATE EV2.
    Ev2(Ev2),
}

/// A command with its data, as it was sent.
pub(super) struct Sent<'a> {
    pub(super) command: u8,
    /// What came after the command.
    pub(super) bytes: &'a [u8],
    /// How many of them are never enciphered.
    pub(super) header: usize,
    /// How many bytes of data follow them; `None`: the command has none.
    pub(super) data: Option<usize>,
    /// How many more follow, behind the CRC over the command where there is one.
    pub(super) after: usize,
}

impl Channel {
    /// Checks and deciphers what was sent in this `mode`: gives the data after the header.
    pub(super) fn accept(&mut self, sent: &Sent<'_>, mode: Mode) -> Result<Vec<u8>, Status> {
        if sent.bytes.len() < sent.header {
            return Err(Status::LENGTH);
        }
        let data = match self {
            Self::Open => sent.bytes[sent.header..].to_vec(),
            Self::Ev1(ev1) => ev1.accept(sent, mode)?,
            Self::Ev2(ev2) => ev2.accept(sent, mode)?,
        };
        if data.len() == sent.data.unwrap_or(0) + sent.after { Ok(data) } else { Err(Status::LENGTH) }
    }

    /// Secures an answer of success. `marked`: how long the data is does not follow from the command, so EV1 marks their end.
    pub(super) fn secure(&mut self, data: &[u8], mode: Mode, marked: bool) -> Vec<u8> {
        match self {
            Self::Open => data.to_vec(),
            Self::Ev1(ev1) => ev1.secure(data, mode, marked),
            Self::Ev2(ev2) => ev2.secure(data, mode),
        }
    }
}

/// EV1's: the initial vector is what the last CMAC or cipher ended with, whoever sent it.
pub(super) struct Ev1 {
    pub(super) key: Block,
    pub(super) iv: Block,
}

impl Ev1 {
    /// Of what both drew: the session key is put together of their first and last four bytes.
    pub(super) fn new(reader: &Block, card: &Block) -> Self {
        let mut key = [0; 16];
        for (part, from) in key.chunks_exact_mut(4).zip([&reader[..4], &card[..4], &reader[12..], &card[12..]]) {
            part.copy_from_slice(from);
        }
        Self { key, iv: [0; 16] }
    }

    fn mac(&mut self, parts: &[&[u8]]) -> Block {
        self.iv = cmac(&self.key, &self.iv, &parts.concat());
        self.iv
    }

    fn accept(&mut self, sent: &Sent<'_>, mode: Mode) -> Result<Vec<u8>, Status> {
        let (header, body) = sent.bytes.split_at(sent.header);
        let command = [sent.command];
        match (mode, sent.data) {
            (Mode::Full, Some(length)) => {
                let clear = decipher(&self.key, &self.iv, body).ok_or(Status::LENGTH)?;
                self.iv = *body.last_chunk().ok_or(Status::LENGTH)?;
                let (data, rest) = clear.split_at_checked(length).ok_or(Status::LENGTH)?;
                let (crc, rest) = rest.split_first_chunk::<4>().ok_or(Status::LENGTH)?;
                let (after, padding) = rest.split_at_checked(sent.after).ok_or(Status::LENGTH)?;
                let good = *crc == crc32(&[&command, header, data]) && padding.iter().all(|byte| *byte == 0);
                if good { Ok([data, after].concat()) } else { Err(Status::INTEGRITY) }
            }
            (Mode::Mac, Some(_)) => {
                let (data, mac) = body.split_at_checked(body.len().saturating_sub(MAC)).ok_or(Status::LENGTH)?;
                if self.mac(&[&command, header, data])[..MAC] == *mac {
                    Ok(data.to_vec())
                } else {
                    Err(Status::INTEGRITY)
                }
            }
            (Mode::Full | Mode::Mac, None) | (Mode::Plain, _) => {
                self.mac(&[&command, sent.bytes]);
                Ok(body.to_vec())
            }
        }
    }

    fn secure(&mut self, data: &[u8], mode: Mode, marked: bool) -> Vec<u8> {
        let status = [Status::DONE.0];
        if mode != Mode::Full || data.is_empty() {
            // An answer in plain has a MAC too.
            return [data, &self.mac(&[data, &status])[..MAC]].concat();
        }
        let mut clear = [data, &crc32(&[data, &status])].concat();
        if marked {
            clear.push(0x80);
        }
        clear.resize(clear.len().next_multiple_of(16), 0);
        let enciphered = encipher(&self.key, &self.iv, &clear);
        self.iv = last_block(&enciphered);
        enciphered
    }
}

/// EV2's: two keys, an identifier of the transaction, and how many commands it has had.
pub(super) struct Ev2 {
    pub(super) enciphering: Block,
    pub(super) macing: Block,
    pub(super) transaction: [u8; 4],
    pub(super) counter: u16,
}

impl Ev2 {
    /// Of what both drew and the key they proved (AN12196 section 4: SV1 and SV2).
    pub(super) fn new(key: &Block, reader: &Block, card: &Block, transaction: [u8; 4], counter: u16) -> Self {
        let vector = |label: [u8; 2]| {
            let mut mixed = reader[2..8].to_vec();
            mixed.iter_mut().zip(&card[..6]).for_each(|(byte, other)| *byte ^= other);
            let vector =
                [&label[..], &[0x00, 0x01, 0x00, 0x80], &reader[..2], &mixed, &card[6..], &reader[8..]].concat();
            cmac(key, &[0; 16], &vector)
        };
        Self { enciphering: vector(OF_COMMAND), macing: vector(OF_ANSWER), transaction, counter }
    }

    /// Every second byte of the CMAC.
    fn mac(&self, first: u8, bytes: &[u8]) -> [u8; MAC] {
        let message = [&[first], &self.counter.to_le_bytes()[..], &self.transaction, bytes].concat();
        let mac = cmac(&self.macing, &[0; 16], &message);
        std::array::from_fn(|n| mac[2 * n + 1])
    }

    fn iv(&self, label: [u8; 2]) -> Block {
        let input = [&label[..], &self.transaction, &self.counter.to_le_bytes(), &[0; 8]].concat();
        last_block(&encipher(&self.enciphering, &[0; 16], &input))
    }

    fn accept(&self, sent: &Sent<'_>, mode: Mode) -> Result<Vec<u8>, Status> {
        let (header, body) = sent.bytes.split_at(sent.header);
        if mode == Mode::Plain {
            return Ok(body.to_vec());
        }
        let (body, mac) = body.split_at_checked(body.len().wrapping_sub(MAC)).ok_or(Status::LENGTH)?;
        if self.mac(sent.command, &[header, body].concat()) != *mac {
            return Err(Status::INTEGRITY);
        }
        if mode == Mode::Mac || body.is_empty() {
            return Ok(body.to_vec());
        }
        let mut clear = decipher(&self.enciphering, &self.iv(OF_COMMAND), body).ok_or(Status::LENGTH)?;
        while clear.pop_if(|byte| *byte == 0).is_some() {}
        if clear.pop() == Some(0x80) { Ok(clear) } else { Err(Status::INTEGRITY) }
    }

    fn secure(&mut self, data: &[u8], mode: Mode) -> Vec<u8> {
        self.counter = self.counter.wrapping_add(1);
        let body = match mode {
            Mode::Plain => return data.to_vec(),
            Mode::Full if !data.is_empty() => {
                let mut clear = [data, &[0x80]].concat();
                clear.resize(clear.len().next_multiple_of(16), 0);
                encipher(&self.enciphering, &self.iv(OF_ANSWER), &clear)
            }
            Mode::Mac | Mode::Full => data.to_vec(),
        };
        [&body[..], &self.mac(Status::DONE.0, &body)].concat()
    }
}

//! A PIV card (NIST SP 800-73-4): its application answers SELECT, GET DATA for the CHUID and the card authentication certificate, and
//! GENERAL AUTHENTICATE with the card authentication key. Written from the standard and without the reader's side.
//!
//! It asks for no PIN and lets nobody write: no management commands. Like a contactless card it takes 255 bytes of a command and gives 256
//! of an answer at a time.

mod authority;

use openssl::{
    ecdsa::EcdsaSig,
    pkey::{Id, PKey, Private},
    rsa::Padding,
    x509::X509,
};

pub use authority::{PivAuthority, PivKey, PivPlan};

use super::{Applet, Said};

/// The whole name of the application: NIST's number, PIV, version 1.0 (part 1, section 2.2).
const NAME: [u8; 11] = [0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00];

/// The answer to SELECT: application property template with the end of that name and who gives tags out (part 2, table 3).
const PROPERTIES: [u8; 19] =
    [0x61, 0x11, 0x4F, 0x06, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00, 0x79, 0x07, 0x4F, 0x05, 0xA0, 0x00, 0x00, 0x03, 0x08];

/// ATR that a contactless reader makes up for an ISO/IEC 14443-4 card without historical bytes.
const ATR: [u8; 5] = [0x3B, 0x80, 0x80, 0x01, 0x01];

/// Most bytes of an answer's part.
const PART: usize = 256;

const DONE: u16 = 0x9000;
const CHAIN_BROKEN: u16 = 0x6883;
const NOT_ALLOWED: u16 = 0x6985;
const WRONG_DATA: u16 = 0x6A80;
const NOT_FOUND: u16 = 0x6A82;
const WRONG_REFERENCE: u16 = 0x6A86;
const UNKNOWN_INSTRUCTION: u16 = 0x6D00;

/// A card with one key and its certificate.
pub struct PivCard {
    uid: Vec<u8>,
    key: PKey<Private>,
    certificate: Option<Vec<u8>>,
    chuid: Vec<u8>,
    roster_value: String,
    /// The certificate as it was issued.
    issued: X509,
    selected: bool,
    /// What is left of an answer.
    pending: Vec<u8>,
    /// Instruction, parameters and data of a command that comes in parts.
    chain: Option<([u8; 3], Vec<u8>)>,
}

impl PivCard {
    /// What the roster has for it: `piv:` and its UUID.
    #[must_use]
    pub fn roster_value(&self) -> &str {
        &self.roster_value
    }

    /// A copy of all that can be read of it. The key cannot, so the copy has another one.
    ///
    /// # Panics
    /// Never: a key can be made.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            uid: self.uid.clone(),
            key: PivKey::of(&self.key).make(),
            certificate: self.certificate.clone(),
            chuid: self.chuid.clone(),
            roster_value: self.roster_value.clone(),
            issued: self.issued.clone(),
            selected: false,
            pending: Vec::new(),
            chain: None,
        }
    }

    /// The same card with the CHUID of another.
    #[must_use]
    pub fn with_chuid_of(self, other: &Self) -> Self {
        Self { chuid: other.chuid.clone(), ..self }
    }

    /// The same card, as before anybody put a certificate on it.
    #[must_use]
    pub fn without_certificate(self) -> Self {
        Self { certificate: None, ..self }
    }

    /// A command that is whole: what it gives and the status word.
    fn obey(&mut self, [instruction, p1, p2]: [u8; 3], data: &[u8]) -> (Vec<u8>, u16) {
        match (instruction, p1, p2) {
            (0xA4, 0x04, 0x00) => {
                // A name may be cut at its end, but not before the application's own part.
                self.selected = data.len() >= 9 && NAME.starts_with(data);
                if self.selected { (PROPERTIES.to_vec(), DONE) } else { (Vec::new(), NOT_FOUND) }
            }
            _ if !self.selected => (Vec::new(), NOT_ALLOWED),
            (0xCB, 0x3F, 0xFF) => {
                let object = match data {
                    [0x5C, 0x03, 0x5F, 0xC1, 0x02] => Some(self.chuid.clone()),
                    [0x5C, 0x03, 0x5F, 0xC1, 0x01] => self.certificate.clone(),
                    _ => None,
                };
                object.map_or((Vec::new(), NOT_FOUND), |object| (authority::tlv(0x53, &object), DONE))
            }
            (0x87, algorithm, 0x9E) if algorithm == PivKey::of(&self.key).reference() => self.authenticate(data),
            (0x87, ..) => (Vec::new(), WRONG_REFERENCE),
            _ => (Vec::new(), UNKNOWN_INSTRUCTION),
        }
    }

    /// Signs the challenge of a template that asks for a response.
    fn authenticate(&self, data: &[u8]) -> (Vec<u8>, u16) {
        let Some((0x7C, mut template, [])) = element(data) else { return (Vec::new(), WRONG_DATA) };
        let (mut challenge, mut is_asked) = (None, false);
        while let Some((tag, value, rest)) = element(template) {
            match tag {
                0x81 => challenge = Some(value),
                0x82 => is_asked = value.is_empty(),
                _ => return (Vec::new(), WRONG_DATA),
            }
            template = rest;
        }
        let fits = |challenge: &&[u8]| is_asked && challenge.len() == PivKey::of(&self.key).block();
        match challenge.filter(fits).and_then(|challenge| sign(&self.key, challenge)) {
            Some(signature) => (authority::tlv(0x7C, &authority::tlv(0x82, &signature)), DONE),
            None => (Vec::new(), WRONG_DATA),
        }
    }

    /// The next part of an answer, of at most `most` bytes.
    fn part(&mut self, most: usize) -> Vec<u8> {
        let rest = self.pending.split_off(self.pending.len().min(most));
        let mut part = std::mem::replace(&mut self.pending, rest);
        let [high, low] = match self.pending.len() {
            0 => DONE.to_be_bytes(),
            left => [0x61, u8::try_from(left).unwrap_or(0)],
        };
        part.extend([high, low]);
        part
    }
}

impl Applet for PivCard {
    fn atr(&self) -> Vec<u8> {
        ATR.to_vec()
    }

    fn answer(&mut self, command: &[u8]) -> Said {
        let status = |status: u16| Said::Answer(status.to_be_bytes().to_vec());
        // The reader answers this itself.
        if command.starts_with(&[0xFF, 0xCA, 0x00, 0x00]) {
            return Said::Answer([&self.uid[..], &DONE.to_be_bytes()].concat());
        }
        let Some((class, [instruction, p1, p2], data, most)) = parse(command) else { return status(0x6700) };
        if (class, instruction) == (0x00, 0xC0) {
            return if self.pending.is_empty() { status(NOT_ALLOWED) } else { Said::Answer(self.part(most)) };
        }
        self.pending.clear();
        let header = [instruction, p1, p2];
        let mut whole = match self.chain.take() {
            Some((begun, whole)) if begun == header => whole,
            Some(_) => return status(CHAIN_BROKEN),
            None => Vec::new(),
        };
        whole.extend_from_slice(data);
        match class {
            0x10 => {
                self.chain = Some((header, whole));
                status(DONE)
            }
            0x00 => {
                let (answer, ended) = self.obey(header, &whole);
                if ended != DONE {
                    return status(ended);
                }
                self.pending = answer;
                Said::Answer(self.part(most))
            }
            _ => status(0x6E00),
        }
    }

    fn lose_power(&mut self) {
        (self.selected, self.chain) = (false, None);
        self.pending.clear();
    }
}

/// Signs as the card's processor does: what it is given, without hashing or padding it.
fn sign(key: &PKey<Private>, challenge: &[u8]) -> Option<Vec<u8>> {
    if key.id() == Id::RSA {
        let rsa = key.rsa().ok()?;
        let mut signature = vec![0; rsa.size() as usize];
        rsa.private_encrypt(challenge, &mut signature, Padding::NONE).ok()?;
        Some(signature)
    } else {
        EcdsaSig::sign(challenge, &*key.ec_key().ok()?).ok()?.to_der().ok()
    }
}

/// Class, the rest of the header, data, and how many bytes are expected: of a short command, ISO/IEC 7816-4 section 5.2.
fn parse(command: &[u8]) -> Option<(u8, [u8; 3], &[u8], usize)> {
    let (&[class, instruction, p1, p2], body) = command.split_first_chunk::<4>()?;
    let expected = |le: u8| if le == 0 { PART } else { usize::from(le) };
    let (data, most) = match body {
        [] => (&body[..0], PART),
        &[le] => (&body[..0], expected(le)),
        [length, rest @ ..] => match rest.split_at_checked(usize::from(*length))? {
            (data, []) => (data, PART),
            (data, &[le]) => (data, expected(le)),
            _ => return None,
        },
    };
    Some((class, [instruction, p1, p2], data, most))
}

/// Tag, value and what follows.
fn element(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (length, from) = match *data.get(1)? {
        0x81 => (usize::from(*data.get(2)?), 3),
        0x82 => (usize::from(*data.get(2)?) << 8 | usize::from(*data.get(3)?), 4),
        short => (usize::from(short), 2),
    };
    let value = data.get(from..from + length)?;
    Some((data[0], value, &data[from + length..]))
}

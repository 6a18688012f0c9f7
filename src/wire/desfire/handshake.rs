//! AUTHENTICATE: the card and the holder of its key prove themselves to each other, three passes (MF2DL(H)x0, section 9.2.1; for 0xAA
//! libfreefare).
//!
//! EV2's non-first authentication (0x77) renews keys within a transaction. A tap has one authentication, so it is not used.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    DesfireError, Protocol, Session,
    aes::{BLOCK, CardKey},
};

/// A handshake after its second pass: the card has said its challenge, and ours is on its way. Wiped when dropped.
pub struct Handshake {
    protocol: Protocol,
    key: CardKey,
    rnd_a: Zeroizing<[u8; BLOCK]>,
    rnd_b: Zeroizing<[u8; BLOCK]>,
    /// Under [`Protocol::Aes`] it runs on from pass to pass, under [`Protocol::Ev2`] each pass begins with zeros.
    iv: [u8; BLOCK],
}

impl Handshake {
    /// Takes the card's enciphered `challenge` and our own, which must be random: gives what is sent back.
    ///
    /// # Errors
    /// The challenge has another length than a block's.
    pub fn answer(
        protocol: Protocol,
        key: CardKey,
        rnd_a: Zeroizing<[u8; BLOCK]>,
        challenge: &[u8],
    ) -> Result<(Self, Zeroizing<Vec<u8>>), DesfireError> {
        let length = DesfireError::Length { found: challenge.len(), wanted: BLOCK };
        let mut rnd_b = Zeroizing::new(<[u8; BLOCK]>::try_from(challenge).map_err(|_| length)?);
        let mut iv = [0; BLOCK];
        key.decipher(&mut iv, &mut *rnd_b);
        let mut handshake = Self { protocol, key, rnd_a, rnd_b, iv };
        let mut answer = Zeroizing::new(Vec::with_capacity(2 * BLOCK));
        answer.extend_from_slice(&*handshake.rnd_a);
        answer.extend_from_slice(&*turned(&handshake.rnd_b));
        handshake.begin_pass();
        handshake.key.encipher(&mut handshake.iv, &mut answer);
        Ok((handshake, answer))
    }

    /// Takes the card's second `answer`: our challenge, turned by a byte and enciphered. Then the session stands.
    ///
    /// # Errors
    /// [`DesfireError::WrongKey`]: it is another one. Or it has a wrong length.
    pub fn accept(mut self, answer: &[u8]) -> Result<Session, DesfireError> {
        let wanted = match self.protocol {
            Protocol::Aes => BLOCK,
            // Transaction identifier (4 bytes), RndA turned, capabilities of card and reader (6 bytes each).
            Protocol::Ev2 => 2 * BLOCK,
        };
        if answer.len() != wanted {
            return Err(DesfireError::Length { found: answer.len(), wanted });
        }
        let mut answer = Zeroizing::new(answer.to_vec());
        self.begin_pass();
        self.key.decipher(&mut self.iv, &mut answer);
        let (transaction, proof) = match self.protocol {
            Protocol::Aes => (&[][..], &answer[..]),
            Protocol::Ev2 => (&answer[..4], &answer[4..4 + BLOCK]),
        };
        if !bool::from(proof.ct_eq(&turned(&self.rnd_a)[..])) {
            return Err(DesfireError::WrongKey);
        }
        Ok(match *transaction {
            [one, two, three, four] => {
                let [encipher, mac] = self.ev2_keys();
                Session::ev2(encipher, mac, [one, two, three, four])
            }
            _ => Session::aes(self.aes_key()),
        })
    }

    fn begin_pass(&mut self) {
        match self.protocol {
            Protocol::Aes => {}
            Protocol::Ev2 => self.iv = [0; BLOCK],
        }
    }

    /// EV1's session key: the first and the last four bytes of both challenges.
    fn aes_key(&self) -> CardKey {
        let mut key = Zeroizing::new([0; BLOCK]);
        let parts = [&self.rnd_a[..4], &self.rnd_b[..4], &self.rnd_a[12..], &self.rnd_b[12..]];
        key.chunks_exact_mut(4).zip(parts).for_each(|(to, part)| to.copy_from_slice(part));
        CardKey::from_bytes(*key)
    }

    /// EV2's session keys, for enciphering and for MACs: CMAC of a session vector each (MF2DL(H)x0, section 9.2.7).
    pub(super) fn ev2_keys(&self) -> [CardKey; 2] {
        let mut middle = Zeroizing::new([0; 6]);
        for (to, (a, b)) in middle.iter_mut().zip(self.rnd_a[2..8].iter().zip(&self.rnd_b[..6])) {
            *to = a ^ b;
        }
        [[0xA5, 0x5A], [0x5A, 0xA5]].map(|label| {
            let counter_and_length = [0x00, 0x01, 0x00, 0x80];
            let vector =
                [&label[..], &counter_and_length, &self.rnd_a[..2], &*middle, &self.rnd_b[6..], &self.rnd_a[8..]];
            CardKey::from_bytes(*self.key.cmac(&vector))
        })
    }
}

/// A challenge, turned by one byte to the left.
fn turned(challenge: &[u8; BLOCK]) -> Zeroizing<[u8; BLOCK]> {
    let mut turned = Zeroizing::new(*challenge);
    turned.rotate_left(1);
    turned
}

//! How a DESFire card is made out: applications, files and keys.

use super::{
    super::aes::{Block, crc32},
    Application, CARD, Desfire, File, Frames, Key, Mode, Status,
    channel::Sent,
};

/// Upper half of the second byte of key settings: keys of AES.
const AES: u8 = 0x80;

/// How long the data of CHANGE KEY are: a key and its version.
const NEW_KEY: usize = 17;

/// What follows where the key is not the one in use: a CRC over the new key.
const CRC: usize = 4;

impl Desfire {
    fn master(&self) -> Result<(), Status> {
        if self.power.proved == Some(0) { Ok(()) } else { Err(Status::UNAUTHENTICATED) }
    }

    /// Identifier, key settings, how many keys and of which kind.
    pub(super) fn create_application(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0xCA, sent, 5)?;
        let [low, middle, high, settings, keys, ..] = *sent else { return Err(Status::LENGTH) };
        if self.power.selected != CARD {
            return Err(Status::DENIED);
        }
        self.master()?;
        let count = usize::from(keys & 0x0F);
        if keys & 0xF0 != AES || !(1..=14).contains(&count) {
            return Err(Status::PARAMETER);
        }
        let id = [high, middle, low];
        if self.application(id).is_some() {
            return Err(Status::DUPLICATE);
        }
        let mut application = Application::new(id, &vec![[0; 16]; count]);
        application.settings = settings;
        self.applications.push(application);
        Ok(self.tell(&[]))
    }

    /// Number, mode, access rights, size.
    pub(super) fn create_file(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0xCD, sent, 7)?;
        let [number, mode, first, second, low, middle, 0x00, ..] = *sent else { return Err(Status::PARAMETER) };
        if self.power.selected == CARD {
            return Err(Status::DENIED);
        }
        self.master()?;
        let mode = Mode::of(mode).ok_or(Status::PARAMETER)?;
        if number > 0x1F {
            return Err(Status::PARAMETER);
        }
        let contents = vec![0; usize::from(u16::from_le_bytes([low, middle]))];
        let file = File { mode, access: File::access_of([first, second]), contents };
        if self.selected().files.contains_key(&number) {
            return Err(Status::DUPLICATE);
        }
        self.selected_mut().files.insert(number, file);
        Ok(self.tell(&[]))
    }

    /// The number of the key, and enciphered: the new key, XORed with the old one where it is not the one in use, and its version.
    pub(super) fn change_key(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        let number = sent.first().ok_or(Status::LENGTH)? & 0x0F;
        let proved = self.power.proved.ok_or(Status::UNAUTHENTICATED)?;
        let old = self.key(number)?;
        let own = number == proved;
        if !own {
            self.master()?;
        }
        let after = if own { 0 } else { CRC };
        let sent = Sent { command: 0xC4, bytes: sent, header: 1, data: Some(NEW_KEY), after };
        let data = self.power.channel.accept(&sent, Mode::Full)?;
        let (mixed, rest) = data.split_first_chunk::<16>().ok_or(Status::LENGTH)?;
        let bytes: Block = std::array::from_fn(|n| if own { mixed[n] } else { mixed[n] ^ old[n] });
        if !own && rest[1..] != crc32(&[&bytes]) {
            return Err(Status::INTEGRITY);
        }
        let version = rest[0];
        self.selected_mut().keys[usize::from(number)] = Key { bytes, version };
        if own {
            // Who proved the old key has proved nothing any more, and gets no MAC.
            self.forget();
            return Ok(Frames::new());
        }
        Ok(self.tell(&[]))
    }
}

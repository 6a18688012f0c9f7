//! What a DESFire card does: it tells what it is and what it holds, and reads and writes files.

use super::{Access, CARD, Desfire, File, Frames, Generation, Mode, Status, channel::Sent};

/// How much data a native frame holds: 60 bytes with its status.
const FRAME: usize = 59;

/// The same where three bytes belong together.
const TRIPLES: usize = 57;

/// How much READ DATA gives at once where the transport divides it and not the card.
const WHOLE: usize = 0xF0;

/// How long the header of READ DATA and WRITE DATA is: file, where, how much.
const DATA_HEADER: usize = 7;

impl Desfire {
    pub(super) fn execute(&mut self, command: u8, sent: &[u8]) -> Result<Frames, Status> {
        let modern = self.generation >= Generation::Ev2;
        match command {
            0xAA => self.authenticate_aes(sent),
            0x71 if modern => self.authenticate_first(sent),
            0x77 if modern => self.authenticate_non_first(sent),
            0x5A => self.select(sent),
            0x60 => self.version(sent),
            0x51 => self.own_identifier(sent),
            0x6A => self.list_applications(sent),
            0x45 => self.key_settings(sent),
            0x64 => self.key_version(sent),
            0x6F => self.list_files(sent),
            0xF5 => self.file_settings(sent),
            0xBD => self.read(command, sent, FRAME),
            0xAD if modern => self.read(command, sent, WHOLE),
            0x3D => self.write(command, sent),
            0x8D if modern => self.write(command, sent),
            0xC4 => self.change_key(sent),
            0xCA => self.create_application(sent),
            0xCD => self.create_file(sent),
            _ => Err(Status::UNKNOWN_COMMAND),
        }
    }

    /// Takes a command without data that is guarded by a MAC where there is a session.
    pub(super) fn take(&mut self, command: u8, sent: &[u8], header: usize) -> Result<(), Status> {
        let sent = Sent { command, bytes: sent, header, data: None, after: 0 };
        self.power.channel.accept(&sent, Mode::Mac).map(|_| ())
    }

    /// Answers with a MAC where there is a session.
    pub(super) fn tell(&mut self, data: &[u8]) -> Frames {
        [self.power.channel.secure(data, Mode::Mac, false)].into()
    }

    /// Lists are free, or for who has the master key.
    pub(super) fn may_list(&self) -> Result<(), Status> {
        let may = self.selected().lists_freely() || self.power.proved == Some(0);
        if may { Ok(()) } else { Err(Status::UNAUTHENTICATED) }
    }

    fn select(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        let [low, middle, high] = *sent else { return Err(Status::LENGTH) };
        let id = [high, middle, low];
        if self.application(id).is_none() {
            return Err(Status::NO_APPLICATION);
        }
        self.forget();
        self.power.selected = id;
        Ok(Frames::new())
    }

    /// Hardware, software, and where it was made; of EV1, EV2 and EV3 with 4 KB, as the Proxmark3 client knows them.
    fn version(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0x60, sent, 0)?;
        let (hardware, software) = match self.generation {
            Generation::Ev1 => ([0x01, 0x00], [0x01, 0x04]),
            Generation::Ev2 => ([0x12, 0x00], [0x02, 0x01]),
            Generation::Ev3 => ([0x33, 0x00], [0x03, 0x00]),
        };
        let part = |[major, minor]: [u8; 2]| [0x04, 0x01, 0x01, major, minor, 0x18, 0x05];
        // A card that makes up identifiers does not tell its own here.
        let uid = if self.random { [0; 7] } else { self.uid };
        let made = [&uid[..], &[0xBA, 0x54, 0x92, 0x30, 0x40], &[0x24, 0x22]].concat();
        let whole = [&part(hardware)[..], &part(software), &made].concat();
        let secured = self.power.channel.secure(&whole, Mode::Mac, false);
        Ok([secured[..7].to_vec(), secured[7..14].to_vec(), secured[14..].to_vec()].into())
    }

    fn own_identifier(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        if self.power.proved.is_none() {
            return Err(Status::UNAUTHENTICATED);
        }
        self.take(0x51, sent, 0)?;
        Ok([self.power.channel.secure(&self.uid, Mode::Full, false)].into())
    }

    fn list_applications(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0x6A, sent, 0)?;
        if self.power.selected != CARD {
            return Err(Status::DENIED);
        }
        self.may_list()?;
        let ids =
            self.applications[1..].iter().flat_map(|application| application.id.into_iter().rev()).collect::<Vec<_>>();
        let secured = self.power.channel.secure(&ids, Mode::Mac, false);
        Ok(secured.chunks(TRIPLES).map(<[u8]>::to_vec).collect())
    }

    fn key_settings(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0x45, sent, 0)?;
        self.may_list()?;
        let count = u8::try_from(self.selected().keys.len()).expect("an application has at most 14 keys");
        let settings = self.selected().settings;
        Ok(self.tell(&[settings, 0x80 | count]))
    }

    fn key_version(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0x64, sent, 1)?;
        let version = self.selected().keys.get(usize::from(sent[0])).ok_or(Status::NO_SUCH_KEY)?.version;
        Ok(self.tell(&[version]))
    }

    fn list_files(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0x6F, sent, 0)?;
        if self.power.selected == CARD {
            return Err(Status::DENIED);
        }
        self.may_list()?;
        let numbers: Vec<u8> = self.selected().files.keys().copied().collect();
        Ok(self.tell(&numbers))
    }

    fn file_settings(&mut self, sent: &[u8]) -> Result<Frames, Status> {
        self.take(0xF5, sent, 1)?;
        self.may_list()?;
        let file = self.file(sent[0])?;
        let size = u32::try_from(file.contents.len()).expect("a card is small").to_le_bytes();
        let settings = [&[0x00, file.mode.byte()], &file.rights()[..], &size[..3]].concat();
        Ok(self.tell(&settings))
    }

    fn file(&self, number: u8) -> Result<&File, Status> {
        self.selected().files.get(&number).ok_or(Status::NO_FILE)
    }

    /// In which mode a file is reached by one of these rights, by who is authenticated.
    fn reach(&self, file: &File, rights: [Access; 2]) -> Result<Mode, Status> {
        let proved = self.power.proved.map(Access::Key);
        if rights.iter().any(|right| Some(*right) == proved) {
            Ok(file.mode)
        } else if rights.contains(&Access::Free) {
            Ok(Mode::Plain)
        } else if rights == [Access::Never; 2] {
            Err(Status::DENIED)
        } else {
            Err(Status::UNAUTHENTICATED)
        }
    }

    /// The file, where in it and how much, of the header of READ DATA or WRITE DATA.
    fn place(sent: &[u8]) -> Result<(u8, usize, usize), Status> {
        let [number, a, b, c, d, e, f, ..] = *sent else { return Err(Status::LENGTH) };
        let number_of =
            |bytes: [u8; 3]| usize::from(bytes[0]) | usize::from(bytes[1]) << 8 | usize::from(bytes[2]) << 16;
        Ok((number, number_of([a, b, c]), number_of([d, e, f])))
    }

    fn read(&mut self, command: u8, sent: &[u8], frame: usize) -> Result<Frames, Status> {
        let (number, offset, length) = Self::place(sent)?;
        let file = self.file(number)?;
        let [read, _, both, _] = file.access;
        let mode = self.reach(file, [read, both])?;
        // Zero means all that is left.
        let end = if length == 0 { file.contents.len() } else { offset + length };
        let data = file.contents.get(offset..end).filter(|data| !data.is_empty()).ok_or(Status::BOUNDARY)?.to_vec();
        self.power.channel.accept(&Sent { command, bytes: sent, header: DATA_HEADER, data: None, after: 0 }, mode)?;
        let secured = self.power.channel.secure(&data, mode, length == 0);
        Ok(secured.chunks(frame).map(<[u8]>::to_vec).collect())
    }

    fn write(&mut self, command: u8, sent: &[u8]) -> Result<Frames, Status> {
        let (number, offset, length) = Self::place(sent)?;
        let file = self.file(number)?;
        let [_, write, both, _] = file.access;
        let mode = self.reach(file, [write, both])?;
        if length == 0 || offset + length > file.contents.len() {
            return Err(Status::BOUNDARY);
        }
        let sent = Sent { command, bytes: sent, header: DATA_HEADER, data: Some(length), after: 0 };
        let data = self.power.channel.accept(&sent, mode)?;
        let file = self.selected_mut().files.get_mut(&number).expect("it was there just now");
        file.contents[offset..offset + length].copy_from_slice(&data);
        Ok([self.power.channel.secure(&[], mode, false)].into())
    }
}

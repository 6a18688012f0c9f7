//! What a DESFire card holds: applications, keys, files.

use std::collections::BTreeMap;

use super::super::aes::Block;

/// How a file's data are sent: the values of the file's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Plain,
    /// With a MAC.
    Mac,
    /// Enciphered and with a MAC, or a CRC in the secure messaging of EV1.
    Full,
}

impl Mode {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Mac => 1,
            Self::Full => 3,
        }
    }

    pub(super) const fn of(byte: u8) -> Option<Self> {
        match byte {
            0 | 2 => Some(Self::Plain),
            1 => Some(Self::Mac),
            3 => Some(Self::Full),
            _ => None,
        }
    }
}

/// Who may do something with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever proves that they have the key of this number, 0 to 13.
    Key(u8),
    /// Everybody, and in plain.
    Free,
    /// Nobody.
    Never,
}

impl Access {
    const fn nibble(self) -> u8 {
        match self {
            Self::Key(number) => number & 0x0F,
            Self::Free => 0x0E,
            Self::Never => 0x0F,
        }
    }

    const fn of(nibble: u8) -> Self {
        match nibble {
            0x0E => Self::Free,
            0x0F => Self::Never,
            number => Self::Key(number),
        }
    }
}

/// A standard data file.
pub struct File {
    pub(super) mode: Mode,
    /// Read, write, read and write, change.
    pub(super) access: [Access; 4],
    /// What is in it.
    pub contents: Vec<u8>,
}

impl File {
    /// A file with these contents, sent in this `mode`, read with the key `read`; key 0 may write.
    #[must_use]
    pub fn new(mode: Mode, read: Access, contents: &[u8]) -> Self {
        Self { mode, access: [read, Access::Key(0), Access::Key(0), Access::Key(0)], contents: contents.to_vec() }
    }

    /// The access rights as they are sent, least significant byte first: change, read and write; write, read.
    pub(super) const fn rights(&self) -> [u8; 2] {
        let [read, write, both, change] = self.access;
        [both.nibble() << 4 | change.nibble(), read.nibble() << 4 | write.nibble()]
    }

    pub(super) const fn access_of([first, second]: [u8; 2]) -> [Access; 4] {
        [Access::of(second >> 4), Access::of(second & 0x0F), Access::of(first >> 4), Access::of(first & 0x0F)]
    }
}

/// A key and its version.
#[derive(Clone, Copy)]
pub struct Key {
    pub(super) bytes: Block,
    pub(super) version: u8,
}

impl From<Block> for Key {
    /// Version 0.
    fn from(bytes: Block) -> Self {
        Self { bytes, version: 0 }
    }
}

/// An application, or the card itself.
pub struct Application {
    /// Its identifier, most significant byte first, as it is printed.
    pub(super) id: [u8; 3],
    /// The name by which SELECT of ISO/IEC 7816-4 finds it.
    pub(super) name: Option<Vec<u8>>,
    pub(super) settings: u8,
    pub(super) keys: Vec<Key>,
    /// By number.
    pub files: BTreeMap<u8, File>,
}

/// Key settings of a new application: all may be changed with the master key, files are listed without.
const SETTINGS: u8 = 0x0F;

impl Application {
    /// An application without files and with these keys of AES, whose identifier is printed as `id`, most significant byte first.
    #[must_use]
    pub fn new(id: [u8; 3], keys: &[Block]) -> Self {
        let keys = keys.iter().copied().map(Key::from).collect();
        Self { id, name: None, settings: SETTINGS, keys, files: BTreeMap::new() }
    }

    /// The same with a file.
    #[must_use]
    pub fn with(mut self, number: u8, file: File) -> Self {
        self.files.insert(number, file);
        self
    }

    /// The same, found by this name too.
    #[must_use]
    pub fn named(mut self, name: &[u8]) -> Self {
        self.name = Some(name.to_vec());
        self
    }

    /// The same; its files are listed with the master key alone.
    #[must_use]
    pub fn reticent(mut self) -> Self {
        self.settings &= !LISTED;
        self
    }

    /// The same, of keys in this version.
    #[must_use]
    pub fn of_version(mut self, version: u8) -> Self {
        self.keys.iter_mut().for_each(|key| key.version = version);
        self
    }

    pub(super) const fn lists_freely(&self) -> bool {
        self.settings & LISTED != 0
    }
}

/// Bit of the key settings: files and applications are listed without the master key.
const LISTED: u8 = 0x02;

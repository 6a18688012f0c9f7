//! What a disk may hold after a power cut: out of a record of every change to its files and every wait for it.
//!
//! What was waited for is there. Of what was not, any part may be: each write is there, not there, or torn at a sector; of the
//! changes to folders any number of the first may be there, as a journal keeps them. This is stricter than today's file systems.

use std::{collections::BTreeMap, fs, path::Path};

/// Bytes that a disk writes whole.
const SECTOR: usize = 512;

/// SplitMix64 (Steele, Lea, Flood 2014): enough to choose by, and a run can be repeated.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("fits")
    }
}

/// One record of `record.c`.
#[derive(Debug)]
pub(crate) struct Change {
    what: u8,
    file: u64,
    offset: usize,
    name: String,
    data: Vec<u8>,
}

impl Change {
    /// All records of a log, in order.
    pub(crate) fn read(log: &Path) -> Vec<Self> {
        let bytes = fs::read(log).expect("the log is there");
        let mut rest = &bytes[..];
        let mut changes = Vec::new();
        while let Some((&what, after)) = rest.split_first() {
            let (numbers, after) = after.split_at(32);
            let number =
                |n: usize| u64::from_ne_bytes(numbers[8 * n..8 * n + 8].try_into().expect("eight bytes of 32"));
            let long = |n| usize::try_from(number(n)).expect("fits");
            let (name, after) = after.split_at(long(2));
            let (data, after) = after.split_at(long(3));
            let name = String::from_utf8(name.to_vec()).expect("names are UTF-8");
            changes.push(Self { what, file: number(0), offset: long(1), name, data: data.to_vec() });
            rest = after;
        }
        changes
    }

    /// What the process wrote into the file of this name: its own words, in their order among the changes.
    pub(crate) fn said(&self, file: &Path) -> Option<&str> {
        let said = self.what == b'w' && Path::new(&self.name) == file;
        said.then(|| std::str::from_utf8(&self.data).expect("text"))
    }

    fn is_sync(&self) -> bool {
        self.what == b's'
    }
}

#[derive(Clone)]
enum Write {
    At(usize, Vec<u8>),
    Length(usize),
}

impl Write {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::At(offset, data) => {
                let end = offset + data.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(data);
            }
            Self::Length(length) => content.resize(*length, 0),
        }
    }

    /// A part of it, as a disk that loses power may leave it.
    fn torn(&self, chance: &mut Chance) -> Self {
        match self {
            Self::At(offset, data) => {
                let sectors = data.len().div_ceil(SECTOR);
                let kept = (chance.below(sectors) * SECTOR).min(data.len());
                Self::At(*offset, data[..kept].to_vec())
            }
            Self::Length(length) => Self::Length(*length),
        }
    }
}

#[derive(Clone, Default)]
struct Inode {
    safe: Vec<u8>,
    pending: Vec<Write>,
}

/// A change to a folder.
#[derive(Clone)]
enum Entry {
    Folder(String),
    Is(String, usize),
    Gone(String),
    Renamed(String, String),
}

impl Entry {
    fn folder(&self) -> &Path {
        let (Self::Folder(name) | Self::Is(name, _) | Self::Gone(name) | Self::Renamed(_, name)) = self;
        Path::new(name).parent().expect("below the root")
    }

    fn apply(&self, names: &mut BTreeMap<String, Option<usize>>) {
        match self {
            Self::Folder(name) => drop(names.insert(name.clone(), None)),
            Self::Is(name, inode) => drop(names.insert(name.clone(), Some(*inode))),
            Self::Gone(name) => drop(names.remove(name)),
            Self::Renamed(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

/// How a cut treats what was not waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loses {
    Everything,
    Nothing,
    /// Any part of it, torn anywhere.
    Some,
}

/// A disk and what its cache holds beside.
#[derive(Default)]
pub(crate) struct Disk {
    inodes: Vec<Inode>,
    /// The file numbers of the process.
    numbers: BTreeMap<u64, usize>,
    /// Names as the process sees them.
    now: BTreeMap<String, Option<usize>>,
    /// Names as they are on the disk.
    safe: BTreeMap<String, Option<usize>>,
    pending: Vec<Entry>,
    /// Waits are not kept: a disk that lies.
    lies: bool,
}

impl Disk {
    pub(crate) fn new(lies: bool) -> Self {
        Self { lies, ..Self::default() }
    }

    pub(crate) fn take(&mut self, change: &Change) {
        let Change { what, file, offset, name, data } = change;
        let to = || String::from_utf8(data.clone()).expect("names are UTF-8");
        match what {
            b'm' => self.enter(Entry::Folder(name.clone())),
            b'c' => {
                self.inodes.push(Inode::default());
                self.numbers.insert(*file, self.inodes.len() - 1);
                self.enter(Entry::Is(name.clone(), self.inodes.len() - 1));
            }
            b'l' => {
                let inode = self.now[name].expect("a file");
                self.enter(Entry::Is(to(), inode));
            }
            b'r' => self.enter(Entry::Renamed(name.clone(), to())),
            b'u' => self.enter(Entry::Gone(name.clone())),
            b'w' => self.inode(*file).pending.push(Write::At(*offset, data.clone())),
            b't' => self.inode(*file).pending.push(Write::Length(*offset)),
            b's' if self.lies => {}
            b's' => self.sync(*file, name),
            other => panic!("no such change: {other}"),
        }
    }

    fn enter(&mut self, entry: Entry) {
        entry.apply(&mut self.now);
        self.pending.push(entry);
    }

    fn inode(&mut self, file: u64) -> &mut Inode {
        let inode = *self.numbers.get(&file).expect("it was made while it was watched");
        &mut self.inodes[inode]
    }

    fn sync(&mut self, file: u64, name: &str) {
        if let Some(Some(_)) = self.now.get(name) {
            let Inode { safe, pending } = self.inode(file);
            pending.drain(..).for_each(|write| write.apply(safe));
            return;
        }
        let (here, elsewhere) =
            std::mem::take(&mut self.pending).into_iter().partition(|e| e.folder() == Path::new(name));
        self.pending = elsewhere;
        let here: Vec<Entry> = here;
        here.iter().for_each(|entry| entry.apply(&mut self.safe));
    }

    /// Puts what a cut now would leave of the folder `root` into the folder `to`.
    pub(crate) fn cut(&self, root: &Path, to: &Path, loses: Loses, chance: &mut Chance) {
        let mut names = self.safe.clone();
        let kept = match loses {
            Loses::Everything => 0,
            Loses::Nothing => self.pending.len(),
            Loses::Some => chance.below(self.pending.len() + 1),
        };
        self.pending[..kept].iter().for_each(|entry| entry.apply(&mut names));
        for (name, inode) in names {
            let path = to.join(Path::new(&name).strip_prefix(root).expect("below the root"));
            // An entry of a folder that is not there is not there either.
            let Some(inode) = inode else {
                let _ = fs::create_dir(path);
                continue;
            };
            let Inode { safe, pending } = &self.inodes[inode];
            let mut content = safe.clone();
            for write in pending {
                match (loses, chance.below(4)) {
                    (Loses::Everything, _) | (Loses::Some, 0) => {}
                    (Loses::Some, 1) => write.torn(chance).apply(&mut content),
                    (Loses::Nothing, _) | (Loses::Some, _) => write.apply(&mut content),
                }
            }
            if path.parent().is_some_and(Path::exists) {
                fs::write(&path, content).expect("writable");
                let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(&path, private).expect("ours");
            }
        }
    }
}

/// How many waits for the disk there are.
pub(crate) fn waits(changes: &[Change]) -> usize {
    changes.iter().filter(|change| change.is_sync()).count()
}

//! Archives in the ustar format (POSIX.1-2017, pax, "ustar Interchange Format"): regular files and nothing else, so that `tar` reads them, too.
//!
//! A file of 8 GiB or more has its size in base 256, as GNU tar writes it. The reader takes what the writer makes, refuses everything
//! else, and never trusts a name: [`Entry::path`] is relative and has no `..`.

use std::{
    io::{self, Read, Write},
    path::{Component, Path},
};

/// Bytes of a block.
const BLOCK: usize = 512;

/// Most bytes of a name.
const NAME: usize = 100;

/// Most bytes of the folders before a name.
const PREFIX: usize = 155;

/// The greatest size that eleven octal digits hold, and one more.
const OCTAL_END: u64 = 1 << 33;

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name with its folders, with `/` between them.
    pub(super) path: String,
    /// Its permissions, 0 to 0o777.
    pub(super) mode: u32,
    /// Its length, bytes.
    pub(super) size: u64,
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Whether a name stays below the folder that it is extracted to.
fn is_harmless(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\0', '\\'])
        && !path.ends_with('/')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Writes an archive.
pub(super) struct Writer<W>(W);

impl<W: Write> Writer<W> {
    pub(super) const fn new(out: W) -> Self {
        Self(out)
    }

    /// Adds a file whose bytes `content` gives, exactly as many as the entry says. `at`: seconds since 1970.
    ///
    /// # Errors
    /// When the name is too long, `content` has another length or fails, or the output does.
    pub(super) fn add(&mut self, entry: &Entry, at: u64, content: &mut dyn Read) -> io::Result<()> {
        self.0.write_all(&header(entry, at)?)?;
        let copied = io::copy(&mut Read::take(&mut *content, entry.size), &mut self.0)?;
        if copied != entry.size || content.read(&mut [0])? != 0 {
            return Err(broken(format!("{} has another length than a moment ago", entry.path)));
        }
        self.0.write_all(&[0; BLOCK][..padding(entry.size)])
    }

    /// Ends the archive and gives the output back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.0.write_all(&[0; 2 * BLOCK])?;
        Ok(self.0)
    }
}

/// How many bytes follow a file of this size up to the next block.
const fn padding(size: u64) -> usize {
    let rest = (size % BLOCK as u64) as usize;
    if rest == 0 { 0 } else { BLOCK - rest }
}

/// Where a path is cut so that both halves fit: folders and name.
fn cut(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME {
        return Some(("", path));
    }
    let mut cuts = path.match_indices('/').map(|(at, _)| (&path[..at], &path[at + 1..]));
    cuts.find(|(folders, name)| folders.len() <= PREFIX && name.len() <= NAME)
}

fn header(entry: &Entry, at: u64) -> io::Result<[u8; BLOCK]> {
    let Entry { path, mode, size } = entry;
    let (folders, name) = is_harmless(path)
        .then(|| cut(path))
        .flatten()
        .ok_or_else(|| broken(format!("{path:?} is too long a name, or none, for an archive: rename the file")))?;
    let mut block = [0; BLOCK];
    let mut put = |from: usize, bytes: &[u8]| block[from..from + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{:07o}", mode & 0o777).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    if *size < OCTAL_END {
        put(124, format!("{size:011o}").as_bytes());
    } else {
        put(124, &[0x80]);
        put(128, &size.to_be_bytes());
    }
    put(136, format!("{:011o}", at.min(OCTAL_END - 1)).as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, folders.as_bytes());
    let sum = checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// The sum of all bytes, those of the sum itself taken as blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let all: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    let own: u32 = block[148..156].iter().map(|&byte| u32::from(byte)).sum();
    all - own + 8 * u32::from(b' ')
}

/// Reads an archive, one file after the other.
pub(super) struct Reader<R>(R);

impl<R: Read> Reader<R> {
    pub(super) const fn new(input: R) -> Self {
        Self(input)
    }

    /// Gives the next file to `take`, with its bytes to read; what it leaves is passed over. `None` at the end of the archive.
    ///
    /// # Errors
    /// When the input fails or ends too early, is no archive, or goes on after its end.
    pub(super) fn next<T>(
        &mut self,
        take: impl FnOnce(Entry, &mut dyn Read) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let mut block = [0; BLOCK];
        self.0.read_exact(&mut block)?;
        if block == [0; BLOCK] {
            self.0.read_exact(&mut block)?;
            return match (block == [0; BLOCK], self.0.read(&mut [0])?) {
                (true, 0) => Ok(None),
                _ => Err(broken("the archive goes on after its end")),
            };
        }
        let entry = read_header(&block)?;
        let size = entry.size;
        let mut content = self.0.by_ref().take(size);
        let taken = take(entry, &mut content)?;
        let left = io::copy(&mut content, &mut io::sink()).map(|_| content.limit())?;
        if left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = [0; BLOCK];
        self.0.read_exact(&mut rest[..padding(size)])?;
        Ok(Some(taken))
    }
}

fn read_header(block: &[u8; BLOCK]) -> io::Result<Entry> {
    if &block[257..265] != b"ustar\x0000" || octal(&block[148..154])? != u64::from(checksum(block)) {
        return Err(broken("not an archive, or a damaged one"));
    }
    if block[156] != b'0' {
        return Err(broken("the archive holds something that is no regular file"));
    }
    let [folders, name] = [text(&block[345..500])?, text(&block[..100])?];
    let path = if folders.is_empty() { name.to_owned() } else { format!("{folders}/{name}") };
    if !is_harmless(&path) {
        return Err(broken(format!("the archive holds a file named {path:?}")));
    }
    let size = if block[124] == 0x80 {
        u64::from_be_bytes(block[128..136].try_into().expect("eight bytes"))
    } else {
        octal(&block[124..135])?
    };
    let mode = u32::try_from(octal(&block[100..107])?).unwrap_or(u32::MAX) & 0o777;
    Ok(Entry { path, mode, size })
}

/// Text up to the first zero byte.
fn text(field: &[u8]) -> io::Result<&str> {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).map_err(|_| broken("the archive holds a name that is no text"))
}

fn octal(field: &[u8]) -> io::Result<u64> {
    let digits = text(field)?;
    u64::from_str_radix(digits, 8).map_err(|_| broken(format!("the archive has {digits:?} where a number belongs")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.into(), mode: 0o600, size }
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (path, content) in files {
            writer.add(&entry(path, content.len() as u64), 1_797_000_000, &mut &content[..]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
        let (mut reader, mut files) = (Reader::new(bytes), Vec::new());
        let take = |entry, content: &mut dyn Read| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            Ok((entry, bytes))
        };
        while let Some(file) = reader.next(take)? {
            files.push(file);
        }
        Ok(files)
    }

    #[test]
    fn what_goes_in_comes_out_and_tar_reads_it() {
        let long = format!("stock/chunks/{}/{}", "d".repeat(64), "e".repeat(64));
        let files: [(&str, &[u8]); 3] = [("manifest.json", b"{}"), (&long, &[7; 1024]), ("fleet/empty", b"")];
        let bytes = archive(&files);
        let wanted: Vec<_> = files.iter().map(|(path, c)| (entry(path, c.len() as u64), c.to_vec())).collect();
        assert_eq!(read(&bytes).unwrap(), wanted);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.tar"), &bytes).unwrap();
        let done =
            std::process::Command::new("tar").args(["-xf", "a.tar"]).current_dir(folder.path()).status().unwrap();
        assert!(done.success(), "tar does not read it");
        assert_eq!(std::fs::read(folder.path().join(&long)).unwrap(), [7; 1024]);
    }

    #[test]
    fn a_size_beyond_eight_gibibytes_is_kept() {
        for size in [OCTAL_END - 1, OCTAL_END, u64::MAX] {
            assert_eq!(read_header(&header(&entry("ledger/ledger.db", size), 0).unwrap()).unwrap().size, size);
        }
    }

    #[test]
    fn what_leaves_its_folder_is_no_file_or_has_another_length_is_refused() {
        for path in ["/etc/passwd", "../x", "a/../b", "a/", "", "a\\b", &"x".repeat(101)] {
            assert!(header(&entry(path, 0), 0).is_err(), "{path:?}");
        }
        for (content, size) in [(&b"short"[..], 6), (b"longer", 5)] {
            assert!(Writer::new(Vec::new()).add(&entry("a", size), 0, &mut &content[..]).is_err());
        }
        let good = archive(&[("a", b"content")]);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            // With the right sum again, as somebody would who means it.
            let block: [u8; BLOCK] = bytes[..BLOCK].try_into().unwrap();
            bytes[148..156].copy_from_slice(format!("{:06o}\0 ", checksum(&block)).as_bytes());
            bytes
        };
        assert!(read(&changed(0, b'b')).is_ok(), "the sum of the test is right");
        assert!(read(&changed(0, b'/')).is_err());
        assert!(read(&changed(156, b'2')).is_err(), "a link");
        assert!(read(&[&good[..], b"more"].concat()).is_err());
        for cut in [0, 100, 600, good.len() - 1] {
            assert!(read(&good[..cut]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn any_header_is_survived(at in 0..BLOCK, byte in any::<u8>()) {
            let mut bytes = archive(&[("a", b"content")]);
            bytes[at] = byte;
            let _ = read(&bytes);
        }
    }
}

//! On which line of a file a byte lies, whichever way its lines end.

/// Where each line begins.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    /// Lines end with LF, with CR (Excel's "CSV (Macintosh)") or with both; a file may mix them.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let ends = bytes.iter().enumerate().filter(|&(at, &byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self([0].into_iter().chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// The line of the byte at this offset, counted from 1.
    pub(crate) fn at(&self, offset: usize) -> u64 {
        self.0.partition_point(|&start| start <= offset) as u64
    }

    /// Offset of the byte within its line, counted from 1.
    pub(crate) fn column(&self, offset: usize) -> usize {
        let line = self.0.partition_point(|&start| start <= offset);
        1 + offset - self.0[line - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_line_counts_once() {
        for (text, lines) in [
            ("a\nb\nc", [1, 2, 3]),
            ("a\rb\rc", [1, 2, 3]),
            ("a\r\nb\r\nc", [1, 2, 3]),
            ("a\r\nb\rc", [1, 2, 3]),
            ("a\r\rb\n\nc", [1, 3, 5]),
        ] {
            let found = Lines::of(text.as_bytes());
            let at = ['a', 'b', 'c'].map(|letter| found.at(text.find(letter).unwrap()));
            assert_eq!(at, lines, "{text:?}");
            assert_eq!(found.column(text.find('c').unwrap()), 1, "{text:?}");
        }
    }
}

//! Quotes that do not pair up: the CSV reader takes in whatever follows them without a word.

/// A quote gone wrong. Offsets are bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The quote that opens.
    pub(super) opens: usize,
    /// In which cell of its record, counted from 1.
    pub(super) cell: usize,
    /// Where it closes, though its cell goes on; absent when it never closes.
    pub(super) closes: Option<usize>,
}

enum State {
    /// At the beginning of a cell.
    Start,
    /// In a cell without quotes, where a quote stands for itself.
    Bare,
    /// Behind a quote that opens.
    Quoted(usize),
    /// Behind a quote that closes, or the first one of a doubled pair.
    Closed { opens: usize, closes: usize },
}

/// Finds them by RFC 4180, as the CSV reader reads it: a quote opens at the beginning of a cell only.
pub(super) fn faults(text: &str, separator: u8) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (mut state, mut cell) = (State::Start, 1);
    for (at, byte) in text.bytes().enumerate() {
        let ends_line = matches!(byte, b'\r' | b'\n');
        let ends_cell = ends_line || byte == separator;
        state = match state {
            State::Quoted(opens) if byte == b'"' => State::Closed { opens, closes: at },
            State::Closed { opens, closes } if byte == b'"' && at == closes + 1 => State::Quoted(opens),
            quoted @ State::Quoted(_) => quoted,
            State::Start | State::Bare | State::Closed { .. } if ends_cell => {
                cell = if ends_line { 1 } else { cell + 1 };
                State::Start
            }
            closed @ State::Closed { .. } if byte == b' ' => closed,
            State::Closed { opens, closes } => {
                faults.push(Fault { opens, cell, closes: Some(closes) });
                State::Bare
            }
            State::Start if byte == b'"' => State::Quoted(at),
            State::Start | State::Bare => State::Bare,
        };
    }
    if let State::Quoted(opens) = state {
        faults.push(Fault { opens, cell, closes: None });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quotes_that_do_not_pair_up_are_found() {
        let fault = |opens, cell, closes| vec![Fault { opens, cell, closes }];
        for (text, wanted) in [
            ("a,\"b\",c\n", vec![]),
            ("a,\"b \"\"x\"\" c\",\"\"\n", vec![]),
            ("\"a\nb\" ,c\r\"d\"", vec![]),
            ("a,5\" b,\"\"\"\"\n", vec![]),
            ("a\nb,\"c\nd\n", fault(4, 2, None)),
            ("b,\"c \"d\" e\",f\n", fault(2, 2, Some(5))),
            ("b,\"c\nd,\"e\",f\n", fault(2, 2, Some(7))),
            ("\"\"\"", fault(0, 1, None)),
        ] {
            assert_eq!(faults(text, b','), wanted, "{text:?}");
        }
    }
}

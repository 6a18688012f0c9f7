//! An error and everything behind it on one line. Displays in this program never repeat their source, so code that logs or
//! shows an error writes it this way, once.

use std::{error::Error, fmt};

/// Displays an error, its source, the source of that and so on, with `: ` between them.
///
/// ```
/// use examgate::domain::WithSources;
///
/// let error = std::io::Error::other("unplugged");
/// assert_eq!(WithSources(&error).to_string(), "unplugged");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WithSources<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |&error| error.source()).try_for_each(|source| write!(f, ": {source}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Layer {
        said: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn every_source_is_said_once_in_order() {
        let inner = Layer { said: "no such file", source: None };
        let middle = Layer { said: "cannot open roster.db", source: Some(Box::new(inner)) };
        let outer = Layer { said: "the roster cannot be read", source: Some(Box::new(middle)) };
        let said = WithSources(&outer).to_string();
        assert_eq!(said, "the roster cannot be read: cannot open roster.db: no such file");
    }
}

//! Exit codes after sysexits.h: who has to mend it, the one who typed or the one who made the data.

/// Bad arguments, keys or models (EX_USAGE).
pub const USAGE: u8 = 64;
/// Bad data (EX_DATAERR).
const DATA: u8 = 65;

/// A failure whose mending is known. Laid into an error's chain, it decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The arguments, a key or the models are at fault.
    #[error("{0}")]
    Usage(String),
    /// The data is at fault.
    #[error("{0}")]
    Data(String),
}

/// The exit code of a failure that holds this refusal, if it holds one (`error.downcast_ref()` of anyhow finds it in a chain).
#[must_use]
pub fn code(refusal: Option<&Refusal>) -> u8 {
    match refusal {
        Some(Refusal::Usage(_)) => USAGE,
        Some(Refusal::Data(_)) => DATA,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_decides() {
        assert_eq!(code(None), 1);
        assert_eq!(code(Some(&Refusal::Usage("bad".into()))), 64);
        assert_eq!(code(Some(&Refusal::Data("bad".into()))), 65);
    }
}

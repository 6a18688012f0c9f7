//! Exit codes after sysexits.h: who has to mend it, the one who typed or the one who made the data.

/// Bad arguments, keys or models (EX_USAGE).
pub(crate) const USAGE: u8 = 64;
/// Bad data (EX_DATAERR).
const DATA: u8 = 65;

/// A failure whose mending is known. Laid into an error's chain, it decides the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The arguments, a key or the models are at fault.
    #[error("{0}")]
    Usage(String),
    /// The data is at fault.
    #[error("{0}")]
    Data(String),
}

/// The exit code that `error` asks for.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Usage(_)) => USAGE,
        Some(Refusal::Data(_)) => DATA,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_refusal_decides_wherever_it_stands_in_the_chain() {
        let cause = || anyhow!("cause");
        for (error, wanted) in [
            (cause(), 1),
            (cause().context("doing"), 1),
            (Refusal::Data("bad".into()).into(), 65),
            (cause().context(Refusal::Usage("bad".into())), 64),
            (Err::<(), _>(cause().context(Refusal::Data("bad".into()))).context("doing").unwrap_err(), 65),
        ] {
            assert_eq!(code(&error), wanted, "{error:#}");
        }
    }
}

//! A student admitted in one room of an exam and tapping in another one, over the real broker.

mod told;
mod whole;

//! The drivers that turn the crank.

pub mod deliver;

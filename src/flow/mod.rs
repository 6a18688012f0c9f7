//! The drivers that turn the crank.

//! The mqtt edge.

//! The card edge.

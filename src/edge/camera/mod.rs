//! The camera edge.

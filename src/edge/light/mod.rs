//! The light edge.

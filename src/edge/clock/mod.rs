//! The clock edge.

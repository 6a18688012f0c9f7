//! The system edge.

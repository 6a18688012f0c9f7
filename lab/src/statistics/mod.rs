//! Numbers in, numbers out: exact intervals, bootstrap over people, error rates over scores.

pub(crate) mod bootstrap;
pub(crate) mod exact;
pub(crate) mod scores;

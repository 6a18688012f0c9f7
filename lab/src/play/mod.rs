//! The shipped session, played: with the pictures of people ([`rule`]) and with the frames of one clip ([`tap`]).

pub(crate) mod rule;
pub(crate) mod tap;

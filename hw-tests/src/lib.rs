//! The rig suite: contracts of the edges against real or virtual hardware. Not part of `make test`.
//!
//! The contracts themselves stand beside their edges (`examgate::edge::card::contract`, `examgate::edge::camera::contract`,
//! feature `sim`); what runs them on devices belongs here and is not written yet.

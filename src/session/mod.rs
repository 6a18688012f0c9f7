//! The verification session: a sans-IO state machine.

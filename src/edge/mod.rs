//! The outside world, one folder an edge. An edge uses `domain` and `wire`, never another edge. One file belongs to none: the
//! `Clock` that whoever needs time is handed.

pub mod camera;
pub mod card;
pub mod clock;
pub mod console;
pub mod enrolment;
pub mod light;
pub mod mqtt;
pub mod screen;
pub mod system;

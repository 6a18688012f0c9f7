//! The outside world, one folder an edge. An edge uses `domain` and `wire`, never another edge. One file belongs to none: the
//! `Clock` trait, which every part that needs the time gets as an argument.

pub mod camera;
pub mod card;
pub mod clock;
pub mod console;
pub mod enrolment;
pub mod light;
pub mod mqtt;
pub mod screen;
pub mod system;

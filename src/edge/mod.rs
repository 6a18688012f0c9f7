//! The outside world, one folder an edge. An edge uses `domain` and `wire`, never another edge. Two files belong to none: the
//! `Clock` that whoever needs time is handed, and `serve`, which holds connections to their limits.

pub mod camera;
pub mod card;
pub mod clock;
pub mod console;
pub mod light;
pub mod mqtt;
pub mod screen;
pub mod serve;
pub mod system;

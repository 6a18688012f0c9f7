//! The outside world, one folder an edge. An edge uses `domain` and `wire`, never another edge.

pub mod camera;
pub mod card;
pub mod clock;
pub mod console;
pub mod light;
pub mod mqtt;
pub mod screen;
pub mod system;

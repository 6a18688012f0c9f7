//! The machine under the box: its service manager, users, disk and identity of this boot.
//!
//! Never reads an environment variable of ours: those arrive from `main`.

mod machine;
mod running;
mod service;
mod tail;
mod user;
mod vitals;

pub use machine::{BootId, FreeSpace, MachineError, free_space};
pub use running::{Running, RunningError};
pub use service::Service;
pub use tail::Tail;
pub use user::{User, UserError};
pub use vitals::{Memory, temperatures};

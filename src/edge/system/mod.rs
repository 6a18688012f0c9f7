//! The machine under the box: its service manager, private files, disk and identity of this boot.
//!
//! Never reads an environment variable of ours: those arrive from `main`.

mod machine;
mod private;
mod running;
mod service;
mod tail;

pub use machine::{BootId, FreeSpace, MachineError, free_space};
pub use private::{PrivateFileError, read_private};
pub use running::{Running, RunningError};
pub use service::Service;
pub use tail::Tail;

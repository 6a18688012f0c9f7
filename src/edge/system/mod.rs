//! The machine under the box: its service manager, credentials, disk and identity of this boot.
//!
//! Never reads an environment variable of ours: those arrive from `main`.

mod credentials;
mod machine;
mod service;
mod tail;

pub use credentials::{CredentialError, Credentials};
pub use machine::{BootId, FreeSpace, MachineError, free_space};
pub use service::Service;
pub use tail::Tail;

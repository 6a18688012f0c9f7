//! What people see, in a real browser: the student screen in every state at every size, and on a running box.

mod hall;
mod layout;
mod morning;
mod rig;
mod states;

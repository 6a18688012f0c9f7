//! What people see, in a real browser: the student screen in every state at every size, the proctor's console in every view, and
//! both on a running box.

mod desk;
mod hall;
mod kiosk;
mod layout;
mod line;
mod morning;
mod office;
mod pages;
mod people;
mod proctor;
mod rig;
mod states;

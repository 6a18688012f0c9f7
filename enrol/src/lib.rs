//! Enrolment below the manager's commands and the laboratory: tables as offices write them, folders of photos, photos to templates.
//!
//! It knows no exam, no key and no store.

pub mod faces;
pub mod folder;
pub mod measuring;
pub mod models;
pub mod similarities;
pub mod table;

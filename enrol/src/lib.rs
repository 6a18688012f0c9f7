//! Enrolment below the manager's commands and the laboratory: tables as offices write them, folders of photos, photos to templates.
//!
//! Exams, keys and stores are left to the callers.

pub mod archive;
pub mod faces;
pub mod folder;
pub mod measuring;
pub mod models;
pub mod photos;
pub mod similarities;
pub mod table;

//! How long finding a student and reading their templates takes, from a hundred students to a million.

fn main() {}

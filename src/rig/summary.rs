//! The numbers of all benches in one file, `target/bench/summary.json`: a flat map of stable names.

use std::{collections::BTreeMap, fs, io, path::Path};

/// Puts `numbers` beside those of other benches of the same `project`, rounded to a thousandth. A summary that cannot be read
/// is begun anew.
///
/// # Errors
/// When the file cannot be written.
pub fn merge(project: &Path, numbers: &[(&str, f64)]) -> io::Result<()> {
    let folder = project.join("target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join("summary.json");
    let held = fs::read(&path).ok().and_then(|held| serde_json::from_slice(&held).ok());
    let mut summary: BTreeMap<String, f64> = held.unwrap_or_default();
    summary.extend(numbers.iter().map(|(name, number)| ((*name).to_owned(), (number * 1e3).round() / 1e3)));
    fs::write(path, serde_json::to_vec_pretty(&summary)?)
}

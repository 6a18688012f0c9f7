//! Which photo belongs to which student.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use examgate_enrol::{
    folder::{File, Folder, Found, without_zeros},
    table::Problem,
};

use super::rows::Row;

/// One photo of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Index of the row.
    pub(crate) row: usize,
    /// Name inside the photo folder.
    pub(crate) photo: PathBuf,
    /// Whether the file is there.
    pub(crate) there: bool,
}

/// The photos of all rows, and those of nobody.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Row by row, a row's photos as the CSV orders them, or by name.
    pub(crate) claimed: Vec<Claim>,
    /// Photos of students who opted out, by name. They are not opened.
    pub(crate) opted_out: Vec<PathBuf>,
    /// Photos in the folder that belong to no row, by name.
    pub(crate) unclaimed: Vec<PathBuf>,
    /// Names that may mean several photos, or another's. Nothing may be imported unless it is empty.
    pub(crate) problems: Vec<Problem>,
    /// What was read in a way that somebody should know of.
    pub(crate) remarks: Vec<Problem>,
}

/// Gives each row the photos that it names, else the files called after the student: `N12.jpg`, `N12-2.png`, `n12 (1).JPG`, but not
/// `N123.jpg`. What two students could both be called after belongs to the longer number; what a row names belongs to that row alone.
pub(crate) fn claim(rows: &[Row], folder: &Folder) -> Claims {
    let mut claims = Claims::default();
    // Of each file, the row that has it.
    let mut owners: Vec<Option<usize>> = vec![None; folder.files.len()];
    for (at, row) in rows.iter().enumerate() {
        if row.opted_out() && !row.photos.is_empty() {
            claims.remarks.push(row.problem("`photos`: passed over, since `matching` is `none`"));
        }
        for name in row.photos.iter().flat_map(|name| parted(name, folder)) {
            claims.named(rows, at, name, folder, &mut owners);
        }
    }
    claims.called_after(rows, folder, &mut owners);
    claims.zeros_apart(rows, folder, &owners);
    let nobodys = |(file, owner): (&File, &Option<usize>)| (file.picture && owner.is_none()).then(|| file.path.clone());
    claims.unclaimed = folder.files.iter().zip(&owners).filter_map(nobodys).collect();
    let is_out = |claim: &Claim| rows[claim.row].opted_out();
    let (opted_out, claimed): (Vec<_>, Vec<_>) = std::mem::take(&mut claims.claimed).into_iter().partition(is_out);
    claims.claimed = claimed;
    claims.opted_out = opted_out.into_iter().filter(|claim| claim.there).map(|claim| claim.photo).collect();
    claims.opted_out.sort();
    // Stable: a row's photos keep their order.
    claims.claimed.sort_by_key(|claim| claim.row);
    let linked = folder
        .linked
        .iter()
        .map(|path| format!("`{}` in the photo folder is a link to a folder, which is not followed", path.display()));
    claims.remarks.extend(linked.map(Problem::file));
    if let Some(first) = folder.waiting.first() {
        let (count, name) = (folder.waiting.len(), first.escape_debug());
        claims.remarks.push(Problem::file(format!(
            "{count} photos, such as `{name}`, are in iCloud only: download them, and import again"
        )));
    }
    claims
}

/// The names in one that holds commas: it is one name if there is such a file, else they part it.
fn parted<'n>(name: &'n str, folder: &Folder) -> Vec<&'n str> {
    if !name.contains(',') || matches!(folder.find(name), Found::Named(_) | Found::Near(_)) {
        return vec![name];
    }
    name.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

impl Claims {
    /// One photo that a row names.
    fn named(&mut self, rows: &[Row], row: usize, name: &str, folder: &Folder, owners: &mut [Option<usize>]) {
        let own = &rows[row];
        if own.opted_out() {
            // Not opened, so it does not matter which it is. It is nobody else's either, where it is certain.
            if let Found::Named(at) | Found::Near(at) = folder.find(name)
                && owners[at].is_none()
            {
                owners[at] = Some(row);
                self.claimed.push(Claim { row, photo: folder.files[at].path.clone(), there: true });
            }
            return;
        }
        let path = |at: usize| format!("`{}`", folder.files[at].path.display());
        let at = match folder.find(name) {
            Found::Named(at) => at,
            Found::Near(at) => {
                let (name, file) = (name.escape_debug(), path(at));
                self.remarks.push(own.problem(format!("`photos`: `{name}` is not there, {file} is taken")));
                at
            }
            Found::Several(several) => {
                let files: Vec<_> = several.iter().take(3).map(|&at| path(at)).collect();
                let more = several.len().checked_sub(4).map_or(String::new(), |more| format!(" or {} more", more + 1));
                let (name, files) = (name.escape_debug(), files.join(" or "));
                self.problems.push(own.problem(format!("`photos`: `{name}` may be {files}{more}: name one as it is called in the folder, with its sub-folder"
                )));
                return;
            }
            Found::OtherZeros(at) => {
                self.problems.push(own.problem(format!(
                    "`photos`: `{}` is not there, but {}: zeros in front were lost; correct the one or the other",
                    name.escape_debug(),
                    path(at)
                )));
                return;
            }
            Found::Missing => {
                self.claimed.push(Claim { row, photo: name.into(), there: false });
                return;
            }
        };
        if folder.files[at].outside {
            self.problems.push(linked(own, &folder.files[at].path));
            return;
        }
        match owners[at].replace(row) {
            None => self.claimed.push(Claim { row, photo: folder.files[at].path.clone(), there: true }),
            // Twice on one line is once too often, and harmless.
            Some(first) if first == row => {}
            Some(first) => {
                owners[at] = Some(first);
                let text = format!("photo {} is already on line {}", path(at), rows[first].line);
                self.problems.push(own.problem(text));
            }
        }
    }

    /// Photos called after the students whose rows name none.
    fn called_after(&mut self, rows: &[Row], folder: &Folder, owners: &mut [Option<usize>]) {
        let students: HashMap<String, usize> =
            rows.iter().enumerate().map(|(at, row)| (row.entry.student.id.as_str().to_lowercase(), at)).collect();
        for (file, owner) in folder.files.iter().zip(owners).filter(|(file, owner)| file.picture && owner.is_none()) {
            let called = prefixes(file.stem()).filter_map(|start| students.get(start).copied()).next_back();
            let Some(row) = called.filter(|&row| rows[row].photos.is_empty()) else { continue };
            if file.outside && !rows[row].opted_out() {
                self.problems.push(linked(&rows[row], &file.path));
                continue;
            }
            *owner = Some(row);
            self.claimed.push(Claim { row, photo: file.path.clone(), there: true });
        }
    }

    /// Students without a photo, and photos of nobody that are called as they are but for zeros in front.
    fn zeros_apart(&mut self, rows: &[Row], folder: &Folder, owners: &[Option<usize>]) {
        let bare = |row: usize| without_zeros(&rows[row].entry.student.id.as_str().to_lowercase()).to_owned();
        let unnamed = (0..rows.len()).filter(|&row| rows[row].photos.is_empty() && !rows[row].opted_out());
        let mut without: HashMap<String, usize> = unnamed.map(|row| (bare(row), row)).collect();
        for claim in &self.claimed {
            without.remove(&bare(claim.row));
        }
        let stray = |(file, owner): &(&File, &Option<usize>)| file.picture && !file.outside && owner.is_none();
        for (file, _) in folder.files.iter().zip(owners).filter(stray) {
            let called =
                prefixes(file.stem()).filter_map(|start| without.get(without_zeros(start)).copied()).next_back();
            let Some(row) = called else { continue };
            let (id, photo) = (rows[row].entry.student.id.as_str(), file.path.display());
            self.problems.push(rows[row].problem(format!(
                "`student_id`: there is no photo of `{id}`, but `{photo}`: zeros in front were lost; correct the one or the other"
            )));
        }
    }
}

fn linked(row: &Row, photo: &Path) -> Problem {
    row.problem(format!("photo `{}` is a link out of the photo folder: copy the picture itself", photo.display()))
}

/// The parts of a stem that may be a student's number: up to each character that is neither a letter nor a digit, and all of it.
fn prefixes(stem: &str) -> impl DoubleEndedIterator<Item = &str> {
    let ends: Vec<_> =
        stem.char_indices().filter(|(_, c)| !c.is_alphanumeric()).map(|(at, _)| at).chain([stem.len()]).collect();
    ends.into_iter().map(|end| &stem[..end])
}

#[cfg(test)]
mod tests;

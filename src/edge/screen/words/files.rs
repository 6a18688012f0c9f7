//! Where a language's message file comes from: a folder of the operator's, or the box itself.

use std::{fs, io, path::Path};

use super::{Words, WordsError};
use crate::edge::screen::ScreenError;

/// The languages that come with the box, by BCP 47 tag.
const FILES: &[(&str, &str)] = &[
    ("en", include_str!("../messages/en.toml")),
    ("es", include_str!("../messages/es.toml")),
    ("zh-Hans", include_str!("../messages/zh-Hans.toml")),
];

impl Words {
    /// The words of the languages `tags`, in that order. A file `<tag>.toml` in `folder` goes before what comes with the box.
    ///
    /// # Errors
    /// When there are no messages for a language, or they are not complete and correct.
    pub fn of(tags: &[impl AsRef<str>], folder: Option<&Path>) -> Result<Vec<Self>, ScreenError> {
        tags.iter().map(|tag| one(tag.as_ref(), folder)).collect()
    }
}

impl Words {
    /// The words of all languages there are but `tags`: what comes with the box, and what lies in `folder`.
    ///
    /// # Errors
    /// When a file cannot be read, or its messages are not complete and correct.
    pub fn others(tags: &[impl AsRef<str>], folder: Option<&Path>) -> Result<Vec<Self>, ScreenError> {
        let mut others: Vec<_> = FILES.iter().map(|(tag, _)| (*tag).to_owned()).collect();
        if let Some(folder) = folder {
            let failed = |source| ScreenError::ReadMessages { path: folder.to_owned(), source };
            for entry in fs::read_dir(folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let tag = path.file_stem().and_then(|stem| stem.to_str());
                others.extend(tag.filter(|_| path.extension().is_some_and(|kind| kind == "toml")).map(str::to_owned));
            }
        }
        others.sort_unstable();
        others.dedup();
        others.retain(|other| tags.iter().all(|tag| tag.as_ref() != other));
        others.iter().map(|tag| one(tag, folder)).collect()
    }
}

fn one(tag: &str, folder: Option<&Path>) -> Result<Words, ScreenError> {
    let failed = |source| ScreenError::Words { tag: tag.into(), source };
    if let Some(folder) = folder {
        let path = folder.join(tag).with_extension("toml");
        match fs::read_to_string(&path) {
            Ok(text) => return Words::parse(tag, &text).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ScreenError::ReadMessages { path, source }),
        }
    }
    let Some((_, text)) = FILES.iter().find(|(name, _)| *name == tag) else {
        let spoken = FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        return Err(failed(WordsError::Unknown { spoken }));
    };
    Words::parse(tag, text).map_err(failed)
}

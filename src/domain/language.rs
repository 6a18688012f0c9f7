//! Preferred languages (BCP 47 tags).

use serde::{Deserialize, Serialize};

/// A BCP 47 tag: a language of two or three letters, then subtags of one to eight letters or digits, such as `en`, `es-MX` or
/// `zh-Hans`; at most 35 bytes, which RFC 5646 (section 4.4.1) calls enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

/// Why a text is not a language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no language tag; wanted is BCP 47, such as en, es or zh-Hans")]
pub struct NotALanguage {
    /// The text.
    pub text: String,
}

impl Language {
    /// Checks the tag's shape.
    ///
    /// # Errors
    /// When it has another one.
    pub fn new(text: impl Into<String>) -> Result<Self, NotALanguage> {
        let text = text.into();
        let mut subtags = text.split('-');
        let primary = subtags.next().unwrap_or_default();
        let fits = text.len() <= 35
            && (2..=3).contains(&primary.len())
            && primary.bytes().all(|b| b.is_ascii_alphabetic())
            && subtags.all(|tag| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()));
        if fits { Ok(Self(text)) } else { Err(NotALanguage { text }) }
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of the languages `spoken`, the place of the one that serves: the same tag, or else the same language.
    pub fn among<'a>(&self, spoken: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
        let primary = |tag: &'a str| tag.split('-').next().unwrap_or_default();
        let own = self.0.split('-').next().unwrap_or_default();
        let same = spoken.clone().position(|tag| tag.eq_ignore_ascii_case(&self.0));
        same.or_else(|| spoken.clone().position(|tag| primary(tag).eq_ignore_ascii_case(own)))
    }
}

impl TryFrom<String> for Language {
    type Error = NotALanguage;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_tags() {
        for good in ["en", "es", "zh-Hans", "es-419", "haw", "de-CH-1996", "x-y-z".replace('x', "en").as_str()] {
            assert!(Language::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "e", "english", "en_US", "en-", "-en", "en us", "12", "zh-Hansxxxxx", &"en-a".repeat(20)] {
            assert!(Language::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_nearest_spoken_one_serves() {
        let spoken = ["en", "es", "zh-Hans"];
        for (tag, place) in [
            ("es", Some(1)),
            ("es-MX", Some(1)),
            ("zh", Some(2)),
            ("ZH-hans", Some(2)),
            ("zh-Hant", Some(2)),
            ("fr", None),
        ] {
            assert_eq!(Language::new(tag).expect("a tag").among(spoken.into_iter()), place, "{tag}");
        }
    }
}

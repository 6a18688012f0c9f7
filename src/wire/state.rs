//! What a box says of itself, retained on its `state` topic, and what the broker says for it when it is gone.
//!
//! It is not signed: the broker, and every client that may write the topic, can forge it. Nothing is admitted or deleted on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{ExamId, RosterVersion};

/// Longest state, bytes.
pub const MAX_STATE: usize = 16 * 1024;

/// Whether the box is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Connected.
    Online,
    /// Said goodbye: shut down in order.
    Stopped,
    /// Its last will: gone without a word.
    Lost,
}

/// What the box runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The program's version.
    pub software: String,
    /// Artifacts by their role, for instance `embedder`.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Rosters held.
    #[serde(default)]
    pub rosters: BTreeMap<ExamId, RosterVersion>,
}

/// The retained state, version 1, as JSON. Readers ignore fields they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    /// Version of this shape: 1.
    pub v: u8,
    /// Whether the box is there.
    pub status: Status,
    /// Which boot of the box; tells a lasting connection from a restart.
    pub boot_id: Uuid,
    /// What it runs.
    pub versions: Versions,
}

impl DeviceState {
    /// The state of a box in this boot.
    #[must_use]
    pub const fn new(status: Status, boot_id: Uuid, versions: Versions) -> Self {
        Self { v: 1, status, boot_id, versions }
    }

    /// The same box with another status.
    #[must_use]
    pub fn with_status(&self, status: Status) -> Self {
        Self { status, ..self.clone() }
    }

    /// The JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text, numbers and maps with text keys are always JSON")
    }

    /// Reads a state of version 1; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_STATE {
            return None;
        }
        serde_json::from_slice(bytes).ok().filter(|state: &Self| state.v == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_never_changes() {
        let state = DeviceState::new(
            Status::Online,
            Uuid::from_u128(1),
            Versions {
                software: "0.1.0".into(),
                models: BTreeMap::from([("embedder".into(), "abc".into())]),
                rosters: BTreeMap::from([(ExamId::new("MATH").expect("valid"), RosterVersion(3))]),
            },
        );
        let text = r#"{"v":1,"status":"online","boot_id":"00000000-0000-0000-0000-000000000001","versions":{"software":"0.1.0","models":{"embedder":"abc"},"rosters":{"MATH":3}}}"#;
        assert_eq!(String::from_utf8(state.encode()).expect("JSON"), text);
        assert_eq!(DeviceState::decode(text.as_bytes()), Some(state));
        assert_eq!(DeviceState::decode(text.replace("\"v\":1", "\"v\":2").as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(DeviceState::decode(&bytes), None);
        }
    }
}

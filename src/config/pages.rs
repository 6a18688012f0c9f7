//! What people see in a browser: the student screen and the proctor's console.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

/// The student screen: a page that a browser on the box shows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screen {
    /// TCP port on 127.0.0.1, the only address it is served on.
    #[serde(default = "Screen::default_port")]
    pub port: u16,
    /// What it speaks, as BCP 47 tags, the door's own language first.
    #[serde(default = "Screen::default_languages")]
    pub languages: Vec<String>,
    /// A folder of further message files, `<tag>.toml`; they go before those that come with the box.
    pub messages: Option<PathBuf>,
    /// Whether answers are heard too.
    #[serde(default)]
    pub sound: bool,
}

impl Screen {
    const fn default_port() -> u16 {
        8080
    }

    fn default_languages() -> Vec<String> {
        vec!["en".into()]
    }
}

/// The proctor's console.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Address and port on the room's network.
    pub listen: SocketAddr,
    /// PEM file with the console's certificate, which browsers see; its key is `console.key` among the keys.
    pub certificate: PathBuf,
}

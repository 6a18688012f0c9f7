//! `[uplink]` and `[fleet]`: the line to the broker, whom events are for, and whose rosters the box takes.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, value, within};
use crate::domain::Right;

/// The line to the broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// Host name or address, as in the broker's certificate; an IPv6 address with or without brackets. Without brackets once
    /// it is read.
    pub host: String,
    /// TCP port.
    #[serde(default = "Uplink::default_port")]
    pub port: u16,
    /// PEM file with the certificate authority that signed the broker's certificate.
    pub ca: PathBuf,
    /// PEM file with the certificate that this box was enrolled with.
    pub certificate: PathBuf,
    /// The fleet's enrolment endpoint, `https://HOST:PORT`, where the box renews its certificate. Without it nothing is renewed.
    pub enrolment: Option<String>,
    /// The collector's public keys. May be left out where [`Fleet::root`] is set, and counts for nothing there.
    pub collector: Option<Collector>,
}

impl Uplink {
    const fn default_port() -> u16 {
        8883
    }

    pub(super) fn check(&self, has_root: bool) -> Result<(), ConfigError> {
        within("uplink.port", self.port, 1, u16::MAX, "1 to 65535")?;
        if let Some(url) = self.enrolment.as_ref().filter(|url| !url.starts_with("https://")) {
            return Err(value(
                "uplink.enrolment",
                url,
                "the fleet's enrolment endpoint, https://HOST or https://HOST:PORT",
            ));
        }
        let Some(Collector { recipient, receipt_key }) = &self.collector else {
            if has_root {
                return Ok(());
            }
            let allowed = "name `recipient` and `receipt_key` there, or the fleet's `root` under [fleet], whose trust document names them";
            return Err(value("uplink.collector", "left out", allowed));
        };
        if !is_key(receipt_key) {
            return Err(value("uplink.collector.receipt_key", receipt_key, "an Ed25519 public key, 64 hex digits"));
        }
        if !recipient.starts_with("age1") {
            return Err(value("uplink.collector.recipient", recipient, "an age recipient, age1…"));
        }
        Ok(())
    }
}

/// Whom events are for, and whose receipts count.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    /// age recipient that events are encrypted to: `age1…`.
    pub recipient: String,
    /// Ed25519 public key of its receipts, 64 hex digits.
    pub receipt_key: String,
}

/// The fleet that pushes rosters to this box.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Ed25519 public key of the fleet's root, 64 hex digits. With it the box believes the trust document that this root signed, and no
    /// key of the configuration.
    pub root: Option<String>,
    /// The trust document that came at enrolment: what the box believes until a newer one comes over the line.
    pub trust: Option<PathBuf>,
    /// Ed25519 public keys, 64 hex digits each: a manifest signed with any of them counts. One to eight, so that a key can be replaced;
    /// may be left out where there is a root.
    #[serde(default)]
    pub roster_keys: Vec<String>,
    /// Whose lists of lost cards and whose commands count. None to eight; without one, lost cards are not followed and no command is
    /// carried out.
    #[serde(default)]
    pub command_keys: Vec<CommandKey>,
}

/// A key of the fleet and what it may do: its 64 hex digits alone (everything), or a table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenKey")]
pub struct CommandKey {
    /// Ed25519 public key, 64 hex digits.
    pub key: String,
    /// What events call it, such as `help-desk`: 1 to 64 characters on one line.
    pub name: Option<String>,
    /// What it may do; `None`: everything.
    pub may: Option<Vec<Right>>,
}

impl CommandKey {
    /// Whether it may.
    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        self.may.as_ref().is_none_or(|may| may.contains(&right))
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an Ed25519 public key of 64 hex digits, or a table of `key` and, if wanted, `name` and `may`"
)]
enum WrittenKey {
    Alone(String),
    Table(KeyTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    key: String,
    name: Option<String>,
    may: Option<Vec<Right>>,
}

impl From<WrittenKey> for CommandKey {
    fn from(written: WrittenKey) -> Self {
        match written {
            WrittenKey::Alone(key) => Self { key, name: None, may: None },
            WrittenKey::Table(KeyTable { key, name, may }) => Self { key, name, may },
        }
    }
}

impl Fleet {
    pub(super) fn check(&self, has_uplink: bool) -> Result<(), ConfigError> {
        if let Some(root) = self.root.as_ref().filter(|root| !is_key(root)) {
            return Err(value("fleet.root", root, "the fleet's root, an Ed25519 public key of 64 hex digits"));
        }
        if self.trust.is_some() && self.root.is_none() {
            let allowed = "without `root` nobody can tell whether the document is the fleet's: add it, `examgate provision` wrote it to root.pub";
            return Err(value("fleet.trust", "set", allowed));
        }
        let fewest = usize::from(self.root.is_none());
        within("fleet.roster_keys", self.roster_keys.len(), fewest, 8, "one to eight keys, or a `root` and no key")?;
        within("fleet.command_keys", self.command_keys.len(), 0, 8, "at most eight keys")?;
        let command_keys = || self.command_keys.iter().map(|entry| &entry.key);
        for (field, wrong) in [
            ("fleet.roster_keys", self.roster_keys.iter().find(|key| !is_key(key))),
            ("fleet.command_keys", command_keys().find(|key| !is_key(key))),
        ] {
            if let Some(key) = wrong {
                return Err(value(field, key, "Ed25519 public keys, 64 hex digits each"));
            }
        }
        if let Some(twice) =
            command_keys().enumerate().find(|(at, key)| command_keys().take(*at).any(|k| k.eq_ignore_ascii_case(key)))
        {
            return Err(value("fleet.command_keys", twice.1, "each key once, so that it is told what it may do"));
        }
        let names = || self.command_keys.iter().filter_map(|entry| entry.name.as_ref());
        let is_name = |name: &str| (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if let Some(name) = names().find(|name| !is_name(name)) {
            return Err(value("fleet.command_keys name", name, "1 to 64 characters on one line"));
        }
        if !has_uplink {
            return Err(value(
                "fleet",
                "without uplink",
                "rosters come over the line to the broker: add [uplink], or leave [fleet] out",
            ));
        }
        Ok(())
    }
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_fleet_needs_keys_and_a_line() {
        let base = "device = \"d\"\nroom = \"R\"\nexam = \"E\"\nstate = \"s\"\nkeys = \"k\"\nmodels = \"m\"\n[camera]\ndevice = { name = \"c\" }\n";
        let key = "ab".repeat(32);
        let uplink = format!(
            "[uplink]\nhost = \"b\"\nca = \"ca\"\ncertificate = \"c\"\n[uplink.collector]\nrecipient = \"age1\"\nreceipt_key = \"{key}\"\n"
        );
        let fleet = |keys: &str| format!("[fleet]\nroster_keys = [{keys}]\n");
        let parse = |parts: &[&str]| Config::parse(&parts.concat());
        let good = parse(&[base, &uplink, &fleet(&format!("\"{key}\""))]).expect("valid");
        assert_eq!(good.fleet.map(|fleet| fleet.roster_keys), Some(vec![key.clone()]));
        let nameless = base.replace("exam = \"E\"\n", "");
        let good = parse(&[&nameless, &uplink, &fleet(&format!("\"{key}\""))]).expect("the fleet says which exams");
        assert_eq!(good.exam, None);
        let commanded =
            |keys: &str| parse(&[base, &uplink, &fleet(&format!("\"{key}\"")), &format!("command_keys = [{keys}]\n")]);
        let rooted = format!("[fleet]\nroot = \"{key}\"\ntrust = \"trust.cose\"\n");
        let bare = uplink.split("[uplink.collector]").next().expect("the table before");
        let good = parse(&[&nameless, bare, &rooted]).expect("the document names all keys");
        assert!(good.uplink.is_some_and(|uplink| uplink.collector.is_none()));
        parse(&[&nameless, &uplink, &rooted, &format!("roster_keys = [\"{key}\"]\n")]).expect("both are allowed");
        for (text, says) in [
            (parse(&[base, bare]), "uplink.collector = \"left out\""),
            (parse(&[base, bare, &rooted.replace(&key, "xyz")]), "fleet.root = \"xyz\""),
            (parse(&[base, &uplink, &rooted.replace("root =", "roster_keys = [] #")]), "fleet.trust = \"set\""),
            (parse(&[&nameless, &uplink]), "exam = \"left out\" is not allowed"),
            (parse(&[base, &uplink, &fleet("")]), "one to eight"),
            (parse(&[base, &uplink, &fleet("\"xyz\"")]), "64 hex"),
            (commanded("\"xyz\""), "fleet.command_keys"),
            (commanded(&format!("\"{key}\", {{ key = \"{key}\", may = [] }}")), "each key once"),
            (commanded(&format!("{{ key = \"{key}\", name = \"\" }}")), "1 to 64 characters"),
            (parse(&[base, &fleet(&format!("\"{key}\""))]), "[uplink]"),
        ] {
            let error = text.expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
        // A right that is misspelt must not become "everything".
        for keys in ["{ key = \"K\", may = [\"dance\"] }", "{ key = \"K\", might = [] }", "3"] {
            let error = commanded(&keys.replace('K', &key)).expect_err(keys);
            assert!(matches!(error, crate::config::ConfigError::Syntax(_)), "{keys}: {error}");
        }
    }

    #[test]
    fn a_command_key_may_everything_or_what_its_entry_says() {
        let read = |text: &str| -> Vec<CommandKey> {
            #[derive(Deserialize)]
            struct Keys {
                keys: Vec<CommandKey>,
            }
            toml::from_str::<Keys>(text).expect("keys").keys
        };
        let keys = read(
            "keys = [\"aa\", { key = \"bb\", name = \"help-desk\", may = [\"identify\", \"lost-cards\"] }, { key = \"cc\", may = [] }]",
        );
        let may = |right| keys.iter().map(|key| key.has(right)).collect::<Vec<_>>();
        assert_eq!(may(Right::Identify), [true, true, false]);
        assert_eq!(may(Right::LostCards), [true, true, false]);
        assert_eq!(may(Right::Drain), [true, false, false]);
        assert_eq!(keys[1].name.as_deref(), Some("help-desk"));
    }
}

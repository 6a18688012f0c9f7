//! `[uplink]` and `[fleet]`: the line to the broker, whom events are for, and whose rosters the box takes.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, value, within};

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
    /// PEM file with this box's certificate.
    pub certificate: PathBuf,
    /// The collector's public keys.
    pub collector: Collector,
}

impl Uplink {
    const fn default_port() -> u16 {
        8883
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within("uplink.port", self.port, 1, u16::MAX, "1 to 65535")?;
        let Collector { recipient, receipt_key } = &self.collector;
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
    /// Ed25519 public keys, 64 hex digits each: a manifest signed with any of them counts. One to eight, so that a key can be replaced.
    pub roster_keys: Vec<String>,
    /// Ed25519 public keys, 64 hex digits each: a list of lost cards signed with any of them counts. None to eight; without one, lost
    /// cards are not followed.
    #[serde(default)]
    pub command_keys: Vec<String>,
}

impl Fleet {
    pub(super) fn check(&self, has_uplink: bool) -> Result<(), ConfigError> {
        within("fleet.roster_keys", self.roster_keys.len(), 1, 8, "one to eight keys")?;
        within("fleet.command_keys", self.command_keys.len(), 0, 8, "at most eight keys")?;
        for (field, keys) in [("fleet.roster_keys", &self.roster_keys), ("fleet.command_keys", &self.command_keys)] {
            if let Some(key) = keys.iter().find(|key| !is_key(key)) {
                return Err(value(field, key, "Ed25519 public keys, 64 hex digits each"));
            }
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
        for (text, says) in [
            (parse(&[&nameless, &uplink]), "exam = \"left out\" is not allowed"),
            (parse(&[base, &uplink, &fleet("")]), "one to eight"),
            (parse(&[base, &uplink, &fleet("\"xyz\"")]), "64 hex"),
            (
                parse(&[base, &uplink, &fleet(&format!("\"{key}\"")), "command_keys = [\"xyz\"]\n"]),
                "fleet.command_keys",
            ),
            (parse(&[base, &fleet(&format!("\"{key}\""))]), "[uplink]"),
        ] {
            let error = text.expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

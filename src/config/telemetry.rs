//! `[telemetry]`: whether and how often the box tells the fleet what it counts and measures.

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, value, within};

/// What the box tells.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Seconds from one message to the next, 5 to 300.
    #[serde(default = "Telemetry::default_every")]
    pub every_s: u32,
    /// Whether faces of admitted students are also compared with other students of the roster, so that the fleet sees whether false matches
    /// become likelier. Only the histogram leaves the box.
    #[serde(default)]
    pub non_mated_scores: bool,
}

impl Telemetry {
    const fn default_every() -> u32 {
        15
    }

    /// The time from one message to the next.
    #[must_use]
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_s.into())
    }

    pub(super) fn check(&self, has_uplink: bool) -> Result<(), ConfigError> {
        within("telemetry.every_s", self.every_s, 5, 300, "5 to 300 seconds")?;
        if !has_uplink {
            let allowed = "it goes over the line to the broker: add [uplink], or leave [telemetry] out";
            return Err(value("telemetry", "without uplink", allowed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn telemetry_is_off_until_its_table_is_there_and_needs_a_line() {
        let base = "device = \"d\"\nroom = \"R\"\nexam = \"E\"\nstate = \"s\"\nkeys = \"k\"\nmodels = \"m\"\n[camera]\ndevice = { name = \"c\" }\n";
        let uplink = format!(
            "[uplink]\nhost = \"b\"\nca = \"ca\"\ncertificate = \"c\"\n[uplink.collector]\nrecipient = \"age1\"\nreceipt_key = \"{}\"\n",
            "ab".repeat(32)
        );
        let parse = |parts: &[&str]| Config::parse(&parts.concat());
        assert!(parse(&[base, &uplink]).expect("valid").telemetry.is_none());
        let telemetry = parse(&[base, &uplink, "[telemetry]\n"]).expect("valid").telemetry.expect("on");
        assert_eq!((telemetry.every_s, telemetry.non_mated_scores), (15, false));
        for (text, says) in [
            (parse(&[base, "[telemetry]\n"]), "[uplink]"),
            (parse(&[base, &uplink, "[telemetry]\nevery_s = 4\n"]), "5 to 300"),
            (parse(&[base, &uplink, "[telemetry]\nevery_s = 301\n"]), "5 to 300"),
        ] {
            let error = text.expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

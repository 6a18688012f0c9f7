//! The SAM that holds the card key: whether it is there, opens, and has the key.

use super::{super::settings::sam_reads, PATIENCE, PartHealth, State, finding, of};
use crate::{
    config::Config,
    edge::card::{SamSeen, look_at_sam},
    store::KeyFolder,
};

/// Looks at the SAM, where the configuration has one. If its key has a usage counter, this counts once.
pub(super) fn look(config: &Config, keys: &KeyFolder, findings: &mut Vec<PartHealth>) {
    let Some(sam) = config.card.desfire.as_ref().and_then(|desfire| desfire.sam.as_ref()) else { return };
    findings.push(match sam_reads(sam, keys) {
        Ok(reads) => of("sam", look_at_sam(&reads, PATIENCE).map(|seen| told(&seen, sam.key, sam.version))),
        Err(error) => finding("sam", State::Unwell, format!("{error:#}")),
    });
}

fn told(SamSeen { reader, version }: &SamSeen, key: u8, key_version: u8) -> String {
    format!("in `{reader}`: {version}; it speaks for key entry {key}, version {key_version}")
}

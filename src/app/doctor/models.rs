//! Whether the nets are those that were checked, run as they should, and whether their thresholds are for what decides here.
//!
//! Never looks at a picture.

use super::{
    super::{TuningUse, settings::policy, verified_models},
    PartHealth, State, finding,
};
use crate::{
    config::Config,
    domain::WithSources,
    vision::{Fusion, Manifest, Options, Pipeline, VerifiedModels},
};

/// The nets, and how they will be run.
pub(super) fn look(config: &Config, findings: &mut Vec<PartHealth>) -> Option<VerifiedModels> {
    let models = match verified_models(config) {
        Ok((models, tuning)) => {
            findings.extend(match (tuning, &config.tuning) {
                (TuningUse::None, None) => None,
                (TuningUse::None, Some(path)) => {
                    let found = format!("{} is not there: the manifest's own choice holds", path.display());
                    Some(finding("tuning", State::Well, found))
                }
                (TuningUse::Used(words), _) => Some(finding("tuning", State::Well, words)),
                (TuningUse::Refused(why), _) => Some(finding("tuning", State::Impaired, why)),
            });
            models
        }
        Err(error) => {
            findings.push(finding("models", State::Unwell, format!("{error:#}")));
            return None;
        }
    };
    let manifest = models.manifest();
    for net in manifest.nets() {
        findings.push(finding(format!("model {}", net.name), State::Well, format!("sha256 {}", net.sha256)));
    }
    findings.push(thresholds(config, manifest));
    match Pipeline::open(&models, Options::default()) {
        Err(error) => findings.push(finding("runtime", State::Unwell, WithSources(&error).to_string())),
        Ok(pipeline) => {
            findings.push(finding(
                "runtime",
                State::Well,
                format!("{} {}", manifest.runtime.package, manifest.runtime.version),
            ));
            for report in pipeline.providers() {
                let part = format!("provider of {}", report.net);
                findings.push(match &report.why {
                    None => finding(part, State::Well, report.used.to_string()),
                    Some(why) => {
                        let found = format!("{} instead of {}, which failed: {why}", report.used, report.asked);
                        finding(part, State::Impaired, found)
                    }
                });
            }
        }
    }
    Some(models)
}

/// Whether the thresholds were calibrated for what decides here. That they are of these nets the manifest has checked.
fn thresholds(config: &Config, manifest: &Manifest) -> PartHealth {
    let embedder = &manifest.embedder;
    let (admit, refer) = (embedder.thresholds.admit.get(), embedder.thresholds.refer.get());
    let said = format!("admit {admit}, refer {refer}");
    let Some(calibration) = &embedder.calibration else {
        let found = format!("{said}: not calibrated for {}; `examgate-lab calibrate` does", embedder.net.name);
        return finding("thresholds", State::Impaired, found);
    };
    let here = policy(&config.policy, manifest).rule(Fusion::WINDOW);
    if calibration.rule == here {
        let found = format!("{said}: calibrated on {} people, {}", calibration.people, calibration.date);
        finding("thresholds", State::Well, found)
    } else {
        let found = format!(
            "{said}: calibrated for another rule ({}) than the one here ({here}); take [policy] out, or calibrate for it",
            calibration.rule
        );
        finding("thresholds", State::Impaired, found)
    }
}

/// Whether the profiles that are read are strong enough for the policy.
pub(super) fn cards(config: &Config) -> Option<PartHealth> {
    let weakest = config.policy.weakest_profile?;
    let strongest = config.card.strongest();
    (weakest > strongest).then(|| {
        let found = format!(
            "policy.weakest_profile asks for \"{weakest}\", and card.profiles reads no more than \"{strongest}\" ({}): every student would be sent to \
             the proctor; add a profile, or take weakest_profile out of [policy]",
            strongest.assurance(),
        );
        finding("policy", State::Unwell, found)
    })
}

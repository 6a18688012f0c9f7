//! What of an enrolled photo can be kept beside its template, so that the photo need not be looked at again, and what a template depends on.
//!
//! It never keeps anything itself.

use examgate::{
    domain::{QualityDefect, Template},
    vision::Manifest,
    wire::digest::Digest,
};
use serde::{Deserialize, Serialize};

use super::{Enrolled, PhotoDefect, upright};

/// Raised whenever the way from a photo to its template changes otherwise than by the manifest: how a face is chosen, turned, judged or cropped.
const WAY: u32 = 1;

/// The digest of everything that makes a photo's template and what is found about it: the nets and thresholds of `manifest`, and this
/// program's way. Photos of the same bytes give the same under the same recipe.
#[must_use]
pub fn recipe(manifest: &Manifest) -> Digest {
    let Manifest { runtime: _, proposal, refine, output, embedder, liveness: _, eyes, stand_ins: _ } = manifest;
    let mut text = format!("examgate enrolment {WAY}\nspace {}\n", embedder.space);
    text += &format!("artifact {}\n", hex::encode(embedder.photo_artifact().as_bytes()));
    text += &format!("unsure {:?}\n", embedder.thresholds.unsure.map(f32::to_bits));
    for stage in [proposal, refine, output] {
        text += &format!("stage {} {:08x}\n", stage.net.sha256, stage.threshold.to_bits());
    }
    if let Some(eyes) = eyes {
        text += &format!("eyes {} {:08x}\n", eyes.net.sha256, eyes.closed.to_bits());
    }
    Digest::of(text.as_bytes())
}

/// As text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Findings {
    defect: Option<PhotoDefect>,
    eyes: bool,
    turned: Option<String>,
}

impl Enrolled {
    /// What was found about the photo, as text that [`Enrolled::again`] reads.
    #[must_use]
    pub fn findings(&self) -> String {
        let turned = self.turned.map(|turn| upright::code(turn).to_owned());
        let findings = Findings { defect: self.defect, eyes: self.look_at_eyes, turned };
        serde_json::to_string(&findings).expect("words and a truth value")
    }

    /// The same photo again, out of its template and what was found about it. `None`: the text is of another version of this program.
    #[must_use]
    pub fn again(template: Template, findings: &str) -> Option<Self> {
        let Findings { defect, eyes, turned } = serde_json::from_str(findings).ok()?;
        let known = |name: String| upright::TURNS.into_iter().find(|turn| upright::code(*turn) == name);
        let turned = match turned {
            None => None,
            Some(name) => Some(known(name)?),
        };
        Some(Self { template, defect, look_at_eyes: eyes, turned })
    }
}

impl<'de> Deserialize<'de> for PhotoDefect {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::IntoDeserializer as _;

        let name = String::deserialize(from)?;
        match name.as_str() {
            "stretched" => Ok(Self::Stretched),
            "eyes_unseen" => Ok(Self::EyesUnseen),
            "unsure" => Ok(Self::Unsure),
            other => QualityDefect::deserialize(other.into_deserializer()).map(Self::Quality),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use examgate::{
        domain::{ArtifactId, Embedding, EmbeddingSpaceId},
        vision::Turn,
    };

    use super::*;

    #[test]
    fn what_was_found_comes_back() {
        let template = Template {
            space: EmbeddingSpaceId::new("space"),
            artifact: ArtifactId::from_bytes([7; 32]),
            embedding: Embedding::normalised(vec![1.0, 0.0]).unwrap(),
        };
        let defects = [
            None,
            Some(PhotoDefect::Quality(QualityDefect::AtBorder)),
            Some(PhotoDefect::Quality(QualityDefect::TooDark)),
            Some(PhotoDefect::Stretched),
            Some(PhotoDefect::EyesUnseen),
            Some(PhotoDefect::Unsure),
        ];
        for (defect, turned) in
            defects.into_iter().zip([None, Some(Turn::Left), Some(Turn::Half), None, Some(Turn::Right), None])
        {
            let photo = Enrolled { template: template.clone(), defect, look_at_eyes: defect.is_none(), turned };
            let again = Enrolled::again(template.clone(), &photo.findings()).unwrap();
            assert_eq!((again.defect, again.look_at_eyes, again.turned), (defect, defect.is_none(), turned));
        }
        for other in
            ["", "{}", r#"{"defect":"odd","eyes":false,"turned":null}"#, r#"{"defect":null,"eyes":false,"turned":"x"}"#]
        {
            assert!(Enrolled::again(template.clone(), other).is_none(), "{other}");
        }
    }

    #[test]
    fn another_net_or_threshold_is_another_recipe() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/manifest.toml");
        let manifest = Manifest::load(&path).unwrap();
        let same = recipe(&manifest);
        assert_eq!(recipe(&Manifest::load(&path).unwrap()), same);
        let mut other = manifest.clone();
        other.embedder.space = EmbeddingSpaceId::new("next");
        assert_ne!(recipe(&other), same);
        let mut other = manifest.clone();
        other.embedder.net.sha256 = other.liveness.net.sha256;
        assert_ne!(recipe(&other), same);
        let mut other = manifest.clone();
        other.output.threshold += 0.01;
        assert_ne!(recipe(&other), same);
        // Not what only the door uses.
        let mut other = manifest;
        other.liveness.net.sha256 = other.output.net.sha256;
        assert_eq!(recipe(&other), same);
    }
}

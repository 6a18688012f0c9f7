//! Translates the configuration into the settings of each edge and of the session. One function per edge; opens nothing.

use std::{io, sync::Arc, time::Duration};

use anyhow::{Context, Result};

use crate::{
    config,
    edge::{
        camera::{DeviceChoice, MonoClock, PixelFormat, StreamFormat, UsbIdentity, V4lSettings},
        card::{
            CardLimits, CardReads, DesfireReads, PacsReads, PivFileError, PivFiles, PivReads, SamHost, SamReads,
            Surroundings,
        },
        clock::Clock,
        light::{LightKind, Pins},
    },
    session::{Policy, Thresholds},
    store::{KeyError, KeyFolder, Secret},
    vision::Manifest,
    wire::{
        desfire::CardKey,
        sam::{HostKey, KeyEntry},
    },
};

/// The clock, as the camera wants it.
#[must_use]
pub fn mono(clock: Arc<dyn Clock>) -> MonoClock {
    Arc::new(move || clock.mono())
}

pub(super) fn stream(camera: &config::Camera) -> StreamFormat {
    let pixels = match camera.format {
        config::CameraFormat::Mjpeg => PixelFormat::Mjpeg,
        config::CameraFormat::Yuyv => PixelFormat::Yuyv,
    };
    StreamFormat { pixels, width: camera.width, height: camera.height, rate: camera.fps }
}

/// What the camera edge is to open.
#[must_use]
pub fn camera_settings(camera: &config::Camera) -> V4lSettings {
    let device = match &camera.device {
        config::CameraDevice::Usb(id) => DeviceChoice::Usb(UsbIdentity { vendor: id.vendor, product: id.product }),
        config::CameraDevice::Name(name) => DeviceChoice::Name(name.clone()),
        config::CameraDevice::Index(index) => DeviceChoice::Index(*index),
    };
    V4lSettings { device, formats: vec![stream(camera)], allow_virtual: camera.allow_virtual }
}

/// What the light edge is to open.
#[must_use]
pub fn light_kind(light: &config::Light) -> LightKind {
    match light {
        config::Light::Simulated => LightKind::Simulated,
        &config::Light::Gpio { ref chip, red, amber, green, buzzer } => {
            LightKind::Gpio { chip: chip.clone(), pins: Pins { red, green, amber, buzzer } }
        }
        &config::Light::RaspberryPi { red, amber, green, buzzer } => {
            let [red, green, amber] = [red, green, amber].map(u32::from);
            LightKind::RaspberryPi { pins: Pins { red, green, amber, buzzer: buzzer.map(u32::from) } }
        }
    }
}

/// How the card edge is to read, with what it takes out of the key folder.
///
/// # Errors
/// A file that the configuration names cannot be read. A key that is missing is no error: a card that needs it is referred.
pub fn card_reads(card: &config::Card, keys: &KeyFolder) -> Result<CardReads> {
    let pacs = card.pacs.as_ref().map(|pacs| PacsReads {
        source: pacs.source,
        forms: pacs.forms.clone(),
        commands: pacs.commands(),
    });
    let config::SlowestMs { desfire_aes, piv } = card.slowest_ms;
    let [desfire_aes, piv] = [desfire_aes, piv].map(|limit| limit.map(Duration::from_millis));
    Ok(CardReads {
        order: card.uid_order,
        profiles: card.profiles.clone(),
        pacs: pacs.unwrap_or_default(),
        desfire: card.desfire.as_ref().map(|desfire| desfire_reads(desfire, keys)).transpose()?,
        piv: card.piv.as_ref().map(piv_reads).transpose()?,
        limits: CardLimits { desfire_aes, piv },
    })
}

fn desfire_reads(desfire: &config::Desfire, keys: &KeyFolder) -> Result<DesfireReads> {
    let key = match desfire.keys {
        config::KeysIn::Folder => match keys.card_key(Secret::CardDesfire) {
            Ok(key) => Some(CardKey::from_bytes(*key)),
            Err(KeyError::Missing { .. }) => None,
            Err(error) => return Err(error).context("the key of DESFire cards cannot be used"),
        },
        config::KeysIn::Sam => None,
    };
    let sam = desfire.sam.as_ref().map(|sam| sam_reads(sam, keys)).transpose()?;
    Ok(DesfireReads { plan: desfire.plan()?, key, sam })
}

/// Where the SAM is, and how it is opened.
///
/// # Errors
/// The host key is there and cannot be used. That it is missing is no error: a card that needs the SAM is referred.
pub(super) fn sam_reads(sam: &config::Sam, keys: &KeyFolder) -> Result<SamReads> {
    let config::Sam { reader, key, version, host } = sam;
    let host = match *host {
        None => None,
        Some(config::SamHost { opening, key, version }) => Some(SamHost {
            opening,
            entry: KeyEntry { number: key, version },
            key: match keys.card_key(Secret::CardSam) {
                Ok(key) => Some(HostKey::from_bytes(*key)),
                Err(KeyError::Missing { .. }) => None,
                Err(error) => return Err(error).context("the host key of the SAM cannot be used"),
            },
        }),
    };
    Ok(SamReads { reader: reader.clone(), key: KeyEntry { number: *key, version: *version }, host })
}

/// How the profile `piv` is read, with the files that the configuration names.
///
/// # Errors
/// One of them cannot be read, or does not serve.
pub(super) fn piv_reads(piv: &config::Piv) -> Result<PivReads, PivFileError> {
    let files = PivFiles { anchors: piv.anchors.clone(), revocation: piv.revocation.clone() };
    PivReads::load(files, piv.revocation_overdue, piv.purpose)
}

/// What the card edge takes from outside.
#[must_use]
pub fn surroundings(clock: Arc<dyn Clock>) -> Surroundings {
    let timing = Arc::clone(&clock);
    Surroundings {
        draw: |bytes| getrandom::fill(bytes).map_err(io::Error::other),
        today: Arc::new(move || clock.trust().is_usable().then(|| clock.wall())),
        mono: Arc::new(move || timing.mono()),
    }
}

pub(super) fn policy(overrides: &config::PolicyOverrides, manifest: &Manifest) -> Policy {
    let (embedder, liveness) = (&manifest.embedder, &manifest.liveness);
    let default = Policy::with(Thresholds {
        artifact: embedder.artifact(),
        admit: embedder.thresholds.admit,
        refer: embedder.thresholds.refer,
        live: liveness.threshold,
        sure: liveness.sure,
    });
    let config::PolicyOverrides { attempts, attempt_window_ms, show_for_ms, weakest_profile, always_challenge } =
        *overrides;
    Policy {
        attempts: attempts.unwrap_or(default.attempts),
        attempt_window: attempt_window_ms.map_or(default.attempt_window, Duration::from_millis),
        show_for: show_for_ms.map_or(default.show_for, Duration::from_millis),
        weakest_profile: weakest_profile.unwrap_or(default.weakest_profile),
        always_challenge: always_challenge.unwrap_or(default.always_challenge),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_missing_card_key_stops_no_box_and_a_broken_one_does() {
        let card = "profiles = [\"desfire_aes\", \"uid\"]\n[desfire]\npreset = \"leaf-cc\"";
        let card: config::Card = toml::from_str(card).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (keys, path) = (KeyFolder::new(folder.path(), None), folder.path().join("card-desfire.key"));
        let key = || card_reads(&card, &keys).map(|reads| reads.desfire.unwrap().key);
        assert!(key().unwrap().is_none());
        let put = |content: &str| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        put(&"0f".repeat(16));
        assert!(key().unwrap().is_some());
        put("0f");
        let error = format!("{:#}", key().unwrap_err());
        assert!(error.contains("card-desfire.key") && error.contains("16 bytes"), "{error}");
    }
}

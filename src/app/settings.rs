//! Translates the configuration into the settings of each edge and of the session. One function per edge; opens nothing.

use std::{sync::Arc, time::Duration};

use crate::{
    config,
    edge::{
        camera::{DeviceChoice, MonoClock, PixelFormat, StreamFormat, UsbIdentity, V4lSettings},
        card::{CardReads, PacsReads},
        clock::Clock,
        light::{LightKind, Pins},
    },
    session::{Policy, Thresholds},
    vision::Manifest,
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

/// How the card edge is to read.
#[must_use]
pub fn card_reads(card: &config::Card) -> CardReads {
    let pacs = card.pacs.as_ref().map(|pacs| PacsReads {
        source: pacs.source,
        forms: pacs.forms.clone(),
        commands: pacs.commands(),
    });
    CardReads { order: card.uid_order, profiles: card.profiles.clone(), pacs: pacs.unwrap_or_default() }
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

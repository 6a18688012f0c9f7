//! Lamps on lines of a GPIO character device (Linux GPIO uAPI v2, through `gpiocdev`).
//!
//! Keeps the request open: the kernel may reset a line once nobody holds it.

use std::path::{Path, PathBuf};

use gpiocdev::{
    Request,
    line::{Value, Values},
};

use super::{Lamps, LightError, Lit, Pins};

/// Lamps on lines of one chip.
#[derive(Debug)]
pub struct GpioLamps {
    chip: PathBuf,
    pins: Pins,
    request: Request,
}

impl GpioLamps {
    /// Takes the lines as outputs, dark.
    ///
    /// # Errors
    /// There is no such chip or line, it is held by another, or may not be had.
    pub fn open(chip: &Path, pins: Pins) -> Result<Self, LightError> {
        let request = Request::builder()
            .with_consumer("examgate")
            .on_chip(chip)
            .with_output_lines(&values(pins, Lit::DARK))
            .request()
            .map_err(|source| LightError::TakeLines { chip: chip.to_owned(), pins, source })?;
        Ok(Self { chip: chip.to_owned(), pins, request })
    }
}

impl Lamps for GpioLamps {
    fn set(&mut self, lit: Lit) -> Result<(), LightError> {
        self.request
            .set_values(&values(self.pins, lit))
            .map_err(|source| LightError::SetLines { chip: self.chip.clone(), source })
    }
}

fn values(pins: Pins, lit: Lit) -> Values {
    [(Some(pins.red), lit.red), (Some(pins.green), lit.green), (Some(pins.amber), lit.amber), (pins.buzzer, lit.buzzer)]
        .into_iter()
        .filter_map(|(pin, lit)| pin.map(|pin| (pin, Value::from(lit))))
        .fold(Values::default(), |mut values, (pin, value)| {
            values.set(pin, value);
            values
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_chip_is_named_with_its_lines() {
        let pins = Pins { red: 5, green: 6, amber: 13, buzzer: None };
        let said = GpioLamps::open(Path::new("/dev/gpiochip-none"), pins).unwrap_err().to_string();
        assert!(said.contains("/dev/gpiochip-none") && said.contains("13") && said.contains("gpioinfo"), "{said}");
    }

    #[test]
    fn lamps_go_to_their_lines() {
        let pins = Pins { red: 5, green: 6, amber: 13, buzzer: Some(19) };
        let lit = Lit { red: true, green: false, amber: true, buzzer: true };
        let values = values(pins, lit);
        let cases = [(5, Value::Active), (6, Value::Inactive), (13, Value::Active), (19, Value::Active)];
        for (line, wanted) in cases {
            assert_eq!(values.get(line), Some(wanted), "line {line}");
        }
    }
}

//! Lamps on the header of a Raspberry Pi, by BCM number (through `rppal`, which writes the SoC's registers).

use rppal::gpio::{Gpio, Level, OutputPin};

use super::{Lamps, LightError, Lit, Pins};

/// The header's highest BCM number (BCM2835 to BCM2712: GPIO 0 to 27).
const HIGHEST_PIN: u32 = 27;

/// Lamps on the header.
#[derive(Debug)]
pub struct RaspberryPiLamps {
    red: OutputPin,
    green: OutputPin,
    amber: OutputPin,
    buzzer: Option<OutputPin>,
}

impl RaspberryPiLamps {
    /// Takes the pins as outputs, dark.
    ///
    /// # Errors
    /// This is no Raspberry Pi, there is no such pin, it is in use, or may not be had.
    pub fn open(pins: Pins) -> Result<Self, LightError> {
        Ok(Self {
            red: take(pins.red)?,
            green: take(pins.green)?,
            amber: take(pins.amber)?,
            buzzer: pins.buzzer.map(take).transpose()?,
        })
    }
}

fn take(pin: u32) -> Result<OutputPin, LightError> {
    let number = u8::try_from(pin).ok().filter(|_| pin <= HIGHEST_PIN).ok_or(LightError::NoSuchPin { pin })?;
    Gpio::new()
        .and_then(|gpio| gpio.get(number))
        .map(rppal::gpio::Pin::into_output_low)
        .map_err(|source| LightError::TakePin { pin, source })
}

impl Lamps for RaspberryPiLamps {
    fn set(&mut self, lit: Lit) -> Result<(), LightError> {
        self.red.write(Level::from(lit.red));
        self.green.write(Level::from(lit.green));
        self.amber.write(Level::from(lit.amber));
        if let Some(buzzer) = &mut self.buzzer {
            buzzer.write(Level::from(lit.buzzer));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_off_the_header_is_refused_before_any_register_is_touched() {
        for pin in [28, 255, 256, u32::MAX] {
            let said = take(pin).unwrap_err();
            assert!(matches!(said, LightError::NoSuchPin { .. }), "{said}");
        }
    }
}

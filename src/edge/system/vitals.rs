//! How the machine is: temperatures and memory, as the kernel tells them.
//!
//! What it does not tell is left out: no part of the box depends on it.

use std::{fs, path::Path};

/// Most thermal zones that are read.
const MOST_ZONES: usize = 16;

/// Memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of the machine.
    pub total: Option<u64>,
    /// What programs may still take without swapping.
    pub available: Option<u64>,
    /// Of this process, in RAM.
    pub resident: Option<u64>,
}

impl Memory {
    /// As it is now (proc(5): `/proc/meminfo`, and `VmRSS` of `/proc/self/status`).
    #[must_use]
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let machine = text("/proc/meminfo");
        Self {
            total: kibibytes(&machine, "MemTotal:"),
            available: kibibytes(&machine, "MemAvailable:"),
            resident: kibibytes(&text("/proc/self/status"), "VmRSS:"),
        }
    }
}

/// The number of a line such as `MemTotal:  16305480 kB`, in bytes.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Temperatures of the kernel's thermal zones, degrees Celsius, by the zone's type, in order of the zones; a type that comes again is numbered.
#[must_use]
pub fn temperatures() -> Vec<(String, f64)> {
    zones(Path::new("/sys/class/thermal"))
}

/// As the kernel lays them out (Documentation/driver-api/thermal/sysfs-api.rst): `thermal_zone*/type` and `temp` in thousandths.
fn zones(folder: &Path) -> Vec<(String, f64)> {
    let mut zones = Vec::<(String, f64)>::new();
    for number in 0..MOST_ZONES {
        let read = |name: &str| fs::read_to_string(folder.join(format!("thermal_zone{number}")).join(name)).ok();
        let temperature = read("temp").and_then(|text| text.trim().parse::<i32>().ok());
        let (Some(kind), Some(temperature)) = (read("type"), temperature) else { continue };
        let kind = kind.trim();
        let name = if zones.iter().any(|(name, _)| name == kind) { format!("{kind}-{number}") } else { kind.into() };
        zones.push((name, f64::from(temperature) / 1000.0));
    }
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told() {
        let Memory { total, available, resident } = Memory::read();
        let (total, available, resident) = (total.unwrap(), available.unwrap(), resident.unwrap());
        assert!(available <= total && resident <= total && resident > 0, "{total} {available} {resident}");
        assert_eq!(kibibytes("MemTotal:       16305480 kB\n", "MemTotal:"), Some(16_305_480 * 1024));
        for nonsense in ["", "MemTotal: 3 MB", "MemTotal: -3 kB", "MemTotal: 18446744073709551615 kB"] {
            assert_eq!(kibibytes(nonsense, "MemTotal:"), None, "{nonsense}");
        }
    }

    #[test]
    fn each_zone_is_told_under_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for (number, kind, temperature) in
            [(0, "cpu-thermal", "51250"), (1, "cpu-thermal", "48000"), (3, "gpu", "-1000"), (4, "fan", "much")]
        {
            let zone = folder.path().join(format!("thermal_zone{number}"));
            fs::create_dir(&zone).unwrap();
            fs::write(zone.join("type"), format!("{kind}\n")).unwrap();
            fs::write(zone.join("temp"), format!("{temperature}\n")).unwrap();
        }
        let told = [("cpu-thermal", 51.25), ("cpu-thermal-1", 48.0), ("gpu", -1.0)];
        assert_eq!(zones(folder.path()), told.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(zones(&folder.path().join("missing")), []);
    }
}

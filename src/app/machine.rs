//! The machine that the box runs on, as a tuning names it.

/// The processor's name and how many there are.
#[must_use]
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    format!("{} x {}", name.unwrap_or(std::env::consts::ARCH), processors())
}

/// As many as this process may use.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

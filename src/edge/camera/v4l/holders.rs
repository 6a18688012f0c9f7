//! Who holds a device: what `/proc` tells of other programs, as far as this user may look.

use std::{fs, path::Path};

/// Says which programs have the device file `node` open: ` by guvcview (process 4711)`; empty if that cannot be seen.
pub(super) fn named(node: &Path) -> String {
    let found = holders(Path::new("/proc"), node);
    if found.is_empty() { String::new() } else { format!(" by {}", found.join(" and ")) }
}

fn holders(proc: &Path, node: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir(proc) else { return Vec::new() };
    let mut found: Vec<_> = processes
        .flatten()
        .filter_map(|process| {
            let id: u32 = process.file_name().to_str()?.parse().ok()?;
            let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
            open.find(|file| fs::read_link(file.path()).is_ok_and(|target| target == node))?;
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            Some((id, format!("{} (process {id})", name.trim_end())))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, who)| who).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn programs_that_hold_the_device_are_named() {
        let proc = tempfile::tempdir().unwrap();
        for (id, name, target) in
            [("4711", "guvcview", "/dev/video0"), ("12", "examgate", "/dev/video0"), ("13", "sh", "/dev/video10")]
        {
            let process = proc.path().join(id);
            fs::create_dir_all(process.join("fd")).unwrap();
            fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            symlink("/dev/null", process.join("fd/0")).unwrap();
            symlink(target, process.join("fd/7")).unwrap();
        }
        // One that may not be looked into, and what is no process.
        fs::create_dir_all(proc.path().join("14")).unwrap();
        fs::create_dir_all(proc.path().join("self/fd")).unwrap();
        let seen = |node| holders(proc.path(), Path::new(node));
        assert_eq!(seen("/dev/video0"), ["examgate (process 12)", "guvcview (process 4711)"]);
        assert_eq!(seen("/dev/video1"), [""; 0]);
        assert_eq!(holders(&proc.path().join("none"), Path::new("/dev/video0")), [""; 0]);
    }
}

//! The folder below /run that pcscd insists on, and the user it runs as: what this machine and its user allow.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use super::PcscdError;

/// The folder that pcscd 1.9 to 2.5 make before anything else, and end if they cannot. Whose it is does not matter: its pid
/// file in there is only of use to `pcscd --hotplug`, and a socket that was handed over lies elsewhere.
const STATE: &str = "/run/pcscd";

/// In a mount namespace of its own: runs its arguments with a /run that holds nothing but [`STATE`].
const OWN_RUN: &str = "mount -t tmpfs -o mode=755,size=1m examgate /run && mkdir /run/pcscd && exec \"$@\"";

/// `nobody` and `nogroup`, whom every Linux knows by this number.
const NOBODY: u64 = 65_534;

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether `nobody` is somebody here: the root of a user namespace often is a plain user outside and can become no other.
pub(super) fn knows_nobody() -> bool {
    ["/proc/self/uid_map", "/proc/self/gid_map"].iter().all(|map| {
        fs::read_to_string(map).unwrap_or_default().lines().any(|line| {
            let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            matches!(numbers[..], [first, _, count] if (first..first.saturating_add(count)).contains(&NOBODY))
        })
    })
}

/// Sees to it that pcscd will find [`STATE`]: what it has to be started by, which is nothing where the folder is there.
pub(super) fn way_to_state() -> Result<Vec<&'static str>, PcscdError> {
    let source = match fs::create_dir(STATE) {
        // Whatever the umask says: libpcsclite of any user looks there for the machine's pcscd.
        Ok(()) => {
            let readable = fs::set_permissions(STATE, Permissions::from_mode(0o755));
            return readable.map(|()| Vec::new()).map_err(|source| PcscdError::Prepare { path: STATE.into(), source });
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Vec::new()),
        Err(error) => error,
    };
    let mut way = vec!["unshare"];
    if !is_root() {
        way.extend(["--user", "--map-root-user"]);
    }
    way.extend(["--mount", "/bin/sh", "-c", OWN_RUN, "pcscd"]);
    let mut probe = Command::new(way[0]);
    probe.args(&way[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) { Ok(way) } else { Err(PcscdError::NoFolder { source }) }
}

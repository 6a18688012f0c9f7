//! Users of this machine, and dropping root to get the permissions of one of them.
//!
//! It reads `/etc/passwd` only, where packages and systemd-sysusers put those of services.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A user and their groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their name; a number where they have none.
    pub name: String,
    /// Their number.
    pub id: u32,
    group: u32,
    groups: Vec<u32>,
}

/// Users cannot be told, or not become.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot become user {name}")]
    Become {
        /// The user.
        name: String,
        /// The underlying error.
        source: io::Error,
    },
}

impl User {
    /// The user who runs this process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn current() -> Result<Self, UserError> {
        // Belongs to the effective user (proc(5)).
        let path = Path::new("/proc/self");
        let id = fs::metadata(path).map_err(|source| UserError::Read { path: path.into(), source })?.uid();
        Self::numbered(id)
    }

    /// The user with this number.
    ///
    /// # Errors
    /// `/etc/passwd` cannot be read.
    pub fn numbered(id: u32) -> Result<Self, UserError> {
        let found = find(&read("/etc/passwd")?, &groups(), |_, of| of == id);
        Ok(found.unwrap_or_else(|| Self { name: id.to_string(), id, group: id, groups: Vec::new() }))
    }

    /// The user of this name, if there is one.
    ///
    /// # Errors
    /// `/etc/passwd` cannot be read.
    pub fn named(name: &str) -> Result<Option<Self>, UserError> {
        Ok(find(&read("/etc/passwd")?, &groups(), |of, _| of == name))
    }

    /// Whether it is root.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.id == 0
    }

    /// Adds the group of this name, if there is one.
    #[must_use]
    pub fn with_group(mut self, name: &str) -> Self {
        let number = groups().lines().find_map(|line| {
            let mut parts = line.split(':');
            if parts.next()? == name { parts.nth(1)?.parse::<u32>().ok() } else { None }
        });
        self.groups.extend(number);
        self
    }

    /// Makes this process the user's for good. Only root can.
    ///
    /// # Errors
    /// The kernel refuses.
    #[expect(unsafe_code, reason = "no safe crate in the tree changes the user of a whole process")]
    pub fn become_for_good(&self) -> Result<(), UserError> {
        // SAFETY: the pointer and the length are those of one live vector; the C library changes all threads.
        let groups = unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) };
        // SAFETY: both take plain numbers.
        let user = || unsafe {
            libc::setresgid(self.group, self.group, self.group) == 0 && libc::setresuid(self.id, self.id, self.id) == 0
        };
        if groups == 0 && user() {
            return Ok(());
        }
        Err(UserError::Become { name: self.name.clone(), source: io::Error::last_os_error() })
    }
}

fn read(path: &str) -> Result<String, UserError> {
    fs::read_to_string(path).map_err(|source| UserError::Read { path: path.into(), source })
}

/// Without the file nobody has further groups.
fn groups() -> String {
    fs::read_to_string("/etc/group").unwrap_or_default()
}

/// passwd(5): `name:password:UID:GID:…`; group(5): `name:password:GID:user,user`.
fn find(users: &str, groups: &str, is_it: impl Fn(&str, u32) -> bool) -> Option<User> {
    users.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        let (id, group) = (parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?);
        let further = groups.lines().filter_map(|line| {
            let mut parts = line.split(':').skip(2);
            let number = parts.next()?.parse().ok()?;
            parts.next()?.split(',').any(|member| member == name).then_some(number)
        });
        is_it(name, id).then(|| User {
            name: name.into(),
            id,
            group,
            groups: [group].into_iter().chain(further).collect(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_with_their_groups() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nexamgate:x:998:997::/var/lib/examgate:/usr/sbin/nologin\n";
        let groups = "root:x:0:\nvideo:x:44:ada,examgate\nexamgate:x:997:\nexamgates:x:5:examgates\n";
        let found = find(users, groups, |name, _| name == "examgate").unwrap();
        assert_eq!((found.id, found.group, &found.groups[..]), (998, 997, &[997, 44][..]));
        assert!(find(users, groups, |_, id| id == 0).unwrap().is_root());
        assert_eq!(find(users, groups, |name, _| name == "exam"), None);
    }

    #[test]
    fn this_process_has_a_user() {
        let user = User::current().unwrap();
        assert_eq!(User::numbered(user.id).unwrap(), user);
        assert_eq!(User::numbered(4_000_000_000).unwrap().name, "4000000000");
    }
}

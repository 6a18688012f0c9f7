//! Which user doctor checks as: the service's user, who may open less than root.
//!
//! Never becomes root.

use std::{fs, os::unix::fs::MetadataExt as _};

use anyhow::{Context, Result, bail};

use super::{super::Environment, PartHealth, State, finding};
use crate::{config::Config, edge::system::User};

/// The user of `examgate.service`, and the group that it adds.
const SERVICE: (&str, &str) = ("examgate", "video");

/// Where root asks, becomes the service's user for good: `named`, else `examgate` if there is one, else the owner of the key folder. Reads
/// the credentials before, which only root can. Says who that is.
///
/// # Errors
/// There is no user `named`; the caller is not root and names another user; a credential cannot be read.
pub fn judge_as(config: &Config, environment: &mut Environment, named: Option<&str>) -> Result<PartHealth> {
    let asks = User::current()?;
    let named = match named {
        Some(name) => Some(User::named(name)?.with_context(|| format!("--user: there is no user {name}"))?),
        None => None,
    };
    if !asks.is_root() {
        if named.is_some_and(|named| named.id != asks.id) {
            bail!("--user: only root can look as another user; {} runs this", asks.name);
        }
        let found = format!(
            "looked as {}, who runs this: run it as root or as the service's user if that is another",
            asks.name
        );
        return Ok(finding("user", State::Well, found));
    }
    let service = match named {
        Some(named) => Some(named),
        None => User::named(SERVICE.0)?,
    };
    let user = match service {
        Some(user) => user,
        None => match fs::metadata(&config.keys).or_else(|_| fs::metadata(&config.state)) {
            Ok(folder) => User::numbered(folder.uid())?,
            Err(_) => asks,
        },
    };
    environment.credentials =
        std::mem::take(&mut environment.credentials).hold().context("the credentials cannot be read")?;
    if user.is_root() {
        return Ok(finding(
            "user",
            State::Well,
            "looked as root, who can open everything; as another user: --user NAME",
        ));
    }
    let user = user.with_group(SERVICE.1);
    user.become_for_good()?;
    Ok(finding(
        "user",
        State::Well,
        format!("looked as {}, as the service sees it; as another user: --user NAME", user.name),
    ))
}

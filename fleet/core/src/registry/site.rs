//! Which site the room of a box belongs to. Nothing is decided by it: it groups boxes in metrics and dashboards.

use examgate::domain::{DeviceId, SiteId};
use rusqlite::params;

use super::{Registry, RegistryError};

impl Registry {
    /// Names the site of a box; `None`: it belongs to none.
    ///
    /// # Errors
    /// When there is no such box.
    pub fn set_site(&mut self, device: &DeviceId, site: Option<&SiteId>) -> Result<(), RegistryError> {
        let named = params![site.map(SiteId::as_str), device.as_str()];
        let found =
            self.change("name a site", |rows| rows.execute("UPDATE device SET site = ? WHERE id = ?", named))?;
        if found > 0 { Ok(()) } else { Err(RegistryError::NoDevice { device: device.clone() }) }
    }
}

//! Who sits for the box's camera.

use anyhow::Result;

use super::Stage;
use crate::edge::camera::replay::Scene;

impl Stage {
    /// Puts a woman of the test pictures before the camera, who moves before a room that stands, from the clip's beginning on: she is
    /// admitted at first sight, unless the look meets the seam at which her clip begins anew, 2.6 s later.
    ///
    /// # Errors
    /// When the string cannot be pulled.
    pub fn seat_woman(&self) -> Result<()> {
        let folder = self.picture("clips/WolfgangLanger_Pexels");
        Ok(self.strings.set_scene(&Scene::Clip { folder, range: Some(72..150), looping: true })?)
    }
}

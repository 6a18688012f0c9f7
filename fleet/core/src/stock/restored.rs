//! A stock that was restored from a backup may be older than what boxes hold. Marks say so until a box, or the broker, has been heard.
//!
//! While a mark is there, the keeper holds back what it is about, and no command makes a newer one: its number might have been given out.

use std::{fs, io};

use anyhow::{Context as _, Result};
use examgate::domain::DeviceId;

use super::Stock;

/// The folder of the marks.
const MARKS: &str = "restored";

/// The mark of the list of lost cards. Those of boxes end otherwise.
const LOST_CARDS: &str = "lost-cards.list";

impl Stock {
    /// Marks everything in the stock as restored: each box that has a manifest or a report, and the list of lost cards.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn mark_restored(&self) -> Result<()> {
        let folder = self.root.join(MARKS);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mark = |name: &str| {
            let path = folder.join(name);
            fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))
        };
        mark(LOST_CARDS)?;
        for device in self.devices()?.into_iter().chain(self.listed("reported")?) {
            mark(&of(&device))?;
        }
        Ok(())
    }

    /// Whether this box has not been heard since the stock was restored.
    #[must_use]
    pub fn awaits(&self, device: &DeviceId) -> bool {
        self.root.join(MARKS).join(of(device)).exists()
    }

    /// Whether the broker was not asked yet for a newer list of lost cards since the stock was restored.
    #[must_use]
    pub fn awaits_lost_cards(&self) -> bool {
        self.root.join(MARKS).join(LOST_CARDS).exists()
    }

    /// The list of lost cards in the stock is the newest that is to be had.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn lost_cards_are_settled(&self) -> Result<()> {
        self.unmark(LOST_CARDS)
    }

    /// This box was heard.
    pub(super) fn heard_of(&self, device: &DeviceId) -> Result<()> {
        self.unmark(&of(device))
    }

    fn unmark(&self, name: &str) -> Result<()> {
        let path = self.root.join(MARKS).join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn of(device: &DeviceId) -> String {
    format!("{device}.box")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_until_each_was_heard() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Stock::open(folder.path()).unwrap();
        let [one, two, new] = ["door-1", "door-2", "door-3"].map(|id| DeviceId::new(id).unwrap());
        stock.set_manifest(&one, b"manifest").unwrap();
        stock.set_report(&two, b"report").unwrap();
        assert!(!stock.awaits(&one) && !stock.awaits_lost_cards());
        stock.mark_restored().unwrap();
        assert!(stock.awaits(&one) && stock.awaits(&two) && !stock.awaits(&new) && stock.awaits_lost_cards());
        stock.set_report(&one, b"report").unwrap();
        assert!(!stock.awaits(&one) && stock.awaits(&two));
        stock.lost_cards_are_settled().unwrap();
        stock.lost_cards_are_settled().unwrap();
        assert!(!stock.awaits_lost_cards());
        stock.mark_restored().unwrap();
        stock.set_lost_cards(b"newer").unwrap();
        assert!(!stock.awaits_lost_cards());
    }
}

//! A roster of students, imported as a fleet manager does.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};

use super::{ROOM, Stage};

/// One student of a roster.
#[derive(Clone, Debug)]
pub struct Enrolled<'a> {
    /// The campus's number.
    pub id: &'a str,
    /// The name greeted with.
    pub given_name: &'a str,
    /// The card's number as a roster takes it; of two cards both, with a space between.
    pub card: &'a str,
    /// Pictures to enrol from, below the test pictures.
    pub pictures: &'a [&'a str],
    /// The language spoken to first, a BCP 47 tag, if not the door's own.
    pub language: Option<&'a str>,
}

impl Stage {
    /// Enrols students for `exam`, through `examgate-fleet roster import`.
    ///
    /// # Errors
    /// What the import said.
    pub fn enrol(&self, exam: &str, title: &str, window: (&str, &str), students: &[Enrolled<'_>]) -> Result<String> {
        let mut csv = String::from("student_id,given_name,card,card_2,room,photos,language\n");
        for student in students {
            let mut names = Vec::new();
            for (n, picture) in student.pictures.iter().enumerate() {
                let name = format!("{}-{n}.jpg", student.id);
                let from = self.picture(picture);
                fs::copy(&from, self.at("photos").join(&name))
                    .with_context(|| format!("{} is missing: run `make pictures`", from.display()))?;
                names.push(name);
            }
            let Enrolled { id, given_name, card, language, .. } = student;
            let (card, other) = card.split_once(' ').unwrap_or((card, ""));
            csv += &format!(
                "{id},{given_name},{card},{other},{ROOM},{},{}\n",
                names.join(";"),
                language.unwrap_or_default()
            );
        }
        self.enrol_table(exam, title, window, &csv)
    }

    /// Enrols the students of a whole table for `exam`, through `examgate-fleet roster import`.
    ///
    /// # Errors
    /// What the import said.
    pub fn enrol_table(&self, exam: &str, title: &str, window: (&str, &str), csv: &str) -> Result<String> {
        let file = self.at(&format!("{exam}.csv"));
        fs::write(&file, csv)?;
        let (state, keys) = self.imports();
        let output = Command::new(&self.programs.fleet)
            .args(["roster", "import", "--exam", exam, "--title", title, "--opens", window.0, "--closes", window.1])
            .arg("--csv")
            .arg(&file)
            .arg("--photos")
            .arg(self.at("photos"))
            .arg("--store")
            .arg(state)
            .arg("--keys")
            .arg(keys)
            .arg("--models")
            .arg(self.project.join("models"))
            .output()
            .context("examgate-fleet cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("the roster was not imported: {said}");
        }
        Ok(said)
    }

    /// Has `examgate-fleet roster check` record whom it finds to look alike.
    ///
    /// # Errors
    /// What the command said.
    pub fn record_look_alikes(&self, exam: &str) -> Result<String> {
        let (state, keys) = self.imports();
        let output = Command::new(&self.programs.fleet)
            .args(["roster", "check", "--record", "--exam", exam, "--store"])
            .arg(state)
            .arg("--keys")
            .arg(keys)
            .arg("--models")
            .arg(self.project.join("models"))
            .output()
            .context("examgate-fleet cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("no look-alikes were recorded: {said}");
        }
        Ok(said)
    }
}

//! What to record: folders with their names, and a page that says whom, what and how.
//!
//! It never overwrites what is there.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};

use super::report::at_most;
use examgate::exit::Refusal;

/// Numbers of people whose worth the page names.
const NUMBERS: [u64; 5] = [10, 30, 60, 100, 300];

/// Creates the folders of a self-test and a page that says what to record.
#[derive(clap::Args)]
#[command(after_help = "Example:
  examgate-lab selftest plan --people 30 our-door")]
pub(crate) struct Args {
    /// Number of people who take part. Each gets a number instead of a name.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=999))]
    people: u16,
    /// The folder to create.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Makes them.
pub(super) fn make(args: &Args) -> anyhow::Result<()> {
    let folder = &args.folder;
    if folder.exists() {
        bail!(Refusal::Usage(format!("{} is there already: name a new folder", folder.display())));
    }
    let failed = || format!("cannot make {}", folder.display());
    for n in 1..=args.people {
        let person = folder.join(format!("people/p{n:03}"));
        for part in ["photo", "look"] {
            fs::create_dir_all(person.join(part)).with_context(failed)?;
        }
    }
    for kind in ["print", "phone-still", "phone-replay"] {
        fs::create_dir_all(folder.join("attacks").join(kind)).with_context(failed)?;
    }
    fs::write(folder.join("PLAN.md"), page(args.people)).with_context(failed)?;
    writeln!(io::stdout(), "made {}: read PLAN.md in it", folder.display())?;
    Ok(())
}

fn page(people: u16) -> String {
    let worth: String = NUMBERS.iter().map(|&n| format!("| {n} | {:.1} % |\n", at_most(0, n) * 100.0)).collect();
    format!(
        "# What to record\n\n\
         {people} people, p001 to p{people:03}. Keep who is who elsewhere, or nowhere. Ask each for their consent, and erase this folder when \
         the report is written: it is biometric data.\n\n\
         ## Each person, at the door, with the box's own camera\n\n\
         1. `people/p001/photo/`: the ID photo as the campus has it, JPEG or PNG. Not one taken today.\n\
         2. `people/p001/look/1.mp4`: walk up as to an exam, look at the camera, four seconds. This first look is what is counted.\n\
         3. `people/p001/look/2.mp4` and on: on another day, at another hour, with and without glasses, in a hurry, from two metres away.\n\n\
         With the box stopped, this records four seconds:\n\n\
         ```\n\
         ffmpeg -f v4l2 -input_format mjpeg -framerate 30 -video_size 640x480 -i /dev/video0 -t 4 people/p001/look/1.mp4\n\
         ```\n\n\
         ## Attacks, by the staff\n\n\
         For as many people as you can, the picture as large as the face would be, in front of the same camera:\n\n\
         1. `attacks/print/p001/`: their photo on paper; held still, waved, tilted, brought close, each a clip.\n\
         2. `attacks/phone-still/p001/`: the photo on a phone, the same four.\n\
         3. `attacks/phone-replay/p001/`: a clip of them on a phone; held still, and close to the lens.\n\n\
         Other kinds: another folder beside these.\n\n\
         ## Then\n\n\
         ```\n\
         examgate-lab selftest run DIR\n\
         ```\n\n\
         ## What so many people can show\n\n\
         If nothing at all goes wrong, the true rate of it going wrong may still be as high as this, with 95 % confidence:\n\n\
         | people | at most |\n|---|---|\n{worth}\n\
         That one stranger in ten thousand is admitted with a card that is not theirs, or fewer, cannot be shown so: it takes 549 people, \
         everyone at everyone else's place, and `examgate-lab calibrate`.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_so_many_people_are_worth() {
        let page = page(30);
        // 1 - 0.025^(1/n)
        for line in ["p001 to p030", "| 10 | 30.8 % |", "| 30 | 11.6 % |", "| 300 | 1.2 % |", "consent"] {
            assert!(page.contains(line), "{line} is not in:\n{page}");
        }
    }
}

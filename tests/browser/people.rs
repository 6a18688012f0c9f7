//! Who comes to the exam of these mornings, and when.

use examgate::rig::stage::Enrolled;

pub(crate) const EXAM: &str = "MATH-UA-120-final";
pub(crate) const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
pub(crate) const OPEN: &str = "2026-12-14T08:40:00-05:00";

/// The woman of the test pictures' clip, enrolled from frames that are not shown later.
pub(crate) const WOMAN: &[&str] = &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"];
/// The man of the other one.
const MAN: &[&str] = &["clips/single_face/0062.jpg", "clips/single_face/0072.jpg"];

pub(crate) const CLARA: Enrolled<'static> =
    Enrolled { id: "N10000001", given_name: "Clara", card: "04A1B2C3D4E5F6", pictures: WOMAN, language: None };
pub(crate) const NOAH: Enrolled<'static> =
    Enrolled { id: "N10000002", given_name: "Noah", card: "04112233445566", pictures: MAN, language: None };

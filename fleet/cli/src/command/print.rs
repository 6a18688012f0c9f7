//! An answer in words, and as JSON.

use examgate::{
    domain::{Command, DeviceId},
    wire::command::{Reply, Statement},
};
use serde_json::{Value, json};

use super::line::Heard;

/// One JSON object of all that is known.
pub(super) fn json(statement: &Statement, heard: &Heard) -> Value {
    let (outcome, at, reason, detail) = match heard {
        Heard::Nothing(_) => ("unanswered", None, None, Value::Null),
        Heard::Answer(answer) => match &answer.reply {
            Reply::Done(detail) => ("done", Some(answer.at), None, parsed(detail)),
            Reply::Refused(why) => ("refused", Some(answer.at), Some(why.code().to_owned()), Value::Null),
            Reply::Failed(why) => ("failed", Some(answer.at), Some(why.clone()), Value::Null),
        },
    };
    json!({
        "device": statement.device, "command": statement.word, "id": statement.id, "issued": statement.issued,
        "outcome": outcome, "at": at, "reason": reason, "detail": detail,
    })
}

fn parsed(detail: &str) -> Value {
    serde_json::from_str(detail).unwrap_or_else(|_| detail.into())
}

/// What was done, in words.
pub(super) fn done(command: Command, device: &DeviceId, detail: &str) -> String {
    let detail = parsed(detail);
    let verifying = detail["verifying"] == true;
    let first = if verifying { ", once the student who is being verified is done" } else { "" };
    match command {
        Command::Identify => {
            let seconds = detail["seconds"].as_u64().unwrap_or_default();
            let now = if verifying { "; a student is being verified just now and goes first" } else { "" };
            format!("{device} shows its name on light and screen for {seconds} s{now}")
        }
        Command::Doctor => findings(device, &detail),
        Command::Reload => format!("{device} starts again with what is on its disk{first}"),
        Command::Drain => {
            let rest = if verifying { "; the student who is being verified is answered first" } else { "" };
            format!("{device} takes no more taps until `resume`{rest}")
        }
        Command::Resume => format!("{device} takes taps again"),
        Command::Rotate => {
            let text = |field: &str| detail[field].as_str();
            let recipient = text("recipient").unwrap_or("a new key");
            let certificate = text("certificate_until").map_or_else(
                || format!("the certificate stays: {}", text("certificate_kept").unwrap_or("the box does not say why")),
                |until| format!("the new certificate ends {until}"),
            );
            let signing = match (text("signing_key"), text("signing_key_kept")) {
                (Some(key), _) => format!("\n{device} starts again{first} and signs with {key} from then on"),
                (None, Some(why)) => format!("\nthe signing key stays: {why}"),
                (None, None) => String::new(),
            };
            format!(
                "rosters for {device} are sealed to {recipient} from now on; the key before is destroyed in ten minutes\n{certificate}{signing}"
            )
        }
    }
}

/// One line a part, as `examgate doctor` writes them.
fn findings(device: &DeviceId, detail: &Value) -> String {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or("?").to_owned();
    let lines = detail.as_array().into_iter().flatten().map(|finding| {
        let state = text(finding, "state");
        let mark = if state == "unwell" { "UNWELL".to_owned() } else { state };
        format!("{mark:<8}  {:<24} {}", text(finding, "part"), text(finding, "found"))
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { format!("{device} found nothing that could be read") } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said_in_words() {
        let door = DeviceId::new("door-1").unwrap();
        for (command, detail, says) in [
            (Command::Identify, r#"{"seconds":15,"verifying":false}"#, "for 15 s"),
            (Command::Identify, r#"{"seconds":15,"verifying":true}"#, "goes first"),
            (
                Command::Rotate,
                r#"{"recipient":"age1x","certificate_kept":"no line"}"#,
                "the certificate stays: no line",
            ),
            (
                Command::Rotate,
                r#"{"recipient":"age1x","certificate_until":"2028-01-01T00:00:00Z","signing_key_kept":"nobody allowed it"}"#,
                "ends 2028-01-01T00:00:00Z\nthe signing key stays: nobody allowed it",
            ),
            (
                Command::Rotate,
                r#"{"recipient":"age1x","certificate_until":"2028-01-01T00:00:00Z","signing_key":"ab12","verifying":false}"#,
                "door-1 starts again and signs with ab12",
            ),
            (Command::Drain, r#"{"verifying":true}"#, "answered first"),
            (Command::Resume, "{}", "takes taps again"),
            (Command::Reload, r#"{"restarts":true,"verifying":true}"#, "once the student"),
            (Command::Rotate, r#"{"recipient":"age1xyz"}"#, "age1xyz"),
            (Command::Doctor, r#"[{"part":"disk","state":"unwell","found":"full"}]"#, "UNWELL    disk"),
            (Command::Doctor, "nonsense", "nothing that could be read"),
        ] {
            let said = done(command, &door, detail);
            assert!(said.contains(says), "{command}: {said}");
        }
    }
}

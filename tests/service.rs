//! The unit `examgate.service` against the program it runs: the calls that its filter lets through, its user, its credentials.
//!
//! Starts no service: systemd is asked for what its groups of calls mean, and strace for what the box calls.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use examgate::{
    rig::stage::{Enrolled, Programs, Reality, Stage},
    store::Secret,
};

const EXAM: &str = "MATH-UA-120-final";
const WINDOW: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");

#[path = "service/unit.rs"]
mod unit;

use self::unit::{called, text as systemd};

/// The box's unit.
const UNIT: &str = "examgate.service";

fn values(setting: &str) -> Vec<String> {
    unit::values(UNIT, setting)
}

fn allowed() -> BTreeSet<String> {
    unit::allowed(UNIT)
}

#[test]
fn the_clock_may_be_asked_and_not_set() {
    let allowed = allowed();
    assert!(allowed.contains("clock_gettime"), "the groups are spelled out: {allowed:?}");
    // adjtimex(3) is clock_adjtime(2) since glibc 2.31, and in its 64-bit form where words have 32 bits.
    for call in ["adjtimex", "clock_adjtime", "clock_adjtime64"] {
        assert!(allowed.contains(call), "{call}");
    }
    for call in ["clock_settime", "settimeofday"] {
        assert!(!allowed.contains(call), "{call}");
    }
    assert_eq!(values("CapabilityBoundingSet"), [""], "no capability is left to set anything with");
    assert_eq!(values("AmbientCapabilities"), [""; 0]);
    assert_eq!(values("ProtectClock"), [""; 0], "it would forbid asking too");
}

#[test]
fn the_filter_lets_through_whatever_the_box_calls() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stage =
        Stage::set(project, programs, EXAM, Reality { reader: false, broker: false }).expect("the stage can be set");
    let ada = Enrolled { id: "N1", given_name: "Ada", card: "04A1B2C3D4E5F6", pictures: &[], language: None };
    stage.enrol(EXAM, "Final", WINDOW, &[ada]).expect("the roster is imported");
    stage.set_clock(WINDOW.0).expect("the clock is set");
    let configuration = stage.folder().join("door.toml");
    let traced = |command: &str, out: &Path| {
        let mut strace = Command::new("strace");
        // -D: what is traced is our child, so that the signal reaches it.
        strace.args(["-D", "-f", "-o"]).arg(out).args([env!("CARGO_BIN_EXE_examgate"), command, "--config"]);
        strace.arg(&configuration).stdin(Stdio::null());
        strace
    };

    // The box, from its start to its end; it has a clock of the script's. Doctor asks the machine's own.
    let (run, doctor) = (stage.folder().join("run.strace"), stage.folder().join("doctor.strace"));
    let mut child = traced("run", &run).stderr(Stdio::piped()).spawn().expect("strace is there (package strace)");
    let said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut ready = false;
    for line in said.map_while(Result::ok) {
        // "net is ready" comes before.
        if line.contains("ready exam=") && !ready {
            ready = true;
            let stopped = Command::new("kill").arg(child.id().to_string()).status().expect("procps is there");
            assert!(stopped.success());
        }
    }
    assert!(child.wait().expect("it ends").success() && ready);
    traced("doctor", &doctor).stdout(Stdio::null()).status().expect("strace is there (package strace)");

    let mut calls = BTreeSet::new();
    for trace in [run, doctor] {
        calls.extend(called(&fs::read_to_string(trace).expect("strace wrote it")));
    }
    assert!(calls.contains("clock_adjtime") || calls.contains("adjtimex"), "the clock was asked: {calls:?}");
    // What strace sees of the program being started: systemd does that before its filter holds.
    let allowed = allowed();
    let refused: Vec<_> = calls.iter().filter(|call| !allowed.contains(*call)).collect();
    assert!(refused.is_empty(), "the unit's filter forbids {refused:?}");
}

#[test]
fn the_unit_names_every_secret_as_a_credential_and_the_user_that_doctor_looks_as() {
    let unit = systemd("examgate.service");
    for secret in Secret::ALL {
        let line =
            format!("LoadCredentialEncrypted={}:/etc/credstore.encrypted/examgate-{}", secret.name(), secret.name());
        assert!(unit.contains(&line), "{line}");
    }
    let doctor = include_str!("../src/app/doctor/user.rs");
    assert_eq!((values("User"), values("SupplementaryGroups")), (vec!["examgate".into()], vec!["video".into()]));
    assert!(doctor.contains("(\"examgate\", \"video\")"));
}

/// The fleet's services, and whom each runs as.
const FLEET: [(&str, &str); 4] = [
    ("examgate-fleetd-collect.service", "examgate-collector"),
    ("examgate-fleetd-bridge.service", "examgate-bridge"),
    ("examgate-fleetd-keep.service", "examgate-keeper"),
    ("examgate-fleetd-enrol.service", "examgate-issuer"),
];

/// What they have of the box's unit, word for word.
const SHARED: [&str; 22] = [
    "Restart",
    "RestartPreventExitStatus",
    "LimitCORE",
    "MemorySwapMax",
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "DevicePolicy",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectHostname",
    "ProtectProc",
    "NoNewPrivileges",
    "CapabilityBoundingSet",
    "RestrictSUIDSGID",
    "RestrictNamespaces",
    "LockPersonality",
    "RemoveIPC",
    "RestrictAddressFamilies",
    "SystemCallArchitectures",
];

#[test]
fn the_fleets_services_run_as_a_user_each_and_are_shut_in_as_the_box_is() {
    let users = unit::path("examgate-fleetd.sysusers.conf");
    let made = Command::new("systemd-sysusers").arg("--dry-run").arg(users).output().expect("systemd is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let users = systemd("examgate-fleetd.sysusers.conf");
    let folder = tempfile::tempdir().expect("a folder");
    for (name, user) in FLEET {
        assert_eq!(unit::values(name, "User"), [user]);
        assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{user}");
        for setting in SHARED {
            assert_eq!(unit::values(name, setting), values(setting), "{name}: {setting}");
        }
        for setting in ["PrivateDevices", "ProtectClock", "MemoryDenyWriteExecute"] {
            assert_eq!(unit::values(name, setting), ["yes"], "{name}: {setting}");
        }
        // Its program is not installed here, so that systemd is shown another one.
        let path = folder.path().join(name);
        fs::write(&path, systemd(name).replace("/usr/bin/examgate-fleetd ", "/bin/true ")).expect("writable");
        let analyze = |what: &[&str]| {
            let output = Command::new("systemd-analyze").args(what).arg(&path).output().expect("systemd is there");
            (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        assert_eq!(analyze(&["verify"]), (true, String::new()));
        let (_, table) = analyze(&["security", "--offline=true", "--no-pager"]);
        let level = table.rsplit_once("exposure level").and_then(|(_, end)| end.split(": ").nth(1)?.split(' ').next());
        let level: f64 = level.expect("a level").parse().expect("a number");
        assert!(level < 2.0, "{name} is exposed by {level} of 10");
    }
}

#[test]
fn no_service_of_the_fleet_but_one_names_the_issuers_key_or_its_folder() {
    for (name, _) in FLEET {
        let is_issuer = unit::values(name, "StateDirectory") == ["examgate-fleet"];
        assert_eq!(is_issuer, name == "examgate-fleetd-enrol.service");
        let command = unit::values(name, "ExecStart").concat();
        assert_eq!(command.contains("/var/lib/examgate-fleet "), is_issuer, "{command}");
        let keys = unit::values(name, "LoadCredential").concat();
        assert!(!keys.contains("issuer"), "{keys}");
    }
}

#[test]
fn a_command_is_run_with_the_credentials_of_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        path
    };
    let tool = program("examgate-with-keys", &systemd("examgate-with-keys"));
    program("systemd-run", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let run = |unit: &str, command: &[&str]| {
        program("systemctl", &format!("#!/bin/sh\ncat <<'END'\n{unit}\nEND\n"));
        let output = Command::new(&tool).args(command).env("PATH", &path).output().expect("bash is there");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let unit = "# /etc/systemd/system/examgate.service\n[Service]\n#LoadCredentialEncrypted=root.key:/commented/out\n\
                LoadCredential=root.key:/taken/back\n# drop-in\n[Service]\nLoadCredential=\n\
                LoadCredentialEncrypted=root.key:/etc/credstore.encrypted/examgate-root.key\n\
                LoadCredentialEncrypted=pepper.key:/etc/credstore.encrypted/examgate-pepper.key";
    let (code, said) = run(unit, &["examgate-fleet", "roster", "import", "--title", "Linear Algebra, final"]);
    let wanted = "--property=LoadCredentialEncrypted=root.key:/etc/credstore.encrypted/examgate-root.key\n\
                  --property=LoadCredentialEncrypted=pepper.key:/etc/credstore.encrypted/examgate-pepper.key\n--\nexamgate-fleet\nroster\n\
                  import\n--title\nLinear Algebra, final\n";
    assert!(code == Some(0) && said.ends_with(wanted) && said.contains("--pipe\n"), "{said}");
    assert_eq!(run("[Service]\nUser=examgate", &["echo", "as it is"]), (Some(0), "as it is\n".into()));
    assert_eq!(run(unit, &[]).0, Some(64));
}

#[test]
fn a_changed_list_of_revoked_certificates_reaches_the_broker_by_units_that_systemd_accepts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for name in ["examgate-revoked.path", "examgate-revoked.service"] {
        // What it starts is not installed here.
        fs::write(path(name), systemd(name).replace("/usr/bin/examgate-revoked ", "/bin/true ")).expect("writable");
    }
    let verified = Command::new("systemd-analyze").arg("verify").arg(path("examgate-revoked.path")).output();
    let verified = verified.expect("systemd is there");
    let said = String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned();
    assert_eq!((verified.status.success(), said), (true, String::new()));
    let watched = unit::values("examgate-revoked.path", "PathChanged").concat();
    let command = unit::values("examgate-revoked.service", "ExecStart").concat();
    assert_eq!(
        command,
        format!("/usr/bin/examgate-revoked {watched} mosquitto.service"),
        "what is watched is what is read"
    );
}

//! A box is revoked: the broker is restarted with the new list as examgate-revoked.path lets it happen, the box is cut off and cannot come
//! back, and the others lose nothing.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use examgate::{
    domain::WithSources,
    edge::mqtt::{Asked, probe},
};

use super::world::{Door, World, id, now, until};

/// What systemd would start when the list changes.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/examgate-revoked")
}

/// A `systemctl` that asks the test for the restart, over a file, and waits for it.
fn systemctl(folder: &Path) {
    let text = format!(
        "#!/bin/bash\necho \"$@\" >>{0}/asked\nfor _ in $(seq 600); do [ -e {0}/done ] && rm {0}/done && exit 0; sleep 0.05; done\nexit 1\n",
        folder.display()
    );
    let path = folder.join("systemctl");
    fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
}

fn path_with(folder: &Path) -> std::ffi::OsString {
    #[expect(clippy::disallowed_methods, reason = "the script finds its programs where the test does")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("a path")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_box_is_cut_off_within_seconds_and_the_others_lose_nothing() {
    let mut world = World::new();
    let _collector = world.collect();
    let mut stolen = Door::start(world.enrol("door-1", 1));
    let mut other = Door::start(world.enrol("door-2", 2));
    stolen.is_up().await;
    other.is_up().await;
    stolen.record(1);
    stolen.has_delivered().await;

    // `device revoke` does this.
    let mut registry = world.registry();
    registry.revoke(&id("door-1"), now()).expect("it is there");
    world.folder.write_list(&mut registry, now()).expect("writable");
    world.folder.write_devices(&registry).expect("writable");

    let bin = tempfile::tempdir().expect("a folder");
    systemctl(bin.path());
    let mut running = Command::new(script())
        .arg(world.folder.revoked())
        .arg("mosquitto.service")
        .env("PATH", path_with(bin.path()))
        .spawn()
        .expect("it starts");
    // Events before, while and after the broker is gone.
    for number in 101..=120 {
        other.record(number);
    }
    until("the script wants the broker restarted", || bin.path().join("asked").exists()).await;
    world.broker.restart(false).expect("it starts");
    fs::write(bin.path().join("done"), "").expect("writable");
    for number in 121..=140 {
        other.record(number);
    }
    let ended = tokio::task::spawn_blocking(move || running.wait().expect("ours")).await.expect("it does not panic");
    assert!(ended.success());
    let asked = fs::read_to_string(bin.path().join("asked")).expect("there");
    assert_eq!(asked, "try-restart mosquitto.service\n", "once for one change");

    // Cut off, and refused whenever it comes again.
    let mut why = stolen.is_down().await;
    while !why.contains("revoked") {
        stolen.link.changed().await.expect("the loop runs");
        why = stolen.is_down().await;
    }
    stolen.record(2);
    other.is_up().await;
    other.has_delivered().await;
    let numbers: Vec<u128> = world.committed("door-2").iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (101..=140).collect::<Vec<_>>(), "nothing lost, nothing doubled");
    assert_eq!(world.committed("door-1").len(), 1, "what it records now comes nowhere");
    // It gets no other certificate either.
    assert!(stolen.rotate().await.is_err());
    // The collector read the list of boxes by itself.
    assert!(world.log().contains("read again"), "{}", world.log());
}

/// Why a reload is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_only_reads_the_list_again_refuses_the_box_and_does_not_cut_it_off() {
    let world = World::new();
    let mut door = Door::start(world.enrol("door-1", 1));
    door.is_up().await;
    let mut registry = world.registry();
    registry.revoke(&id("door-1"), now()).expect("it is there");
    // A second later: of two lists of one second OpenSSL goes on with the first.
    world.folder.write_list(&mut registry, now() + Duration::from_secs(1)).expect("writable");
    world.broker.reload().expect("it runs");
    let why = loop {
        let settings = door.disk.settings();
        let asked = tokio::task::spawn_blocking(move || probe(&settings, Asked::Trust).expect("usable certificates"));
        // The signal is on its way.
        if let Err(fault) = asked.await.expect("it does not panic") {
            break WithSources(&fault).to_string();
        }
    };
    assert!(why.contains("revoked"), "{why}");
    assert!(!door.link.has_changed().expect("the loop runs"), "{:?}", door.link.borrow());
}

#[test]
fn half_a_list_restarts_nothing_and_a_list_that_changes_meanwhile_is_read_once_more() {
    let bin = tempfile::tempdir().expect("a folder");
    let list = bin.path().join("revoked.pem");
    // A stub that changes the list in its first restart.
    let world = World::new();
    let mut registry = world.registry();
    world.folder.write_list(&mut registry, now()).expect("writable");
    let (first, second) = (fs::read(world.folder.revoked()).expect("there"), bin.path().join("second"));
    world.folder.write_list(&mut registry, now() + Duration::from_secs(1)).expect("writable");
    fs::copy(world.folder.revoked(), &second).expect("copied");
    let text = format!(
        "#!/bin/bash\necho \"$@\" >>{0}/asked\nif [ -e {1} ]; then mv {1} {2}; fi\n",
        bin.path().display(),
        second.display(),
        list.display()
    );
    fs::write(bin.path().join("systemctl"), text).expect("writable");
    fs::set_permissions(bin.path().join("systemctl"), fs::Permissions::from_mode(0o755)).expect("ours");
    let run = || {
        let mut command = Command::new(script());
        command.arg(&list).arg("mosquitto.service").env("PATH", path_with(bin.path()));
        command.output().expect("it runs")
    };
    fs::write(&list, &first[..first.len() / 2]).expect("writable");
    let output = run();
    assert!(!output.status.success() && !bin.path().join("asked").exists(), "half a list restarted the broker");
    assert!(String::from_utf8_lossy(&output.stderr).contains("goes on with the one before"));
    fs::write(&list, first).expect("writable");
    assert!(run().status.success());
    let asked = fs::read_to_string(bin.path().join("asked")).expect("there");
    assert_eq!(asked, "try-restart mosquitto.service\n".repeat(2));
    assert_eq!(Command::new(script()).status().expect("it runs").code(), Some(64));
}

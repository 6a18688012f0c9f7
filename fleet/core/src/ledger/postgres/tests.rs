//! What only a ledger on a server has: a server that sees no body, dies, is careless, or speaks TLS.

use std::{path::Path, time::Duration};

use examgate::{
    domain::{Decision, DeviceId, Epoch, EventHash, Seq, WithSources, chain_hash, sample::verified},
    rig::{
        certificates::{Authority, Validity},
        postgres as rig,
    },
    wire::envelope::EventEnvelope,
};

use super::{
    super::{Committed, Ledger, Location},
    *,
};
use crate::lease::{Claim, Holder};

const KEY: Key = Key::from_bytes([7; 32]);

fn event(seq: u64, body: &[u8]) -> EventEnvelope {
    let (epoch, prev) = (Epoch(Uuid::from_u128(1)), EventHash::START);
    EventEnvelope {
        device: DeviceId::new("door-1").expect("valid"),
        epoch,
        seq: Seq(seq),
        event_id: EventId(Uuid::from_u128(u128::from(seq))),
        prev,
        hash: chain_hash(epoch, Seq(seq), &prev, body),
        body: body.to_vec().into(),
    }
}

/// Commits as the holder of the lease.
fn commit(ledger: &mut Ledger, events: &[EventEnvelope]) -> Result<Committed, LedgerFault> {
    let holder = Holder { id: Uuid::from_u128(1), name: "collector".into() };
    match ledger.claim(&holder, Duration::from_secs(3_600))? {
        Claim::Held(token) => ledger.commit(token, events),
        another @ Claim::Another { .. } => panic!("{another:?}"),
    }
}

fn location(url: &str) -> Location {
    Location::named(None, None, Some(url.into())).expect("a URL")
}

fn good<T, E: std::error::Error + 'static>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{}", WithSources(&error)))
}

/// The files below `folder` that hold `bytes`.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let (mut folders, mut found) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable").flatten() {
            let kind = entry.file_type().expect("readable");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && fs::read(entry.path()).is_ok_and(|file| file.windows(bytes.len()).any(|part| part == bytes))
            {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_server_holds_no_body_in_its_tables_its_write_ahead_log_or_its_log() {
    let server = good(rig::Postgres::start());
    let mut ledger = good(Ledger::open(&location(&good(server.database())), &KEY));
    let body = serde_json::to_vec(&verified(1, "MATH-UA-120-final", Some(47), Decision::Admit)).expect("JSON");
    let event = event(1, &body);
    good(commit(&mut ledger, std::slice::from_ref(&event)));
    good(server.sql("postgres", "CHECKPOINT"));
    for part in [&body[..], b"MATH-UA-120-final", &hex::encode(b"MATH-UA-120-final").into_bytes()] {
        assert_eq!(holding(server.folder(), part), Vec::<String>::new(), "{}", String::from_utf8_lossy(part));
    }
    // The search finds what is there: the sealed body in a table, its values in the log.
    let seal = BodySeal::new(&KEY);
    let mark = seal.mark(&event.event_id, &body);
    let sealed = seal.seal(&event.event_id, &mark, &body);
    assert!(!holding(server.folder(), &sealed).is_empty());
    assert!(holding(server.folder(), hex::encode(&sealed).as_bytes()).iter().any(|file| file.ends_with("/log")));
}

#[test]
fn an_altered_event_is_a_fault_and_not_shown() {
    let server = good(rig::Postgres::shared());
    let url = good(server.database());
    let mut ledger = good(Ledger::open(&location(&url), &KEY));
    good(commit(&mut ledger, &[event(1, b"one"), event(2, b"two")]));
    // Somebody at the server gives one event the other's body.
    let swap = "UPDATE examgate_ledger.recorded SET (mark, sealed) = (SELECT mark, sealed FROM examgate_ledger.recorded WHERE n = 1)";
    good(server.sql(&url, swap));
    let fault = ledger.each(|_| Ok(())).expect_err("one does not open");
    assert!(matches!(fault, LedgerFault::Altered { .. }) && !fault.may_pass(), "{fault}");
}

#[test]
fn a_server_that_dies_is_a_fault_that_passes_and_keeps_what_it_confirmed() {
    let mut server = good(rig::Postgres::start());
    let at = location(&good(server.database()));
    let mut ledger = good(Ledger::open(&at, &KEY));
    assert_eq!(good(commit(&mut ledger, &[event(1, b"one")])).fresh, 1);
    server.kill9();
    let fault = commit(&mut ledger, &[event(2, b"two")]).expect_err("nobody is there");
    assert!(fault.may_pass(), "{}", WithSources(&fault));
    let fault = Ledger::open(&at, &KEY).expect_err("nobody is there");
    assert!(fault.may_pass(), "{}", WithSources(&fault));
    good(server.restart());
    let mut ledger = good(Ledger::open(&at, &KEY));
    assert_eq!(good(commit(&mut ledger, &[event(1, b"one"), event(2, b"two")])).fresh, 1);
}

#[test]
fn a_server_that_confirms_too_early_is_refused_or_told_not_to() {
    let server = good(rig::Postgres::start());
    let url = good(server.database());
    good(server.sql("postgres", "ALTER ROLE examgate SET synchronous_commit = off"));
    let Location::Postgres(named) = location(&url) else { panic!("a server") };
    let mut ledger = good(Postgres::open(&named, &KEY));
    let confirms: String = ledger.client.query_one("SHOW synchronous_commit", &[]).expect("works").get(0);
    assert_eq!(confirms, "on");
    good(server.sql("postgres", "ALTER SYSTEM SET full_page_writes = off"));
    good(server.sql("postgres", "SELECT pg_reload_conf()"));
    let refused = (0..1000).find_map(|_| Postgres::open(&named, &KEY).err()).expect("the setting is read soon");
    assert!(refused.to_string().contains("full_page_writes") && !refused.may_pass(), "{refused}");
}

#[test]
fn a_password_and_a_certificate_must_be_right() {
    let authority = Authority::new();
    let server = good(rig::Postgres::start_with_tls(&authority.broker(Validity::Good)));
    let url = good(server.database());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trusted = |authority: &Authority, name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, authority.certificate()).expect("writable");
        format!("{url}?sslmode=require&sslrootcert={}", path.display())
    };
    let own = trusted(&authority, "own.pem");
    let mut ledger = good(Ledger::open(&location(&own), &KEY));
    assert_eq!(good(commit(&mut ledger, &[event(1, b"one")])).fresh, 1);
    let encrypted =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'examgate'";
    assert_eq!(good(server.sql("postgres", encrypted)).trim(), "t");
    // Another authority, the wrong password, no certificate at all.
    for wrong in [
        trusted(&Authority::new(), "other.pem"),
        own.replace(rig::PASSWORD, "another"),
        format!("{url}?sslmode=require&sslrootcert=/dev/null"),
    ] {
        let fault = Ledger::open(&location(&wrong), &KEY).expect_err("refused");
        let said = WithSources(&fault).to_string();
        assert!(!said.contains(rig::PASSWORD) && !said.contains("another:"), "{said}");
    }
}

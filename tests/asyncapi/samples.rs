//! What boxes and fleet write: one event of each kind, and one signed message of each topic.

use std::time::Duration;

use examgate::{
    domain::{
        Access, AccessStep, ArtifactId, CardPseudonym, ClockTrust, CommandId, CommandOutcome, CommandRefusal,
        Commanded, CredentialProfile, Cue, Decision, DeviceId, EmbeddingSpaceId, Epoch, Event, EventHash, EventId,
        EventKind, ExamId, Ground, Liveness, Measured, PeerKey, PepperCheck, ProctorId, Reason, Right, RoomId,
        RosterVersion, Ruling, Seq, Shortfall, Similarity, StudentId, Undo, Verdict, Verification, chain_hash,
    },
    wire::{
        admitted::{AdmittedPage, AdmittedRow},
        command::{CommandAnswer, Reply, Statement},
        desired::{Desired, Wanted, WantedDifference},
        digest::Digest,
        envelope::EventEnvelope,
        keys::SigningKey,
        lost::LostCards,
        receipt::Receipt,
        reported::{HeldExam, RefusalReason, Refused, Reported},
        seal::Recipient,
        telemetry::{Metric, Place, Reading, Series, Telemetry, metrics},
        trust::{KeyId, Purpose, TrustDocument, TrustedKey},
    },
};
use uuid::Uuid;

/// The signers of the examples.
pub(crate) const BOX: [u8; 32] = [7; 32];
pub(crate) const COLLECTOR: [u8; 32] = [9; 32];
pub(crate) const ROSTER: [u8; 32] = [8; 32];
pub(crate) const COMMAND: [u8; 32] = [6; 32];
pub(crate) const ROOT: [u8; 32] = [10; 32];

pub(crate) fn door() -> DeviceId {
    DeviceId::new("door-1").expect("an identifier")
}

pub(crate) fn exam() -> ExamId {
    ExamId::new("MATH-UA-120-final").expect("an identifier")
}

fn command() -> CommandId {
    CommandId(Uuid::from_u128(0x019b_1c2d_0000_7000_8000_0000_0000_000c))
}

/// One event of each kind, as boxes write them.
pub(crate) fn events() -> Vec<Event> {
    let card = CardPseudonym::from_bytes([0x5c; 32]);
    let (student, proctor) = (StudentId::new("N10000001").expect("valid"), ProctorId::new("aokafor").expect("valid"));
    let verification = Verification {
        exam: exam(),
        roster: RosterVersion(3),
        card: Some(card),
        profile: Some(CredentialProfile::Uid),
        student: Some(student.clone()),
        decision: Decision::Refer(Reason::FaceMismatch),
        measured: Measured {
            similarity: Some(Similarity::new(0.4375)),
            threshold: Similarity::new(0.5),
            liveness: Liveness::Scored { score: 0.96875, threshold: 0.75, cue: Cue::Surroundings },
            artifact: Some(ArtifactId::from_bytes([0xa7; 32])),
            frames_used: 9,
            attempts: 1,
            worst: Some(Shortfall::Borderline),
            since_tap: Duration::from_millis(1240),
            since_first_usable_frame: Some(Duration::from_millis(910)),
        },
        card_took: None,
        other_room: None,
    };
    let id = |number: u128| EventId(Uuid::from_u128((0x019b_1c2d << 96) | (0x7 << 76) | (0x8 << 60) | number));
    let ruling = Ruling {
        exam: exam(),
        student,
        card,
        proctor: proctor.clone(),
        verdict: Verdict::Admit,
        ground: Ground::IdChecked,
        note: None,
        answer: Some(id(1)),
    };
    let from = "10.20.0.31".parse().expect("an address");
    let kinds = [
        EventKind::Verification(verification),
        EventKind::Ruling(ruling),
        EventKind::Undo(Undo { exam: exam(), proctor: proctor.clone(), ruling: id(2) }),
        EventKind::Access(Access { proctor: Some(proctor), from, step: AccessStep::Refused { times: 3 } }),
        EventKind::Commanded(Commanded {
            command: command(),
            word: "drain".into(),
            key: SigningKey::from_seed(&COMMAND).public().to_string(),
            by: Some("help-desk".into()),
            issued: "2026-12-14T13:31:06Z".parse().expect("a time"),
            answer: CommandOutcome::Refused(CommandRefusal::NotAllowed),
        }),
    ];
    let numbered = (1..).zip(kinds);
    numbered
        .map(|(number, kind)| Event {
            id: id(number),
            at: "2026-12-14T13:31:07.5Z".parse().expect("a time"),
            clock: ClockTrust::Synchronised,
            room: RoomId::new("SILVER-207").expect("valid"),
            kind,
        })
        .collect()
}

/// A trust document with a key for each purpose that boxes read, one of them with few rights, and a receipt key that was revoked.
fn trust(collector: &Recipient) -> TrustDocument {
    let ed25519 = |purpose, seed: &[u8; 32]| {
        TrustedKey::new(purpose, SigningKey::from_seed(seed).public().to_string(), (1_795_000_000, 1_890_000_000))
    };
    let revoked: KeyId = ed25519(Purpose::Receipt, &[4; 32]).id();
    let help_desk = TrustedKey {
        name: Some("help-desk".into()),
        may: Some(vec![Right::Identify, Right::Doctor]),
        ..ed25519(Purpose::Command, &[16; 32])
    };
    TrustDocument {
        version: 3,
        issued: 1_796_000_000,
        keys: vec![
            ed25519(Purpose::Roster, &ROSTER),
            ed25519(Purpose::Command, &COMMAND),
            help_desk,
            ed25519(Purpose::Receipt, &COLLECTOR),
            TrustedKey::new(Purpose::Events, collector.to_string(), (1_795_000_000, 1_890_000_000)),
        ],
        revoked: [revoked].into(),
    }
}

/// A few numbers of each kind.
fn telemetry() -> Telemetry {
    let mut counts = vec![0; 34];
    (counts[10], counts[33]) = (3, 1);
    let series = |metric: &'static Metric, labels: &[&str], reading| Series {
        metric,
        labels: labels.iter().map(|label| (*label).into()).collect(),
        reading,
    };
    Telemetry {
        device: door(),
        boot_id: Uuid::from_u128(1),
        place: Place { run: 1_797_235_200, seq: 12 },
        made: "2026-12-14T08:00:01.5Z".parse().expect("a time"),
        since: "2026-12-14T07:00:00Z".parse().expect("a time"),
        every: 15,
        clock: ClockTrust::Synchronised,
        software: "0.1.0".into(),
        models: [("embedder".into(), "ab".repeat(32))].into(),
        series: vec![
            series(&metrics::ATTEMPTS, &[], Reading::Counter(7)),
            series(&metrics::CLOCK, &["synchronised"], Reading::Gauge(1.0)),
            series(&metrics::SESSIONS, &["admit", "none"], Reading::Counter(3)),
            series(&metrics::SESSIONS, &["refer", "face_mismatch"], Reading::Counter(1)),
            series(&metrics::TAP_TO_DECISION, &["admit"], Reading::Histogram { counts, sum: 36.5 }),
            series(&metrics::TEMPERATURES, &["cpu-thermal"], Reading::Gauge(51.25)),
        ],
    }
}

/// The signed message `name` as the code writes it today, its event sealed to `collector`.
pub(crate) fn written(name: &str, collector: &Recipient) -> Vec<u8> {
    let space = || EmbeddingSpaceId::new("mobilefacenet-512");
    let epoch = Epoch(Uuid::from_u128(0x019b_1c2d_0000_7000_8000_0000_0000_00e1));
    let (whole, index) = (Digest::of(b"a sealed bundle"), Digest::of(b"its index"));
    match name {
        "event" => {
            let event = &events()[0];
            let (seq, body) = (Seq(1), serde_json::to_vec(event).expect("JSON"));
            let hash = chain_hash(epoch, seq, &EventHash::START, &body);
            let envelope = EventEnvelope {
                device: door(),
                epoch,
                seq,
                event_id: event.id,
                prev: EventHash::START,
                hash,
                body: body.into(),
            };
            envelope.encode(&SigningKey::from_seed(&BOX), collector).expect("short")
        }
        "receipt" => Receipt { device: door(), epoch, seq: Seq(128), hash: EventHash::from_bytes([0xa5; 32]) }
            .encode(&SigningKey::from_seed(&COLLECTOR)),
        "desired" => {
            let wanted = Wanted {
                exam: exam(),
                version: RosterVersion(3),
                expires: "2026-12-15T14:15:00Z".parse().expect("a time"),
                space: space(),
                whole,
                size: 15,
                index,
                difference: Some(WantedDifference {
                    base: RosterVersion(2),
                    from: Digest::of(b"the sealed bundle before"),
                    whole: Digest::of(b"a sealed difference"),
                    size: 19,
                    index: Digest::of(b"the index of a difference"),
                }),
            };
            let erase = vec![ExamId::new("BIO-UA-12-midterm").expect("valid")];
            let desired = Desired { device: door(), serial: 12, exams: vec![wanted], erase };
            desired.encode(&SigningKey::from_seed(&ROSTER)).expect("short")
        }
        "command" => {
            let at = |text: &str| text.parse().expect("a time");
            let (issued, expires) = (at("2026-12-14T12:00:00Z"), at("2026-12-14T12:01:10Z"));
            let statement = Statement { device: door(), id: command(), issued, expires, word: "drain".into() };
            statement.encode(&SigningKey::from_seed(&COMMAND)).expect("a command")
        }
        "answer" => {
            let (at, reply) = ("2026-12-14T12:00:01Z", Reply::Done("{\"verifying\":false}".into()));
            let answer = CommandAnswer { device: door(), id: command(), at: at.parse().expect("a time"), reply };
            answer.encode(&SigningKey::from_seed(&BOX))
        }
        "admitted" => {
            let key = PeerKey::from_bytes([0x3b; 32]);
            let (student, card) =
                (key.student(&StudentId::new("N10000001").expect("valid")), CardPseudonym::from_bytes([0x5c; 32]));
            let rows = vec![
                AdmittedRow {
                    at: Some("2026-12-14T13:31:07Z".parse().expect("a time")),
                    who: vec![student, key.card(&card)],
                },
                AdmittedRow { at: None, who: vec![key.student(&StudentId::new("N10000002").expect("valid"))] },
            ];
            let made = "2026-12-14T13:31:08.25Z".parse().expect("a time");
            AdmittedPage { exam: exam(), device: door(), page: 0, made, rows }.encode(&SigningKey::from_seed(&BOX))
        }
        "lostCards" => {
            let cards = [(CardPseudonym::from_bytes([0x5c; 32]), 1_797_000_000)].into();
            let list = LostCards { serial: 4, pepper: PepperCheck::from_bytes([0x21; 16]), cards };
            list.encode(&SigningKey::from_seed(&COMMAND)).expect("short")
        }
        "telemetry" => telemetry().encode(&SigningKey::from_seed(&BOX)),
        "trust" => trust(collector).encode(&SigningKey::from_seed(&ROOT)).expect("a document"),
        "reported" => Reported {
            device: door(),
            at: "2026-12-13T18:00:00Z".parse().expect("a time"),
            serial: 12,
            recipient: collector.to_string(),
            space: space(),
            held: vec![HeldExam { exam: exam(), version: RosterVersion(2), whole: None }],
            missing: vec![index],
            refused: Some(Refused {
                exam: Some(exam()),
                version: Some(RosterVersion(1)),
                reason: RefusalReason::RolledBack,
            }),
            lost_cards: None,
            trust: None,
            reads: None,
        }
        .encode(&SigningKey::from_seed(&BOX)),
        other => panic!("no signed message is called {other}"),
    }
}

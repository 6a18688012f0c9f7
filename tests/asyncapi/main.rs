//! `docs/asyncapi.yaml` against the code: topics, directions, size limits, signatures, schemas and examples.
//!
//! Starts no broker: that boxes and fleet use the topics so is shown by `tests/uplink` and `fleet/server/tests`.

use std::{collections::BTreeSet, time::Duration};

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use coset::{CborSerializable as _, CoseSign1};
use ed25519_dalek::{Signature, VerifyingKey};
use examgate::{
    domain::{
        ClockTrust, CommandOutcome, CommandRefusal, CredentialProfile, Cue, Decision, Event, EventKind, Ground,
        Liveness, QualityDefect, Reason, Right, Shortfall, Verdict,
        sample::{reasons, verified},
    },
    wire::{
        admitted::{AdmittedPage, MAX_ADMITTED},
        chunk::{self, MAX_CHUNK},
        command::{CommandAnswer, MAX_ANSWER, MAX_COMMAND, Statement},
        desired::{Desired, MAX_DESIRED},
        digest::Digest,
        envelope::{EventEnvelope, MAX_ENVELOPE},
        keys::{PublicKey, SigningKey},
        lost::{LostCards, MAX_LOST_CARDS},
        receipt::{MAX_RECEIPT, Receipt},
        reported::{MAX_REPORTED, RefusalReason, Reported, TrustRefusal},
        seal::Identity,
        state::{DeviceState, MAX_STATE, Status},
        telemetry::{MAX_TELEMETRY, Telemetry},
        topic::{DeviceTopic, LOST_CARDS, TRUST, admitted_of, chunk_of},
        trust::{MAX_TRUST, Purpose, TrustDocument},
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use self::samples::{BOX, COLLECTOR, COMMAND, ROOT, ROSTER, door, events, exam, written};

mod samples;

const DOCUMENT: &str = include_str!("../../docs/asyncapi.yaml");
const ACL: &str = include_str!("../../provisioning/mosquitto/examgate.acl");

fn document() -> Value {
    serde_yaml_ng::from_str(DOCUMENT).expect("the document is YAML")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).expect("hexadecimal digits")
}

/// The schema at `pointer` of the document.
struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn at(pointer: &str) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V7);
        compiler.enable_format_assertions();
        compiler.add_resource("file:///asyncapi.json", document()).expect("a resource");
        let compiled = compiler.compile(&format!("file:///asyncapi.json#{pointer}"), &mut schemas);
        let index = compiled.unwrap_or_else(|error| panic!("{pointer}: {error}"));
        Self(schemas, index)
    }

    fn of(name: &str) -> Self {
        Self::at(&format!("/components/schemas/{name}"))
    }

    fn takes(&self, value: &Value) -> Result<(), String> {
        self.0.validate(value, self.1).map_err(|error| format!("{error:#}\n{value:#}"))
    }
}

/// CBOR as the document writes it: byte strings in hexadecimal digits.
fn as_json(value: &ciborium::Value) -> Value {
    if let Some(bytes) = value.as_bytes() {
        hex::encode(bytes).into()
    } else if let Some(text) = value.as_text() {
        text.into()
    } else if let Some(number) = value.as_integer() {
        u64::try_from(number).expect("no negative numbers").into()
    } else if let Some(number) = value.as_float() {
        number.into()
    } else if let Some(items) = value.as_array() {
        items.iter().map(as_json).collect()
    } else if let Some(fields) = value.as_map() {
        let fields = fields.iter().map(|(key, value)| (key.as_text().expect("a name").into(), as_json(value)));
        Value::Object(fields.collect())
    } else {
        assert!(value.is_null(), "no message holds {value:?}");
        Value::Null
    }
}

fn identity() -> Identity {
    text(&document()["x-example-keys"]["collector_identity"]).parse().expect("an age identity")
}

/// The content of a signed message, with the signature checked as the document says.
fn content(name: &str, message: &Value, bytes: &[u8]) -> Value {
    let (signer, purpose) = (text(&message["x-signer"]), text(&message["x-signed-for"]));
    let key: [u8; 32] = self::bytes(&document()["x-example-keys"][signer]).try_into().expect("32 bytes");
    let key = VerifyingKey::from_bytes(&key).expect("a key");
    let signed = CoseSign1::from_slice(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    signed
        .verify_signature(purpose.as_bytes(), |signature, tbs| {
            key.verify_strict(tbs, &Signature::from_slice(signature).expect("64 bytes"))
        })
        .unwrap_or_else(|_| panic!("{name} is not signed by {signer} for {purpose:?}"));
    as_json(&ciborium::from_reader(signed.payload.expect("a payload").as_slice()).expect("CBOR"))
}

#[test]
fn every_topic_of_the_code_is_a_channel_and_nothing_else_is() {
    let digest = Digest::of(b"x");
    let mut topics: BTreeSet<String> = DeviceTopic::ALL.map(|topic| topic.of(&door())).into();
    topics.extend([
        chunk_of(&door(), &digest),
        LOST_CARDS.to_owned(),
        TRUST.to_owned(),
        admitted_of(&exam(), &door(), 0),
    ]);
    let channels: BTreeSet<String> = object(&document()["channels"])
        .values()
        .map(|channel| {
            let address = text(&channel["address"]).replace("{device}", "door-1").replace("{page}", "0");
            address.replace("{digest}", &digest.to_string()).replace("{exam}", exam().as_str())
        })
        .collect();
    assert_eq!(channels, topics);
}

#[test]
fn operations_are_what_the_broker_allows() {
    let document = document();
    let operations: BTreeSet<_> = object(&document["operations"])
        .values()
        .map(|operation| {
            let channel = text(&operation["channel"]["$ref"]).rsplit('/').next().expect("a name");
            let address = text(&document["channels"][channel]["address"]).to_owned();
            let receives = text(&operation["action"]) == "receive";
            (text(&operation["x-actor"]).to_owned(), if receives { "read" } else { "write" }, address)
        })
        .collect();
    let mut allowed = BTreeSet::new();
    let mut user = "";
    for line in ACL.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            // The second of a role may do what the first may.
            ["user", name] => user = name.trim_end_matches("-2"),
            [kind @ ("pattern" | "topic"), access, topic] => {
                let who = if kind == "pattern" { "box" } else { user };
                let access = if access == "read" { "read" } else { "write" };
                let known = [("chunk/+", "chunk/{digest}"), ("exam/+/", "exam/{exam}/"), ("%u", "{device}")];
                let named = known.into_iter().fold(topic.to_owned(), |topic, (from, to)| topic.replace(from, to));
                let address = named.replace("/+/", "/{device}/").replace("/+", "/{page}");
                allowed.insert((who.to_owned(), access, address));
            }
            _ => assert!(line.is_empty() || line.starts_with('#'), "what is {line:?}?"),
        }
    }
    assert_eq!(operations, allowed);
}

#[test]
fn limits_are_those_of_the_code() {
    let document = document();
    let mut stated: Vec<_> = object(&document["components"]["messages"])
        .iter()
        .map(|(name, message)| (name.as_str(), message["x-max-bytes"].as_u64().expect("a number") as usize))
        .collect();
    let limits = [
        ("admitted", MAX_ADMITTED),
        ("answer", MAX_ANSWER),
        ("chunk", MAX_CHUNK),
        ("command", MAX_COMMAND),
        ("desired", MAX_DESIRED),
        ("event", MAX_ENVELOPE),
        ("lostCards", MAX_LOST_CARDS),
        ("receipt", MAX_RECEIPT),
        ("reported", MAX_REPORTED),
        ("state", MAX_STATE),
        ("telemetry", MAX_TELEMETRY),
        ("trust", MAX_TRUST),
    ];
    stated.sort_unstable();
    assert_eq!(stated, limits);
}

#[test]
fn the_keys_of_the_examples_are_told() {
    let keys = &document()["x-example-keys"];
    let seeds = [("box", BOX), ("collector", COLLECTOR), ("command", COMMAND), ("root", ROOT), ("roster", ROSTER)];
    for (name, seed) in seeds {
        assert_eq!(text(&keys[name]), SigningKey::from_seed(&seed).public().to_string(), "{name}");
    }
}

#[test]
fn signed_examples_are_what_the_code_writes_and_reads() {
    let document = document();
    let mut outdated = Vec::new();
    for (name, message) in object(&document["components"]["messages"]) {
        if message.get("x-signed-for").is_none() {
            continue;
        }
        let schema = Schema::of(text(&message["payload"]["$ref"]).rsplit('/').next().expect("a name"));
        let fresh = written(name, &identity().recipient());
        let wanted = json!({ "payload": content(name, message, &fresh), "x-bytes": hex::encode(&fresh) });
        let example = &message["examples"][0];
        // A sealed body differs each time; what is in it is compared below.
        if example["x-bytes"] != wanted["x-bytes"] && (name != "event" || example.is_null()) {
            outdated.push(format!("{name}: {wanted}"));
            continue;
        }
        let bytes = bytes(&example["x-bytes"]);
        assert_eq!(content(name, message, &bytes), example["payload"], "{name}");
        schema.takes(&example["payload"]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let key = |seed: &[u8; 32]| -> PublicKey { SigningKey::from_seed(seed).public() };
        match name.as_str() {
            "event" => {
                let read = EventEnvelope::decode(&bytes, &door(), &key(&BOX), &identity()).expect("an envelope");
                let event: Event = serde_json::from_slice(&read.body).expect("an event");
                assert_eq!(event, events()[0]);
            }
            "command" => {
                let (read, place) = Statement::decode(&bytes, &[key(&ROSTER), key(&COMMAND)]).expect("a command");
                assert_eq!((read.word.as_str(), place), ("drain", 1));
            }
            "answer" => drop(CommandAnswer::decode(&bytes, &door(), &key(&BOX)).expect("an answer")),
            "receipt" => drop(Receipt::decode(&bytes, &door(), &key(&COLLECTOR)).expect("a receipt")),
            "desired" => drop(Desired::decode(&bytes, &door(), &[key(&ROSTER)]).expect("a manifest")),
            "reported" => drop(Reported::decode(&bytes, &door(), &key(&BOX)).expect("a report")),
            "telemetry" => {
                let taken = Telemetry::decode(&bytes, &door(), &key(&BOX)).expect("telemetry");
                assert_eq!((taken.telemetry.series.len(), taken.passed_over), (6, 0));
            }
            "admitted" => {
                let page = AdmittedPage::decode(&bytes, (&exam(), &door(), 0), &key(&BOX)).expect("a page");
                assert_eq!(page.rows.iter().map(|row| row.at.is_some()).collect::<Vec<_>>(), [true, false]);
            }
            "lostCards" => {
                assert!(LostCards::decode(&bytes, &[key(&COMMAND)]).is_ok_and(|list| list.cards.len() == 1));
            }
            "trust" => assert!(TrustDocument::decode(&bytes, &key(&ROOT)).is_ok_and(|read| read.keys.len() == 5)),
            other => panic!("who reads {other}?"),
        }
        only_this_shape(name, &schema, &example["payload"]);
    }
    assert!(outdated.is_empty(), "these examples are as the code writes them today:\n{}", outdated.join("\n"));
}

/// A signed message has these fields, no fewer and no more.
fn only_this_shape(name: &str, schema: &Schema, good: &Value) {
    for field in object(good).keys() {
        let mut less = good.clone();
        less.as_object_mut().expect("an object").remove(field);
        assert!(schema.takes(&less).is_err(), "the schema of {name} does not miss {field}");
    }
    let mut more = good.clone();
    more["more"] = 1.into();
    assert!(schema.takes(&more).is_err(), "the schema of {name} takes an unknown field");
    let mut other = good.clone();
    other["v"] = 99.into();
    assert!(schema.takes(&other).is_err(), "the schema of {name} takes another version");
}

#[test]
fn examples_of_states_and_chunks_are_read() {
    let document = document();
    let messages = &document["components"]["messages"];
    let schema = Schema::of("State");
    for example in messages["state"]["examples"].as_array().expect("examples") {
        let payload = &example["payload"];
        schema.takes(payload).expect("valid");
        let read = DeviceState::decode(payload.to_string().as_bytes()).unwrap_or_else(|| panic!("no state: {payload}"));
        schema.takes(&serde_json::from_slice(&read.encode()).expect("JSON")).expect("valid");
        assert!(schema.takes(&json!({ "v": 1, "status": "online" })).is_err());
    }
    let [index] = messages["chunk"]["examples"].as_array().expect("examples").as_slice() else {
        panic!("chunk wants one example: {}", hex::encode(Digest::of(b"a sealed bundle").as_bytes()))
    };
    Schema::at("/components/messages/chunk/payload").takes(&index["payload"]).expect("valid");
    let listed = chunk::index(&bytes(&index["payload"]), 15).expect("an index of one chunk");
    assert_eq!(listed, [Digest::of(b"a sealed bundle")]);
}

#[test]
fn events_are_as_their_schema_says() {
    let (document, schema) = (document(), Schema::of("Event"));
    let written: Vec<Value> = events().iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
    let examples = document["components"]["schemas"]["Event"]["examples"].as_array().expect("examples");
    assert_eq!(examples, &written, "the examples are {}", json!(written));
    for example in examples {
        schema.takes(example).unwrap_or_else(|error| panic!("{error}"));
        for field in object(example).keys() {
            let mut less = example.clone();
            less.as_object_mut().expect("an object").remove(field);
            assert!(schema.takes(&less).is_err(), "an event without {field} is taken");
        }
    }
    // A field that may be missing: in no example, so it is told from what older boxes leave out.
    let mut timed = events().swap_remove(0);
    let EventKind::Verification(verification) = &mut timed.kind else { panic!("{timed:?}") };
    verification.card_took = Some(Duration::from_millis(38));
    let mut timed = serde_json::to_value(timed).expect("JSON");
    assert_eq!(timed["card_ms"], 38);
    schema.takes(&timed).unwrap_or_else(|error| panic!("{error}"));
    timed["card_ms"] = (-1).into();
    assert!(schema.takes(&timed).is_err(), "a negative time is taken");
    let answers = reasons().flat_map(|reason| [Decision::Deny(reason), Decision::Refer(reason)]);
    for decision in answers.chain([Decision::Admit]) {
        let event = serde_json::to_value(verified(1, "MATH", Some(1), decision)).expect("JSON");
        schema.takes(&event).unwrap_or_else(|error| panic!("{error}"));
    }
    let mut unknown = examples[0].clone();
    unknown["decision"]["reason"]["code"] = "bad_hair".into();
    assert!(schema.takes(&unknown).is_err());
}

/// The words that `T` is written with: serde names them where it meets another.
fn words<T: DeserializeOwned>(other: Value) -> BTreeSet<String> {
    let Err(error) = serde_json::from_value::<T>(other) else { panic!("there is such a word") };
    error.to_string().split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn lists_of_words_are_those_of_the_code() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let other = || json!("?");
    let measured = "/Verification/properties/measured/properties";
    for (pointer, words) in [
        ("/State/properties/status".to_owned(), words::<Status>(other())),
        ("/Reported/properties/refused/oneOf/1/properties/reason".into(), words::<RefusalReason>(other())),
        ("/Reported/properties/trust/properties/refused/oneOf/1".into(), words::<TrustRefusal>(other())),
        ("/Trust/properties/keys/items/properties/purpose".into(), words::<Purpose>(other())),
        ("/Trust/properties/keys/items/properties/may/items".into(), words::<Right>(other())),
        ("/Answer/properties/refusal/oneOf/1".into(), words::<CommandRefusal>(other())),
        ("/Commanded/properties/answer/properties/outcome".into(), words::<CommandOutcome>(json!({ "outcome": "?" }))),
        ("/Event/properties/clock".into(), words::<ClockTrust>(other())),
        ("/Telemetry/properties/clock".into(), words::<ClockTrust>(other())),
        ("/Event/properties/kind".into(), words::<EventKind>(json!({ "kind": "?" }))),
        ("/Verification/properties/profile".into(), words::<CredentialProfile>(other())),
        ("/Verification/properties/decision/properties/outcome".into(), words::<Decision>(json!({ "outcome": "?" }))),
        (format!("{measured}/liveness/properties/assessed"), words::<Liveness>(json!({ "assessed": "?" }))),
        (format!("{measured}/liveness/properties/cue"), words::<Cue>(other())),
        (format!("{measured}/worst"), words::<Shortfall>(other())),
        ("/Reason/properties/code".into(), words::<Reason>(json!({ "code": "?" }))),
        ("/Reason/properties/detail".into(), words::<QualityDefect>(other())),
        ("/Ruling/properties/verdict".into(), words::<Verdict>(other())),
        ("/Ruling/properties/ground".into(), words::<Ground>(other())),
    ] {
        let listed = schemas.pointer(&format!("{pointer}/enum")).and_then(Value::as_array);
        let listed = listed.unwrap_or_else(|| panic!("{pointer} lists no words"));
        let listed: BTreeSet<String> = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        assert_eq!(listed, words, "{pointer}");
    }
}

#[test]
fn the_document_is_asyncapi_3() {
    let document = document();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut references = Vec::new();
    gather(&document, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leaves the document"));
        assert!(document.pointer(pointer).is_some(), "{reference} names nothing");
    }
}

/// Every `$ref`.
fn gather(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| gather(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| gather(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

//! The card against what others have published, and its states.
//!
//! The tables are those of NXP's AN12196, whose card has the same authentication and secure messaging as DESFire EV2. The transcripts of
//! EV1 are those in the tests of the crate `desfire` 0.2.0-alpha3.

use super::{
    channel::{Ev1, Ev2, Sent},
    *,
};
use crate::rig::cards::aes::{decipher, encipher};

const ZEROS: Block = [0; 16];

const UID: [u8; 7] = [0x04, 0x95, 0x8C, 0xAA, 0x5C, 0x5E, 0x80];

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

fn block(text: &str) -> Block {
    bytes(text).try_into().unwrap()
}

fn said(card: &mut Desfire, command: &str) -> String {
    let Said::Answer(answer) = card.answer(&bytes(command)) else { panic!("it answers") };
    hex::encode(answer)
}

/// Sends each command and compares with the answer beside it.
fn plays(card: &mut Desfire, script: &[(&str, &str)]) {
    for (command, answer) in script {
        assert_eq!(said(card, command), answer.replace(' ', ""), "{command}");
    }
}

/// Three files of 128 bytes: of number 1 in plain, 2 with a MAC, 3 enciphered, all of key 0; 4 is free and 5 is nobody's.
fn card(generation: Generation) -> Desfire {
    let contents: Vec<u8> = (0..128).collect();
    let file = |mode, access| File::new(mode, access, &contents);
    let application = Application::new([0xF5, 0x1C, 0xDB], &[ZEROS; 3])
        .with(1, file(Mode::Plain, Access::Key(0)))
        .with(2, file(Mode::Mac, Access::Key(0)))
        .with(3, file(Mode::Full, Access::Key(0)))
        .with(4, file(Mode::Full, Access::Free))
        .with(5, File { access: [Access::Never; 4], ..file(Mode::Full, Access::Never) });
    Desfire::new(generation, UID).with(application)
}

const SELECT: (&str, &str) = ("905a000003 db1cf5 00", "9100");

/// The card with its application selected and this session of key 0.
fn within(channel: Channel) -> Desfire {
    let mut card = card(Generation::Ev2);
    plays(&mut card, &[SELECT]);
    card.power.channel = channel;
    card.power.proved = Some(0);
    card
}

fn session(enciphering: &str, macing: &str, transaction: &str, counter: u16) -> Channel {
    let transaction = bytes(transaction).try_into().unwrap();
    Channel::Ev2(Ev2 { enciphering: block(enciphering), macing: block(macing), transaction, counter })
}

#[test]
fn ev2_is_proved_and_written_to_as_in_tables_14_and_17() {
    let contents = [
        &bytes("0051d1014d550463686f6f73652e75726c2e636f6d2f6e7461673432343f653d")[..],
        &[b'0'; 32],
        b"&c=",
        &[b'0'; 16],
    ];
    let mut contents = contents.concat();
    contents.resize(128, 0);
    let mut card = card(Generation::Ev2).drawing([bytes("b9e2fc789b64bf237cccaa20ec7e6e48"), bytes("9d00c4df")]);
    card.applications[1].files.insert(2, File::new(Mode::Full, Access::Key(0), &[0; 256]));
    plays(
        &mut card,
        &[
            SELECT,
            ("9071000002000000", "a04c124213c186f22399d33ac2a3021591af"),
            (
                "90af00002035c3e05a752e0144bac0de51c1f22c56b34408a23d8aea266cab947ea8e0118d00",
                "3fa64db5446d1f34cd6ea311167f5e4985b89690c04a05f17fa7ab2f081206639100",
            ),
        ],
    );
    let Channel::Ev2(ev2) = &card.power.channel else { panic!("a session") };
    assert_eq!(ev2.enciphering, block("1309c877509e5a215007ff0ed19ca564"));
    assert_eq!(ev2.macing, block("4c6626f5e72ea694202139295c7a7fc7"));
    let write = "908d00009f 02 000000 800000
        421c73a27d827658af481fdff20a5025b559d0e3aa21e58d347f343cffc768bfe596c706bc00f2176781d4b0242642a0ff5a42c461aaf894d9
        a1284b8c76bcfa658acd40555d362e08db15cf421b51283f9064bcbe20e96cae545b407c9d651a3315b27373772e5da2367d2064ae054af996
        c6f1f669170fa88ce8c4e3a4a7bbbef0fd971ff532c3a802af745660f2b4
        d1d9a8499661ebf3 00"
        .replace(['\n', ' '], "");
    plays(&mut card, &[(&write, "fc222e5f7a542452 9100")]);
    assert_eq!(card.applications[1].files[&2].contents[..128], contents);
}

/// The tables have no APDUs for the second authentication: its challenge is enciphered here.
#[test]
fn a_session_goes_on_with_another_key_as_in_tables_23_to_26() {
    let [reader, drawn] = ["60be759eda560250ac57cddc11743cf6", "6924e8d09722659a2e7dec68e66312b8"].map(block);
    let mut card = within(session(&"00".repeat(16), &"00".repeat(16), "7614281a", 1)).drawing([drawn.to_vec()]);
    let challenge = format!("{}91af", hex::encode(encipher(&ZEROS, &ZEROS, &drawn)));
    plays(&mut card, &[("90770000010000", &challenge)]);
    let mut turned = [reader, drawn];
    turned.iter_mut().for_each(|block| block.rotate_left(1));
    let answer = encipher(&ZEROS, &ZEROS, &[reader, turned[1]].concat());
    let proof = format!("{}9100", hex::encode(encipher(&ZEROS, &ZEROS, &turned[0])));
    plays(&mut card, &[(&format!("90af000020{}00", hex::encode(answer)), &proof)]);
    let Channel::Ev2(ev2) = &card.power.channel else { panic!("a session") };
    assert_eq!(ev2.enciphering, block("4cf3cb41a22583a61e89b158d252fc53"));
    assert_eq!(ev2.macing, block("5529860b2fc5fb6154b7f28361d30bf9"));
    plays(
        &mut card,
        &[
            ("908d000019 01 0e0000 120000 ff0506e10500808283000000000000000000 00", "9100"),
            (
                "90c4000029 02 2cf362b7bf4311ff3be1daa295e8c68de09050560d19b9e16c2393ae9cd1fac7 5d0ce20bcd1d06e6 00",
                "203bb55d1089d587 9100",
            ),
            (
                "90c4000029 00 c0eb4deefeddf0b513a03a95a75491818580503190d4d05053ff75668a01d6fd a6610234bded6432 00",
                "9100",
            ),
        ],
    );
    let keys = &card.selected().keys;
    assert_eq!(keys[2].bytes, block("f3847d627727ed3bc9c4cc050489b966"));
    assert_eq!(keys[0].bytes, block("5004bf991f408672b1ef00f08f9e8647"));
    assert!(card.power.proved.is_none(), "who proved the old key has proved nothing any more");
}

#[test]
fn its_own_identifier_is_told_as_in_table_28() {
    let keys = session("2b4d963c014dc36f24f69a50a394f875", "379d32130ce61705dd5fd8c36b95d764", "df055522", 0);
    let told = "70756055688505b52a5e26e59e329cd6 595f672298ea41b7 9100";
    plays(&mut within(keys), &[("9051000008 8e2c155adda99be3 00", told)]);
}

#[test]
fn a_command_and_its_answer_have_the_macs_of_table_7() {
    let mut channel = session(&"00".repeat(16), "8248134a386e86eb7faf54a52e536cb6", "7a21085e", 0);
    let sent = bytes("02 6597a457c8cd442c");
    let sent = Sent { command: 0xF5, bytes: &sent, header: 1, data: None, after: 0 };
    assert_eq!(channel.accept(&sent, Mode::Mac), Ok(Vec::new()));
    let answer = bytes("0040eeee000100d1fe001f00004400004400002000006a0000");
    assert_eq!(channel.secure(&answer, Mode::Mac, false), [&answer[..], &bytes("2a474282e7a47986")].concat());
}

#[test]
fn ev1_is_proved_as_in_a_published_transcript() {
    let challenge = "a33856932308775cf464610c2b17a558";
    let drawn = decipher(&ZEROS, &ZEROS, &bytes(challenge)).unwrap();
    let mut card = card(Generation::Ev1).drawing([drawn]);
    plays(
        &mut card,
        &[
            SELECT,
            ("90aa0000010000", &format!("{challenge}91af")),
            (
                "90af000020cbe9726faf54bc76b2055d0b9700e7dc97ecad5627f1d1702a16e8408d2a0ada00",
                "8fdc476f6bac44fe9150e285abd68d489100",
            ),
        ],
    );
    let Channel::Ev1(ev1) = &card.power.channel else { panic!("a session") };
    assert_eq!((ev1.key, ev1.iv), (block("2176770e11c512ca201d1e57fde6e15a"), ZEROS));
}

#[test]
fn ev1_takes_keys_as_in_published_transcripts() {
    let new = block("25432a462d4a614e645267556b587032");
    let within = |key| within(Channel::Ev1(Ev1 { key: block(key), iv: ZEROS }));
    let mut own = within("a8514dd0350f3dfbc86e80744bcc9b57");
    let command = "90c4000021 00 c2b54a718d0251845653199909bb32e8e38bd6719e8dc21799c29c922a0984fc 00";
    plays(&mut own, &[(command, "9100")]);
    assert_eq!((own.selected().keys[0].bytes, own.selected().keys[0].version), (new, 0x10));

    let mut other = within("1677623e1e158a62dc3d128db55f947d");
    let command = "90c4000021 01 a8c5a61a06f56f38dc91266fed2e87dc00a5ad72a634ff0e62c8d6d80707dd60 00";
    assert!(said(&mut other, command).ends_with("9100"));
    assert_eq!((other.selected().keys[1].bytes, other.selected().keys[1].version), (new, 0x10));
}

#[test]
fn each_refusal_has_its_status() {
    let table: &[&[(&str, &str)]] = &[
        &[("905a000003 563412 00", "91a0")],
        &[("905a000002 5634 00", "917e")],
        &[("905a000004 5634 00", "917e")],
        &[("9099000000", "911c")],
        &[("90af000000", "911c")],
        &[("9051000000", "91ae")],
        &[SELECT, ("90aa00000109 00", "9140")],
        &[SELECT, ("9071000003 000000 00", "917e")],
        &[SELECT, ("9077000001 00 00", "919d")],
        &[SELECT, ("90bd000007 01 000000 100000 00", "91ae")],
        &[SELECT, ("90bd000007 05 000000 100000 00", "919d")],
        &[SELECT, ("90bd000007 09 000000 100000 00", "91f0")],
        &[SELECT, ("90bd000007 04 700000 200000 00", "91be")],
        &[SELECT, ("90bd000006 04 000000 0100 00", "917e")],
        &[SELECT, ("90ad000007 04 000000 040000 00", "00010203 9100")],
        &[SELECT, ("90bd000007 04 040000 040000 00", "04050607 9100")],
        &[SELECT, ("906a000000", "919d")],
        &[SELECT, ("90640000010100", "00 9100"), ("9064000001 09 00", "9140")],
        &[("906f000000", "919d"), ("906a000000", "db1cf5 9100")],
        &[("ffca000000", "04958caa5c5e80 9000"), ("ffca010000", "6d00"), ("9060010000", "6a86")],
        &[("00a4040007 d2760000850100 00", "9000"), ("00a4040009 4f53452e5641532e3031 00", "6a82")],
        &[
            ("00b0000000", "6d00"),
            ("", "6700"),
            ("5adb1cf5", "00"),
            ("6f", "00 0102030405"),
            ("f504", "00 00 03 00e0 800000"),
        ],
    ];
    for script in table {
        plays(&mut card(Generation::Ev3), script);
    }
    for unknown in ["9071000002000000", "90770000010000", "90ad0000070100000010000000"] {
        plays(&mut card(Generation::Ev1), &[(unknown, "911c")]);
    }
    let mut reticent = Desfire::new(Generation::Ev2, UID).with(Application::new([1, 2, 3], &[ZEROS]).reticent());
    plays(&mut reticent, &[("905a00000303020100", "9100"), ("906f000000", "91ae"), ("90f5000001 01 00", "91ae")]);
}

#[test]
fn long_answers_come_in_frames_and_nothing_may_come_between() {
    let mut card = card(Generation::Ev2);
    plays(&mut card, &[SELECT]);
    let all: Vec<String> =
        ["90bd000007 04 000000 000000 00", "90af000000", "90af000000"].map(|c| said(&mut card, c)).into();
    assert_eq!(all.iter().map(|answer| answer.len() / 2 - 2).collect::<Vec<_>>(), [59, 59, 10]);
    assert!(all[0].ends_with("91af") && all[1].ends_with("91af") && all[2].ends_with("9100"));
    let whole: String = all.iter().map(|answer| &answer[..answer.len() - 4]).collect();
    assert_eq!(whole, hex::encode((0..128).collect::<Vec<u8>>()));
    plays(&mut card, &[("90af000000", "911c")]);
    assert!(said(&mut card, "9060000000").ends_with("91af"));
    plays(&mut card, &[("906f000000", "91ca"), ("906f000000", "0102030405 9100")]);
    assert!(said(&mut card, "90aa0000010000").ends_with("91af"));
    plays(&mut card, &[("906f000000", "91ca"), ("90af000000", "911c")]);
}

#[test]
fn a_wrong_half_and_any_error_leave_nobody_authenticated() {
    for authenticate in ["90aa0000010000", "9071000002000000"] {
        let mut card = card(Generation::Ev2);
        plays(&mut card, &[SELECT]);
        for (half, status) in [("11".repeat(32), "91ae"), ("11".repeat(16), "917e"), ("11".repeat(31), "917e")] {
            assert!(said(&mut card, authenticate).ends_with("91af"));
            plays(&mut card, &[(&format!("90af0000{:02x}{half}00", half.len() / 2), status), ("90af000000", "911c")]);
        }
    }
    let keys = || session(&"00".repeat(16), &"00".repeat(16), "00000000", 0);
    let table = [
        // A wrong MAC, none, a file that is not there, an application, power.
        ("9051000008 0000000000000000 00", "911e"),
        ("9051000000", "917e"),
        ("90bd000007 09 000000 100000 00", "91f0"),
        ("905a000003 db1cf5 00", "9100"),
    ];
    for (command, status) in table {
        let mut card = within(keys());
        plays(&mut card, &[(command, status), ("9051000000", "91ae")]);
    }
    let mut card = within(keys());
    card.lose_power();
    plays(&mut card, &[("9051000000", "91ae"), ("906a000000", "db1cf5 9100")]);
}

#[test]
fn a_random_identifier_is_another_at_each_tap_and_the_own_one_is_told_to_nobody() {
    let mut card = card(Generation::Ev3).with_random_identifier();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let told = said(&mut card, "ffca000000");
        assert!(told.starts_with("08") && told.len() == 12, "{told}");
        assert_eq!(said(&mut card, "ffca000000"), told, "the same within a tap");
        seen.push(told);
        card.lose_power();
    }
    seen.dedup();
    assert!(seen.len() > 1);
    said(&mut card, "9060000000");
    said(&mut card, "90af000000");
    assert!(said(&mut card, "90af000000").starts_with(&"00".repeat(7)));
}

#[test]
fn each_generation_says_which_it_is() {
    for (generation, major) in [(Generation::Ev1, "01"), (Generation::Ev2, "12"), (Generation::Ev3, "33")] {
        let mut card = card(generation);
        let told = said(&mut card, "9060000000");
        assert!(told.starts_with(&format!("040101{major}")) && told.ends_with("91af"), "{told}");
    }
}

//! One box and one fleet in simulated time: manifests and chunks that are lost, doubled, late and forged, and a box that is
//! restarted at any moment.
//!
//! Over 400 lines, and still read at one sitting: one short story after the other.

use proptest::prelude::*;

use super::*;
use crate::wire::{chunk::cut, keys::SigningKey};

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn id(name: &str) -> ExamId {
    ExamId::new(name).expect("valid")
}

fn party() -> Party {
    Party {
        device: DeviceId::new("door-1").expect("valid"),
        keys: vec![key().public()],
        space: EmbeddingSpaceId::new("space"),
        recipient: "age1".into(),
    }
}

fn wall() -> Wall {
    Wall { shows: "2026-12-14T08:00:00Z".parse().expect("a time"), is_trusted: true }
}

/// A roster on its way: what a manifest says of it, and its pieces by name.
type Sent = (Wanted, Vec<(Digest, Vec<u8>)>);

fn roster(exam: &str, version: u64, length: usize) -> Sent {
    let seed = exam.len() as u64 * 31 + version;
    // No two pieces are alike.
    let byte = |n: u64| (n.wrapping_mul(seed + 7) >> 3) as u8 ^ (n >> 15) as u8 ^ seed as u8;
    let sealed: Vec<u8> = (0..length as u64).map(byte).collect();
    let cut = cut(&sealed).expect("short enough");
    let wanted = Wanted {
        exam: id(exam),
        version: RosterVersion(version),
        expires: "2026-12-20T00:00:00Z".parse().expect("a time"),
        space: EmbeddingSpaceId::new("space"),
        whole: cut.whole,
        size: cut.size,
        index: cut.index,
        difference: None,
    };
    (wanted, cut.chunks)
}

/// The same roster, and a difference to it from the one before.
fn with_difference(before: &Wanted, (mut wanted, mut chunks): Sent) -> Sent {
    let sealed = format!("from {} to {} of {}", before.version.0, wanted.version.0, wanted.exam).repeat(50);
    let cut = cut(sealed.as_bytes()).expect("short enough");
    chunks.extend(cut.chunks);
    wanted.difference = Some(WantedDifference {
        base: before.version,
        from: before.whole,
        whole: cut.whole,
        size: cut.size,
        index: cut.index,
    });
    (wanted, chunks)
}

fn manifest(serial: u64, exams: &[&Wanted], erase: &[&str]) -> Vec<u8> {
    let exams = exams.iter().map(|&wanted| wanted.clone()).collect();
    let erase = erase.iter().map(|name| id(name)).collect();
    Desired { device: party().device, serial, exams, erase }.encode(&key()).expect("it fits")
}

/// A box: its disk outlives the plan.
struct Door {
    plan: Plan,
    now: MonoTime,
    wall: Wall,
    manifest: Option<Vec<u8>>,
    chunks: BTreeMap<Digest, Vec<u8>>,
    held: BTreeMap<ExamId, Held>,
    reports: Vec<Reported>,
    /// When used prekeys were destroyed.
    retired: Vec<MonoTime>,
    /// Versions whose difference does not lead to them.
    unfit: BTreeSet<u64>,
    /// Versions that came by a difference.
    by_difference: Vec<u64>,
}

impl Door {
    fn new() -> Self {
        let plan = Plan::new(party(), BTreeMap::new(), BTreeSet::new(), None);
        let (chunks, held) = (BTreeMap::new(), BTreeMap::new());
        Self {
            plan,
            now: MonoTime::default(),
            wall: wall(),
            manifest: None,
            chunks,
            held,
            reports: vec![],
            retired: vec![],
            unfit: BTreeSet::new(),
            by_difference: vec![],
        }
    }

    fn restart(&mut self) {
        let kept = self.chunks.keys().copied().collect();
        self.plan = Plan::new(party(), self.held.clone(), kept, self.manifest.as_deref());
        self.plan.line_up();
    }

    fn desired(&mut self, bytes: &[u8]) -> Judged {
        let judged = self.plan.desired(bytes);
        if judged == Judged::InForce {
            self.manifest = Some(bytes.to_vec());
        }
        judged
    }

    fn chunk(&mut self, digest: Digest, bytes: &[u8]) {
        if self.plan.wants(&digest, bytes) {
            self.chunks.insert(digest, bytes.to_vec());
            self.plan.kept(digest, bytes, self.now);
        }
    }

    /// Does what there is to do, until the box only waits. Gives what it says.
    fn turn(&mut self) -> Vec<Reported> {
        let mut said = Vec::new();
        for _ in 0..1000 {
            match self.plan.next(self.now, self.wall) {
                Next::Report(report) => said.push(*report),
                Next::Read(digest) => {
                    let bytes = self.chunks[&digest].clone();
                    self.plan.kept(digest, &bytes, self.now);
                }
                Next::Apply(wanted, pieces) => {
                    let pieces: Vec<&Vec<u8>> = pieces.iter().map(|digest| &self.chunks[digest]).collect();
                    let whole = chunk::assemble(&pieces, wanted.whole, wanted.size);
                    let done = whole.map(drop).map_err(|_| RefusalReason::Damaged);
                    if done.is_ok() {
                        let held = Held { version: wanted.version, whole: Some(wanted.whole) };
                        let before = self.held.insert(wanted.exam.clone(), held);
                        assert!(before.is_none_or(|before| before.version < wanted.version), "versions only rise");
                    }
                    self.plan.applied(&wanted, done, self.now);
                }
                Next::ApplyDifference(wanted, pieces) => {
                    let difference = wanted.difference.as_ref().expect("it is named");
                    let base = Held { version: difference.base, whole: Some(difference.from) };
                    assert_eq!(self.held.get(&wanted.exam), Some(&base), "from the edition held only");
                    let pieces: Vec<&Vec<u8>> = pieces.iter().map(|digest| &self.chunks[digest]).collect();
                    chunk::assemble(&pieces, difference.whole, difference.size).expect("each piece has its digest");
                    if self.unfit.contains(&wanted.version.0) {
                        self.plan.unfit(&wanted.exam);
                    } else {
                        let held = Held { version: wanted.version, whole: Some(wanted.whole) };
                        self.held.insert(wanted.exam.clone(), held);
                        self.by_difference.push(wanted.version.0);
                        self.plan.applied(&wanted, Ok(()), self.now);
                    }
                }
                Next::Erase(exam) => {
                    self.held.remove(&exam);
                    self.plan.erased(&exam, true, self.now);
                }
                Next::Retire => self.retired.push(self.now),
                Next::Forget(digests) => {
                    for digest in digests {
                        self.chunks.remove(&digest);
                        self.plan.lost(&digest);
                    }
                }
                Next::Wait(_) => {
                    self.reports.extend(said.iter().cloned());
                    return said;
                }
            }
        }
        panic!("it goes round in circles");
    }

    /// Serves everything asked for, without faults, until nothing is missing.
    fn settle(&mut self, store: &BTreeMap<Digest, Vec<u8>>) {
        for _ in 0..1000 {
            let said = self.turn();
            let missing: Vec<Digest> = said.iter().flat_map(|report| report.missing.clone()).collect();
            if missing.is_empty() && self.plan.asked.is_empty() {
                return;
            }
            for digest in missing.iter().filter(|digest| store.contains_key(digest)) {
                self.chunk(*digest, &store[digest]);
            }
            self.now = self.now.after(LONGEST);
        }
        panic!("it never settles");
    }

    fn version(&self, exam: &str) -> Option<u64> {
        self.held.get(&id(exam)).map(|held| held.version.0)
    }

    fn refusal(&self) -> Option<RefusalReason> {
        self.plan.refused().map(|refused| refused.reason)
    }
}

fn store(rosters: &[&Sent]) -> BTreeMap<Digest, Vec<u8>> {
    rosters.iter().flat_map(|(_, chunks)| chunks.clone()).collect()
}

#[test]
fn a_roster_is_asked_for_in_windows_applied_and_its_chunks_forgotten() {
    let roster = roster("MATH", 1, 40 * chunk::MAX_CHUNK);
    let mut door = Door::new();
    door.plan.line_up();
    assert_eq!(door.desired(&manifest(1, &[&roster.0], &[])), Judged::InForce);
    door.settle(&store(&[&roster]));
    assert_eq!((door.version("MATH"), door.refusal(), door.chunks.len()), (Some(1), None, 0));
    let asked: Vec<usize> = door.reports.iter().map(|report| report.missing.len()).collect();
    assert_eq!(asked, [1, 16, 16, 8, 0], "the index, then a window at a time, then what is held");
    let last = door.reports.last().expect("reported");
    assert_eq!((last.serial, last.held[0].whole), (1, Some(roster.0.whole)));
}

#[test]
fn what_may_not_be_is_refused_reported_and_the_roster_before_stays() {
    let two = roster("MATH", 2, 1000);
    let wrong = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = roster("MATH", 3, 2000).0;
        change(&mut wanted);
        manifest(6, &[&wanted], &[])
    };
    let mut tampered = manifest(6, &[&two.0], &[]);
    tampered[60] ^= 1;
    let elsewhere =
        Desired { device: DeviceId::new("door-2").expect("valid"), serial: 9, exams: vec![], erase: vec![] };
    let conflicting = roster("MATH", 2, 1001).0;
    let cases: [(&str, Vec<u8>, RefusalReason); 10] = [
        ("rolled back", manifest(6, &[&roster("MATH", 1, 500).0], &[]), RefusalReason::RolledBack),
        ("replayed", manifest(4, &[&two.0], &[]), RefusalReason::Replayed),
        ("another of this serial", manifest(5, &[], &[]), RefusalReason::Replayed),
        ("other content", manifest(6, &[&conflicting], &[]), RefusalReason::Conflicting),
        ("another box", elsewhere.encode(&key()).expect("fits"), RefusalReason::OtherDevice),
        ("another key", elsewhere.encode(&SigningKey::from_seed(&[8; 32])).expect("fits"), RefusalReason::NotSigned),
        ("tampered", tampered, RefusalReason::NotSigned),
        ("another space", wrong(&|w| w.space = EmbeddingSpaceId::new("other")), RefusalReason::OtherSpace),
        ("an index too short", wrong(&|w| w.size = 2 * chunk::MAX_CHUNK as u64), RefusalReason::Damaged),
        ("another whole", wrong(&|w| w.whole = Digest::of(b"other")), RefusalReason::Damaged),
    ];
    for (name, bytes, reason) in cases {
        let mut door = Door::new();
        door.plan.line_up();
        door.desired(&manifest(5, &[&two.0], &[]));
        let all = store(&[&two, &roster("MATH", 3, 2000)]);
        door.settle(&all);
        door.desired(&bytes);
        door.settle(&all);
        assert_eq!((door.version("MATH"), door.refusal()), (Some(2), Some(reason)), "{name}");
        let told = door.reports.last().expect("reported");
        assert_eq!((told.refused.as_ref().map(|r| r.reason), told.held[0].version.0), (Some(reason), 2), "{name}");
        let reports = door.reports.len();
        door.desired(&bytes);
        door.settle(&all);
        assert!(door.reports.len() <= reports + 1, "{name}: told once");
    }
}

#[test]
fn expired_is_refused_or_erased_but_only_by_a_clock_that_is_believed() {
    let math = roster("MATH", 1, 100);
    let late: Timestamp = "2026-12-21T00:00:00Z".parse().expect("a time");
    let mut door = Door::new();
    door.plan.line_up();
    door.wall = Wall { shows: late, is_trusted: false };
    door.desired(&manifest(1, &[&math.0], &[]));
    door.settle(&store(&[&math]));
    assert_eq!(door.version("MATH"), Some(1), "a clock that nobody believes expires nothing");
    door.wall.is_trusted = true;
    door.settle(&store(&[&math]));
    assert_eq!((door.version("MATH"), door.refusal()), (None, None), "erased by the box alone");
    door.restart();
    door.settle(&store(&[&math]));
    assert_eq!((door.version("MATH"), door.refusal()), (None, None), "nor asked for again after a restart");
    door.desired(&manifest(2, &[&math.0], &[]));
    door.settle(&store(&[&math]));
    assert_eq!((door.version("MATH"), door.refusal()), (None, Some(RefusalReason::Expired)));
}

#[test]
fn a_box_with_the_base_fetches_the_difference_only_and_every_other_box_the_whole() {
    let one = roster("MATH", 1, 90_000);
    let two = with_difference(&one.0, roster("MATH", 2, 90_000));
    let difference = two.0.difference.clone().expect("named");
    let (first, second) = (manifest(1, &[&one.0], &[]), manifest(2, &[&two.0], &[]));
    let door = |manifests: &[&[u8]]| {
        let mut door = Door::new();
        door.plan.line_up();
        for bytes in manifests {
            door.desired(bytes);
            door.settle(&store(&[&one, &two]));
        }
        let asked: BTreeSet<_> = door.reports.iter().flat_map(|report| report.missing.clone()).collect();
        (door, asked)
    };
    let (with_base, asked) = door(&[&first, &second]);
    assert!(asked.contains(&difference.index) && !asked.contains(&two.0.index), "the difference only");
    assert_eq!(with_base.by_difference, [2]);
    let (sleeper, asked) = door(&[&second]);
    assert!(!asked.contains(&difference.index) && asked.contains(&two.0.index), "the whole only");
    assert_eq!((sleeper.by_difference.len(), &sleeper.held), (0, &with_base.held), "both hold the same");
    assert!(with_base.chunks.is_empty() && sleeper.chunks.is_empty());

    // Another edition of the very version: its digest is another one.
    let other = roster("MATH", 1, 80_000);
    let mut elsewhere = Door::new();
    elsewhere.plan.line_up();
    elsewhere.desired(&manifest(1, &[&other.0], &[]));
    elsewhere.settle(&store(&[&other]));
    elsewhere.desired(&second);
    elsewhere.settle(&store(&[&two]));
    assert_eq!((elsewhere.version("MATH"), elsewhere.by_difference.len()), (Some(2), 0));
}

#[test]
fn a_difference_that_does_not_lead_there_gives_way_to_the_whole() {
    let one = roster("MATH", 1, 90_000);
    let two = with_difference(&one.0, roster("MATH", 2, 90_000));
    let mut wrong = two.clone();
    // An index of other pieces than it has.
    wrong.0.difference.as_mut().expect("named").size = 5 * chunk::MAX_CHUNK as u64;
    for (name, sent, unfit) in [("another edition", &two, Some(2)), ("a wrong index", &wrong, None)] {
        let mut door = Door::new();
        door.unfit.extend(unfit);
        door.plan.line_up();
        door.desired(&manifest(1, &[&one.0], &[]));
        door.settle(&store(&[&one]));
        door.desired(&manifest(2, &[&sent.0], &[]));
        door.settle(&store(&[sent]));
        assert_eq!((door.version("MATH"), door.refusal(), door.by_difference.len()), (Some(2), None, 0), "{name}");
        assert!(door.chunks.is_empty(), "{name}");
    }
}

#[test]
fn what_is_here_of_the_whole_stays_while_a_difference_is_tried() {
    let one = roster("MATH", 1, 90_000);
    let two = with_difference(&one.0, roster("MATH", 2, 40 * chunk::MAX_CHUNK));
    let mut door = Door::new();
    door.unfit.insert(2);
    door.plan.line_up();
    door.desired(&manifest(1, &[&one.0], &[]));
    door.settle(&store(&[&one]));
    door.desired(&manifest(2, &[&two.0], &[]));
    let index = two.0.index;
    // The difference is tried and found unfit; then the index of the whole and some of it come.
    let all = store(&[&two]);
    for _ in 0..6 {
        let missing: Vec<Digest> = door.turn().iter().flat_map(|report| report.missing.clone()).collect();
        missing.iter().take(5).for_each(|digest| door.chunk(*digest, &all[digest]));
        door.now = door.now.after(LONGEST);
    }
    assert!(door.chunks.contains_key(&index) && door.chunks.len() > 5, "{}", door.chunks.len());
    let kept = door.chunks.len();
    door.restart();
    // The box does not know any more that the difference is unfit: it asks for it again, and forgets nothing.
    door.turn();
    assert_eq!(door.chunks.len(), kept);
    door.settle(&all);
    assert_eq!((door.version("MATH"), door.by_difference.len()), (Some(2), 0));
}

#[test]
fn an_exam_is_erased_when_the_fleet_says_so() {
    let (math, bio) = (roster("MATH", 1, 100), roster("BIO", 4, 90_000));
    let mut door = Door::new();
    door.plan.line_up();
    door.desired(&manifest(1, &[&math.0, &bio.0], &[]));
    door.settle(&store(&[&math, &bio]));
    assert_eq!((door.version("MATH"), door.version("BIO")), (Some(1), Some(4)));
    door.desired(&manifest(2, &[&bio.0], &["MATH"]));
    door.settle(&store(&[]));
    assert_eq!((door.version("MATH"), door.version("BIO")), (None, Some(4)));
}

#[test]
fn a_disk_that_fails_is_reported_and_tried_again() {
    let math = roster("MATH", 1, 100);
    let mut door = Door::new();
    door.plan.line_up();
    door.desired(&manifest(1, &[&math.0], &[]));
    door.plan.storage_failed(Some(&math.0), door.now);
    let said = door.turn();
    assert_eq!(said.last().and_then(|report| report.refused.clone()).map(|r| r.reason), Some(RefusalReason::Storage));
    assert!(said.iter().all(|report| report.missing.is_empty()), "nothing is asked for meanwhile");
    door.now = door.now.after(STORAGE_PAUSE);
    door.settle(&store(&[&math]));
    assert_eq!(door.version("MATH"), Some(1));
}

#[test]
fn a_report_that_the_line_does_not_take_is_made_again() {
    let mut door = Door::new();
    door.plan.line_up();
    assert_eq!(door.turn().len(), 1);
    door.plan.unreported(door.now);
    assert_eq!(door.turn().len(), 0);
    door.now = door.now.after(QUIET_PAUSE);
    assert_eq!(door.turn().len(), 1);
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Chance {
    /// The manifest so many before the newest arrives.
    Manifest(prop::sample::Index),
    /// A forged or damaged one arrives.
    Forged(prop::sample::Index, u8),
    /// The fleet wants the next thing.
    Push,
    /// One of the chunks under way arrives, and stays under way: the next arrival may be the same again.
    Chunk(prop::sample::Index),
    /// It arrives damaged.
    Damaged(prop::sample::Index, u8),
    /// Everything under way is lost.
    Lost,
    /// The box is killed and started.
    Restart,
    /// Time passes.
    Wait(u16),
}

fn chance() -> impl Strategy<Value = Chance> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => index().prop_map(Chance::Manifest),
        1 => (index(), any::<u8>()).prop_map(|(at, byte)| Chance::Forged(at, byte.max(1))),
        1 => Just(Chance::Push),
        8 => index().prop_map(Chance::Chunk),
        1 => (index(), any::<u8>()).prop_map(|(at, byte)| Chance::Damaged(at, byte.max(1))),
        1 => Just(Chance::Lost),
        1 => Just(Chance::Restart),
        2 => (0u16..700).prop_map(Chance::Wait),
    ]
}

proptest! {
    /// Whatever happens on the way: once it stops happening, the box holds what the newest manifest wants.
    #[test]
    fn any_way_ends_at_what_is_desired(
        chances in prop::collection::vec(chance(), 0..120),
        unfit in prop::collection::btree_set(1..=6_u64, 0..3),
    ) {
        let in_turn = |exam: &str, length: usize| -> Vec<Sent> {
            let wholes: Vec<_> = (1..=6).map(|version| roster(exam, version, length * version as usize)).collect();
            // From the edition before, or from the one before that: a box may have missed one.
            let next = |n: usize| match n.checked_sub(1 + n % 2) {
                Some(base) => with_difference(&wholes[base].0, wholes[n].clone()),
                None => wholes[n].clone(),
            };
            (0..6).map(next).collect()
        };
        let (rosters, bios) = (in_turn("MATH", 30_000), in_turn("BIO", 100));
        let all = store(&rosters.iter().chain(&bios).collect::<Vec<_>>());
        let wanted = |n: usize| {
            // Every third manifest erases what the one before had.
            if n % 3 == 2 { manifest(n as u64 + 1, &[&rosters[n].0], &["BIO"]) }
            else { manifest(n as u64 + 1, &[&rosters[n].0, &bios[n].0], &[]) }
        };
        let mut manifests = vec![wanted(0)];
        let mut door = Door::new();
        door.unfit.extend(unfit);
        door.plan.line_up();
        let mut under_way: Vec<Digest> = Vec::new();
        for chance in chances {
            match chance {
                Chance::Push if manifests.len() < 6 => manifests.push(wanted(manifests.len())),
                Chance::Push => {}
                Chance::Manifest(at) => drop(door.desired(&manifests[at.index(manifests.len())])),
                Chance::Forged(at, byte) => {
                    let mut bytes = manifests[manifests.len() - 1].clone();
                    let at = at.index(bytes.len());
                    bytes[at] ^= byte;
                    prop_assert!(door.desired(&bytes) != Judged::InForce);
                }
                Chance::Chunk(at) if !under_way.is_empty() => {
                    let digest = *at.get(under_way.as_slice());
                    door.chunk(digest, &all[&digest]);
                }
                Chance::Damaged(at, byte) if !under_way.is_empty() => {
                    let digest = *at.get(under_way.as_slice());
                    let mut bytes = all[&digest].clone();
                    bytes[0] ^= byte;
                    door.chunk(digest, &bytes);
                    prop_assert!(door.chunks.get(&digest).is_none_or(|kept| *kept != bytes));
                }
                Chance::Chunk(_) | Chance::Damaged(..) => {}
                Chance::Lost => under_way.clear(),
                Chance::Restart => door.restart(),
                Chance::Wait(seconds) => door.now = door.now.after(Duration::from_secs(seconds.into())),
            }
            let said = door.turn();
            under_way.extend(said.iter().flat_map(|report| report.missing.iter().copied()));
        }
        // The keeper asserts the newest again, and serves.
        door.desired(&manifests[manifests.len() - 1]);
        door.settle(&all);
        let last = manifests.len() - 1;
        prop_assert_eq!(door.version("MATH"), Some(last as u64 + 1));
        prop_assert_eq!(door.version("BIO"), (last % 3 != 2).then_some(last as u64 + 1));
        prop_assert!(door.chunks.is_empty(), "nothing is left over");
    }
}

#[test]
fn used_prekeys_are_kept_for_a_while_and_for_what_is_on_its_way() {
    let ((one, first), (two, second)) = (roster("A", 1, 100), roster("B", 1, 100));
    let store: BTreeMap<_, _> = first.into_iter().chain(second).collect();
    let mut door = Door::new();
    let minutes = |n: u64| Duration::from_secs(60 * n);
    door.plan.line_up();
    door.desired(&manifest(1, &[&one], &[]));
    door.settle(&store);
    // What was used before the box started.
    door.retired.clear();
    door.plan.sealed_to("age1second".into(), door.now);
    let said = door.turn();
    assert_eq!(said.last().map(|report| report.recipient.as_str()), Some("age1second"), "it is reported at once");
    door.now = door.now.after(minutes(9));
    door.turn();
    assert!(door.retired.is_empty());
    // One more comes, and its chunks do not.
    door.desired(&manifest(2, &[&one, &two], &[]));
    door.now = door.now.after(minutes(30));
    door.turn();
    assert!(door.retired.is_empty(), "it may be sealed to one of them");
    door.settle(&store);
    door.turn();
    assert_eq!(door.retired, [door.now], "once it is in force");
    door.now = door.now.after(minutes(30));
    door.turn();
    assert_eq!(door.retired.len(), 1, "there are none any more");
    door.restart();
    door.turn();
    door.now = door.now.after(minutes(10));
    door.turn();
    assert_eq!(door.retired.len(), 2, "a box that was started again does not know");
}

#[test]
fn a_manifest_stays_when_its_key_ends_and_goes_when_that_is_revoked() {
    let next = SigningKey::from_seed(&[9; 32]);
    let (wanted, _) = roster("MATH", 1, 10);
    let mut plan = Plan::new(party(), BTreeMap::new(), BTreeSet::new(), None);
    assert_eq!(plan.desired(&manifest(4, &[&wanted], &[])), Judged::InForce);
    let serial = |plan: &mut Plan| {
        plan.line_up();
        let next = plan.next(MonoTime::default(), wall());
        let Next::Report(report) = next else { panic!("{next:?}") };
        report.serial
    };
    plan.believe(vec![next.public()], &[key().public(), next.public()]);
    assert_eq!(plan.desired(&manifest(5, &[&wanted], &[])), Judged::Refused(RefusalReason::NotSigned));
    assert_eq!(serial(&mut plan), 4, "it is what the exam is erased by");
    plan.believe(vec![next.public()], &[next.public()]);
    assert_eq!(serial(&mut plan), 0, "a revoked key has signed nothing");
}

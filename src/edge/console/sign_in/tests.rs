//! Codes, pauses and sessions, by a clock of the test's own.

use super::*;
use crate::domain::SignInCode;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

fn at(seconds: u64) -> MonoTime {
    MonoTime::from_start(Duration::from_secs(1000 + seconds))
}

fn okafor() -> ProctorId {
    ProctorId::new("okafor").expect("valid")
}

fn tapped(seconds: u64) -> (Invitation, MonoTime) {
    (Invitation { proctor: okafor(), code: SignInCode::from_random(123_456) }, at(seconds))
}

fn at_network(n: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, n))
}

/// Whose PIN is to be checked.
fn whose(tried: Result<Ticket, Refused>) -> Result<ProctorId, Refused> {
    tried.map(|ticket| ticket.proctor)
}

#[test]
fn a_code_serves_once_and_not_for_long() {
    let mut keeper = Doorkeeper::new();
    assert_eq!(keeper.try_code(at(0), HERE, None, "123456"), Err(Refused::Wrong), "nobody tapped");
    assert_eq!(keeper.try_code(at(1), HERE, Some(&tapped(0)), "654321"), Err(Refused::Wrong));
    let ticket = keeper.try_code(at(2), HERE, Some(&tapped(0)), "123456").expect("the first");
    assert_eq!(ticket.proctor, okafor());
    assert_eq!(keeper.try_code(at(3), HERE, Some(&tapped(0)), "123456"), Err(Refused::Wrong), "one try an address");
    let other = keeper.try_code(at(3), THERE, Some(&tapped(0)), "123456").expect("another address");
    assert!(keeper.spend(&ticket));
    assert!(!keeper.spend(&other), "two right PINs at the same time: one is in");
    assert_eq!(keeper.try_code(at(4), at_network(9), Some(&tapped(0)), "123456"), Err(Refused::Wrong), "replayed");
    assert_eq!(keeper.try_code(at(140), THERE, Some(&tapped(10)), "123456"), Err(Refused::Wrong), "too old");
    let again = whose(keeper.try_code(at(150), THERE, Some(&tapped(149)), "123456"));
    assert_eq!(again, Ok(okafor()), "a new tap, a new code");
}

#[test]
fn guessing_codes_is_slowed_down_and_ends() {
    let mut keeper = Doorkeeper::new();
    let invitation = tapped(0);
    for _ in 0..4 {
        assert_eq!(keeper.try_code(at(0), HERE, Some(&invitation), "000000"), Err(Refused::Wrong));
    }
    let wait = keeper.try_code(at(0), HERE, Some(&invitation), "123456");
    assert_eq!(wait, Err(Refused::Wait(Duration::from_secs(1))), "even with the right one");
    for n in 0..16 {
        let _ = keeper.try_code(at(0), at_network(n), Some(&invitation), "000000");
    }
    assert_eq!(keeper.try_code(at(5), THERE, Some(&invitation), "123456"), Err(Refused::Wrong), "the code is void");
    assert_eq!(keeper.refusals_to_note(at(5), false), Some(21));
    assert_eq!(keeper.refusals_to_note(at(5), false), None);
    let ticket = Ticket { proctor: okafor(), at: at(0) };
    assert!(keeper.wrong_pin(at(6), THERE, &ticket));
    assert_eq!(keeper.refusals_to_note(at(6), false), None, "soon after");
    assert_eq!(keeper.refusals_to_note(at(6), true), Some(1), "but a spoilt code at once");
}

#[test]
fn whoever_reads_the_code_off_the_screen_keeps_no_proctor_out() {
    let mut keeper = Doorkeeper::new();
    for tap in 0..10 {
        // A stranger is quicker, with a wrong PIN, and tries again.
        let (now, invitation) = (at(tap * 400), tapped(tap * 400));
        let ticket = keeper.try_code(now, THERE, Some(&invitation), "123456").expect("it is on the screen");
        keeper.wrong_pin(now, THERE, &ticket);
        assert!(keeper.try_code(now, THERE, Some(&invitation), "123456").is_err(), "once a code");
        // The proctor's own try is still there.
        assert_eq!(whose(keeper.try_code(now, HERE, Some(&invitation), "123456")), Ok(okafor()), "tap {tap}");
    }
    let (now, invitation) = (at(4400), tapped(4400));
    let ticket = keeper.try_code(now, HERE, Some(&invitation), "123456").expect("not paused");
    assert!(keeper.spend(&ticket));
}

#[test]
fn a_code_bears_few_wrong_pins_from_all_addresses_together() {
    let mut keeper = Doorkeeper::new();
    let spoilt: Vec<_> = (0..PINS as u8)
        .map(|n| {
            let ticket = keeper.try_code(at(0), at_network(n), Some(&tapped(0)), "123456").expect("a try each");
            keeper.wrong_pin(at(0), at_network(n), &ticket)
        })
        .collect();
    assert_eq!(spoilt, [true, false, false], "it counts once for the card");
    assert_eq!(keeper.try_code(at(1), HERE, Some(&tapped(0)), "123456"), Err(Refused::Wrong), "void");
    let v6 = |host: u128| IpAddr::V6(std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | host));
    let first = whose(keeper.try_code(at(2), v6(1), Some(&tapped(2)), "123456"));
    assert_eq!(first, Ok(okafor()));
    let same = keeper.try_code(at(2), v6(2), Some(&tapped(2)), "123456");
    assert_eq!(same, Err(Refused::Wrong), "one network, one try");
}

#[test]
fn whoever_holds_the_card_guesses_few_pins() {
    let mut keeper = Doorkeeper::new();
    let (mut now, mut guesses, mut free) = (0, 0, None);
    // Three hours at the box with the card, from addresses without end.
    while now < 3 * 3600 {
        for n in 0..PINS as u64 {
            let host = u32::try_from(now * 10 + n).expect("small");
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + host));
            match keeper.try_code(at(now), from, Some(&tapped(now)), "123456") {
                Ok(ticket) => {
                    keeper.wrong_pin(at(now), from, &ticket);
                    guesses += 1;
                }
                Err(why) => drop(free.get_or_insert((guesses, why))),
            }
        }
        now += 5;
    }
    assert_eq!(
        free,
        Some((31, Refused::Wait(Duration::from_secs(30)))),
        "the eleventh code that is spoilt begins the pauses"
    );
    assert!(guesses < 100, "{guesses} of a million");
}

#[test]
fn a_restart_ends_no_pause() {
    // Restarted five seconds into a pause of 60: the box's monotonic clock may have begun anew.
    let mut keeper = Doorkeeper::new();
    let start = MonoTime::from_start(Duration::from_secs(10));
    keeper.remember(start, okafor(), 12, Duration::from_secs(5));
    let now = start.after(Duration::from_secs(1));
    let invitation = (Invitation { proctor: okafor(), code: SignInCode::from_random(123_456) }, now);
    let refused = keeper.try_code(now, HERE, Some(&invitation), "123456");
    assert_eq!(refused, Err(Refused::Wait(Duration::from_secs(54))));
    // The next one counts on.
    let now = start.after(Duration::from_secs(60));
    let invitation = (Invitation { proctor: okafor(), code: SignInCode::from_random(123_456) }, now);
    let ticket = keeper.try_code(now, HERE, Some(&invitation), "123456").expect("the pause is over");
    keeper.wrong_pin(now, HERE, &ticket);
    assert_eq!(keeper.cards.wait(now, &okafor()), Duration::from_secs(120));
}

#[test]
fn a_session_is_good_from_one_address_for_a_while() {
    let mut keeper = Doorkeeper::new();
    let open = |keeper: &mut Doorkeeper, secret: u8, now| {
        let proctorship = Proctorship { name: "A. Okafor".into(), mark: Mark([0; 32]) };
        keeper.open(now, HERE, (okafor(), proctorship), &[secret; 32], "token".into(), 1)
    };
    open(&mut keeper, 1, at(0));
    let minute = |n: u64| at(n * 60);
    assert!(keeper.find(minute(1), HERE, &[1; 32], true).is_some());
    assert!(keeper.find(minute(1), THERE, &[1; 32], true).is_none(), "stolen");
    assert!(keeper.find(minute(1), HERE, &[2; 32], true).is_none(), "made up");
    assert!(keeper.find(minute(15), HERE, &[1; 32], false).is_some());
    assert!(keeper.find(minute(16), HERE, &[1; 32], true).is_none(), "idle: being looked at is not asking");

    open(&mut keeper, 1, minute(20));
    for n in 20..200 {
        assert!(keeper.find(minute(n), HERE, &[1; 32], true).is_some(), "{n}");
    }
    assert!(keeper.find(minute(200), HERE, &[1; 32], true).is_none(), "three hours are over");

    for n in 0..20_u8 {
        open(&mut keeper, n, minute(300).after(Duration::from_secs(n.into())));
    }
    assert_eq!(keeper.sessions.len(), SESSIONS);
    assert!(keeper.find(minute(301), HERE, &[19; 32], true).is_some());
    keeper.close(&[19; 32]);
    assert!(keeper.find(minute(301), HERE, &[19; 32], true).is_none());
}

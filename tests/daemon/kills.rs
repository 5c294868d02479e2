//! The daemon killed at any moment around a release: no strike outlasts its time, and the journal stays whole.
//!
//! `LATCHD_KILLS=1000` asks for more than the slice that every run gets.

use std::thread;
use std::time::{Duration, Instant};

use hardware_sim::board::CoilChange;
use hardware_sim::time;

use crate::asked;
use crate::site::records::{card, standing};
use crate::site::{DOORS, LIMIT, Site, pause};

const ANNA: &str = "04A1B2C3D4E5F6";
/// The site's `strike_s`, and what a pulse may last beyond its time.
const STRIKE: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(200);
const KILLS: u64 = 24;
/// The last moment of a kill, after what leads to a release: well behind the release itself.
const LATEST_MS: u64 = 120;

/// What leads to a release, by turns: a card, a technician, the exit button.
fn ask_for_release(site: &Site, round: u64, door: usize) {
    match round % 3 {
        0 => {
            let reader = site.reader("entrance-in");
            // One that is not listening yet is a daemon that has only just come up, which is a moment as good as any.
            let _ = reader.tap(ANNA.parse().expect("a UID"), Duration::from_millis(300));
        }
        1 => {
            // It hears nothing more from a daemon that was killed.
            let _ = site.ctl(&["door", "access", DOORS[door].0]);
        }
        _ => site.board.press_rex(door, Duration::from_millis(50)).expect("a button"),
    }
}

/// How long each coil was driven at a time.
fn spans(history: &[CoilChange]) -> impl Iterator<Item = (u16, Duration)> {
    let fall = |rise: &CoilChange| {
        history.iter().find(|change| change.coil == rise.coil && !change.on && change.at >= rise.at)
    };
    let lasted = move |rise: &CoilChange| {
        let end: Instant = fall(rise).map_or_else(time::now, |fall| fall.at);
        (rise.coil, end.saturating_duration_since(rise.at))
    };
    history.iter().filter(|change| change.on).map(lasted)
}

#[test]
fn no_strike_outlasts_its_time_wherever_the_daemon_is_killed() {
    let mut site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let kills = asked::number("LATCHD_KILLS").unwrap_or(KILLS);
    for round in 0..kills {
        let door = if round % 3 == 0 { 0 } else { (round % DOORS.len() as u64) as usize };
        assert!(site.board.wait_for_coil(door as u16, false, LIMIT), "coil {door} stays driven");
        // Each delay once before any comes again.
        let after = Duration::from_millis(round * 37 % LATEST_MS);
        thread::scope(|scope| {
            let seen = &site;
            scope.spawn(move || ask_for_release(seen, round, door));
            pause("some moment around the release", after);
            seen.daemon.strike_down();
        });
        site.daemon.kill();
        site.start_again();
    }
    for (n, _) in DOORS.iter().enumerate() {
        assert!(site.board.wait_for_coil(n as u16, false, LIMIT), "coil {n} stays driven");
    }
    let history = site.board.coil_history();
    let longest = spans(&history).max_by_key(|(_, lasted)| *lasted).expect("some strike was driven");
    assert!(longest.1 <= STRIKE + SLACK, "coil {} was driven for {:?}", longest.0, longest.1);
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    site.central().wait_synced(LIMIT).expect("the daemon is in step");
}

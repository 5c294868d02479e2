//! Guests: with their host's booking, up to its capacity, and remembered.

use crate::site::Site;
use crate::site::people::assert_decided;
use crate::site::records::{card, guest, room, with};

const HOST: &str = "04A0000000000A";
const GUESTS: [&str; 3] = ["04A00000000001", "04A00000000002", "04A00000000003"];

#[test]
fn a_guest_comes_with_the_hosts_booking_up_to_its_capacity_also_after_a_kill() {
    let mut site = Site::running();
    let time = (-60, 3600);
    site.put([card("c-h", HOST, "host")]);
    site.put(GUESTS.iter().zip(1..).map(|(uid, n)| card(&format!("c-{n}"), uid, &format!("guest-{n}"))));
    site.put((1..=3).map(|n| guest(&format!("g-{n}"), &format!("guest-{n}"), "b-9", &["room-4"], time)));
    let [one, two, three] = GUESTS;
    assert_decided(&site.decision("room-4-in", one), "access.denied", "host_booking_missing");

    let hosts = with(room("g-h", "host", "b-9", &["room-4"], time), "capacity", 3);
    let mark = site.central().mark();
    site.put([hosts]);
    let first = site.decision("room-4-in", one);
    assert_decided(&first, "access.granted", "in_window");
    assert_eq!((&first["grant"], &first["holder"]), (&"g-1".into(), &"guest-1".into()));
    let arrived = site.at_central(mark, "guest.arrived");
    let said = ["door", "holder", "booking", "host"].map(|field| arrived[field].as_str().unwrap().to_owned());
    assert_eq!(said, ["room-4", "guest-1", "b-9", "host"]);
    assert_decided(&site.decision("room-4-in", two), "access.granted", "in_window");
    assert_decided(&site.decision("room-4-in", three), "access.denied", "capacity_reached");
    assert_decided(&site.decision("room-4-in", HOST), "access.granted", "in_window");

    site.daemon.kill();
    site.start_again();
    assert_decided(&site.decision("room-4-in", three), "access.denied", "capacity_reached");
    assert_decided(&site.decision("room-4-in", one), "access.granted", "in_window");
    let arrivals = |holder: &str| {
        let journal = site.journal();
        journal.iter().filter(|e| e["type"] == "guest.arrived" && e["holder"] == holder).count()
    };
    assert_eq!(["guest-1", "guest-2", "guest-3", "host"].map(arrivals), [1, 1, 0, 0]);

    site.delete("grant", "g-h");
    assert_decided(&site.decision("room-4-in", one), "access.denied", "host_booking_missing");
}

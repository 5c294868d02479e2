//! Attacks that were thought of: each delivers messages that central has really sent, in an order of its own.

use serde_json::{Value, json};

use super::{
    central::{Central, Message},
    world::World,
};

fn grant(n: usize) -> Value {
    json!({ "type": "grant", "id": format!("g-{n}"), "kind": "standing", "holder": "m-1", "zones": ["perimeter"] })
}

/// A controller that is connected, in a world whose central has sent nothing yet.
fn world() -> World {
    let mut world = World::new(1);
    world.connect(true);
    world
}

/// What central sends while it does this.
fn sent(central: &mut Central, act: impl FnOnce(&mut Central)) -> Vec<Message> {
    let before = central.sent.len();
    act(central);
    central.outgoing.clear();
    central.sent[before..].to_vec()
}

/// Delivers one after the other, each stored before the next; whatever comes of it must be a state central was in.
fn deliver<'a>(world: &mut World, messages: impl IntoIterator<Item = &'a Message>) {
    for message in messages {
        world.deliver(message.clone(), false);
        world.store();
        world.tell_stored();
        world.check();
    }
}

fn place(world: &World) -> (u64, u64) {
    let report = world.controller.sync_report();
    (report.epoch, report.applied)
}

fn shows(world: &World, n: usize) -> bool {
    let query = latchd::wire::control::GrantQuery::default();
    let (grants, _) = world.controller.grants(&query, super::world::reading(world.mono), 0);
    grants.iter().any(|grant| grant.id.as_str() == format!("g-{n}"))
}

/// Two snapshots with one name, as a central sends that counts from the first again after its restart.
fn namesakes(world: &mut World, second_size: usize) -> (Vec<Message>, Vec<Message>) {
    let central = &mut world.central;
    sent(central, |c| (0..6).for_each(|n| c.put(&grant(n))));
    let first = sent(central, |c| c.snapshot_of(2));
    central.forget_names();
    sent(central, |c| {
        (0..3).for_each(|n| c.delete(&grant(n)));
        (6..9).for_each(|n| c.put(&grant(n)));
    });
    let second = sent(central, |c| c.snapshot_of(second_size));
    (first, second)
}

#[test]
fn parts_of_two_snapshots_with_one_name_never_make_one() {
    for second_size in [2, 3] {
        // Which of the two each part is from: every mixture.
        for mixture in 0..8_usize {
            let mut world = world();
            let (first, second) = namesakes(&mut world, second_size);
            let from = |n: usize| if mixture >> n & 1 == 1 { &second } else { &first };
            let parts: Vec<Message> = (0..3).filter_map(|n| from(n).get(n).cloned()).collect();
            deliver(&mut world, &parts);
            // Of three records a part, the second one has two.
            let is_whole = mixture == 0 || if second_size == 2 { mixture == 7 } else { mixture & 3 == 3 };
            assert_eq!(place(&world) != (0, 0), is_whole, "{mixture:03b} of {second_size}");
        }
    }
}

#[test]
fn an_old_snapshot_delivered_while_a_new_one_comes_in_takes_nothing_back() {
    let mut world = world();
    let (old, new) = namesakes(&mut world, 2);
    deliver(&mut world, &old);
    assert!(shows(&world, 0));
    // The new one comes in, with the old one's parts between, before and behind.
    for n in 0..3 {
        deliver(&mut world, [&old[n], &new[n], &old[2 - n]]);
    }
    deliver(&mut world, &new);
    assert_eq!(place(&world), (1, world.central.number));
    deliver(&mut world, old.iter().chain(&new).chain(&old));
    assert!(!shows(&world, 0), "a revocation was undone");
}

#[test]
fn a_snapshot_of_what_is_applied_changes_nothing_and_holds_no_change_back_for_long() {
    let mut world = world();
    sent(&mut world.central, |c| (0..6).for_each(|n| c.put(&grant(n))));
    let snapshot = sent(&mut world.central, |c| c.snapshot_of(2));
    deliver(&mut world, &snapshot);
    // Another of the same place, of which only the first part comes.
    let again = sent(&mut world.central, |c| c.snapshot_of(2));
    deliver(&mut world, &again[..1]);
    let gone = sent(&mut world.central, |c| c.delete(&grant(0)));
    deliver(&mut world, &gone);
    assert!(shows(&world, 0), "the change waits for the snapshot");
    deliver(&mut world, &again[1..]);
    deliver(&mut world, &gone);
    deliver(&mut world, snapshot.iter().chain(&again));
    assert!(!shows(&world, 0), "a revocation was undone");
}

#[test]
fn a_later_snapshot_with_the_name_of_the_one_in_force_is_taken() {
    let mut world = world();
    let (first, second) = namesakes(&mut world, 2);
    deliver(&mut world, &first);
    deliver(&mut world, &second);
    assert_eq!(place(&world), (1, world.central.number));
    assert!(!shows(&world, 0), "a revocation was taken for a repeat");
}

#[test]
fn all_that_was_ever_sent_sent_again_changes_nothing() {
    let mut world = world();
    let (first, second) = namesakes(&mut world, 2);
    deliver(&mut world, &first);
    let between = world.central.sent.clone();
    deliver(&mut world, &second);
    let gone = sent(&mut world.central, |c| c.delete(&grant(6)));
    deliver(&mut world, &gone);
    let (at, journal) = (place(&world), world.written.len() + world.disk.journal.len());
    for _ in 0..50 {
        deliver(&mut world, between.iter().chain(&second).chain(&gone));
    }
    assert_eq!(place(&world), at);
    // It is told of, but not one entry for each: a broker could fill the journal.
    let told = world.written.len() + world.disk.journal.len() - journal;
    assert!(told < 1100, "{told} entries for repeats");
}

#[test]
fn a_list_that_was_left_behind_stays_so() {
    let mut world = world();
    let (first, second) = namesakes(&mut world, 2);
    deliver(&mut world, &first);
    world.central.begin_list();
    let next = sent(&mut world.central, |c| c.snapshot_of(4));
    // Two lists come in at once, as from two centrals.
    for n in 0..2 {
        deliver(&mut world, [&next[n], &second[n]]);
    }
    deliver(&mut world, &next);
    let at = place(&world);
    deliver(&mut world, second.iter().chain(&first));
    assert_eq!((place(&world), at.0), (at, 2));
}

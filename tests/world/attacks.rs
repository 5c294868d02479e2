//! Attacks that were thought of: each delivers messages that central has really sent, in an order of its own.

use std::rc::Rc;

use hardware_sim::world::{Central, Message, World};
use serde_json::{Value, json};

fn grant(n: usize) -> Value {
    json!({ "type": "grant", "id": format!("g-{n}"), "kind": "standing", "holder": "m-1", "zones": ["perimeter"] })
}

fn sent(world: &mut World, act: impl FnOnce(&mut Central)) -> Vec<Rc<Message>> {
    world.sent(act)
}

/// Delivers one after the other; whatever comes of it must be a state central was in.
#[track_caller]
fn deliver<'a>(world: &mut World, messages: impl IntoIterator<Item = &'a Rc<Message>>) {
    world.deliver_all(messages).unwrap();
}

fn shows(world: &World, n: usize) -> bool {
    world.has_grant(&format!("g-{n}"))
}

/// Two snapshots with one name, as a central sends that counts from the first again after its restart.
fn namesakes(world: &mut World, second_size: usize) -> (Vec<Rc<Message>>, Vec<Rc<Message>>) {
    sent(world, |c| (0..6).for_each(|n| c.put(&grant(n))));
    let first = sent(world, |c| c.snapshot_of(2));
    world.central.forget_names();
    sent(world, |c| {
        (0..3).for_each(|n| c.delete(&grant(n)));
        (6..9).for_each(|n| c.put(&grant(n)));
    });
    let second = sent(world, |c| c.snapshot_of(second_size));
    (first, second)
}

#[test]
fn parts_of_two_snapshots_with_one_name_never_make_one() {
    for second_size in [2, 3] {
        // Which of the two each part is from: every mixture.
        for mixture in 0..8_usize {
            let mut world = World::by_hand();
            let (first, second) = namesakes(&mut world, second_size);
            let from = |n: usize| if mixture >> n & 1 == 1 { &second } else { &first };
            let parts: Vec<Rc<Message>> = (0..3).filter_map(|n| from(n).get(n).cloned()).collect();
            deliver(&mut world, &parts);
            // Of three records a part, the second one has two.
            let is_whole = mixture == 0 || if second_size == 2 { mixture == 7 } else { mixture & 3 == 3 };
            assert_eq!(world.place() != (0, 0), is_whole, "{mixture:03b} of {second_size}");
        }
    }
}

#[test]
fn an_old_snapshot_delivered_while_a_new_one_comes_in_takes_nothing_back() {
    let mut world = World::by_hand();
    let (old, new) = namesakes(&mut world, 2);
    deliver(&mut world, &old);
    assert!(shows(&world, 0));
    // The new one comes in, with the old one's parts between, before and behind.
    for n in 0..3 {
        deliver(&mut world, [&old[n], &new[n], &old[2 - n]]);
    }
    deliver(&mut world, &new);
    assert_eq!(world.place(), (1, world.central.number));
    deliver(&mut world, old.iter().chain(&new).chain(&old));
    assert!(!shows(&world, 0), "a revocation was undone");
}

#[test]
fn a_snapshot_of_what_is_applied_changes_nothing_and_holds_no_change_back_for_long() {
    let mut world = World::by_hand();
    sent(&mut world, |c| (0..6).for_each(|n| c.put(&grant(n))));
    let snapshot = sent(&mut world, |c| c.snapshot_of(2));
    deliver(&mut world, &snapshot);
    // Another of the same place, of which only the first part comes.
    let again = sent(&mut world, |c| c.snapshot_of(2));
    deliver(&mut world, &again[..1]);
    let gone = sent(&mut world, |c| c.delete(&grant(0)));
    deliver(&mut world, &gone);
    assert!(shows(&world, 0), "the change waits for the snapshot");
    deliver(&mut world, &again[1..]);
    deliver(&mut world, &gone);
    deliver(&mut world, snapshot.iter().chain(&again));
    assert!(!shows(&world, 0), "a revocation was undone");
}

#[test]
fn a_later_snapshot_with_the_name_of_the_one_in_force_is_taken() {
    let mut world = World::by_hand();
    let (first, second) = namesakes(&mut world, 2);
    deliver(&mut world, &first);
    deliver(&mut world, &second);
    assert_eq!(world.place(), (1, world.central.number));
    assert!(!shows(&world, 0), "a revocation was taken for a repeat");
}

#[test]
fn all_that_was_ever_sent_sent_again_changes_nothing() {
    let mut world = World::by_hand();
    let (first, second) = namesakes(&mut world, 2);
    deliver(&mut world, &first);
    let between: Vec<Rc<Message>> = world.central.sent.iter().cloned().collect();
    deliver(&mut world, &second);
    let gone = sent(&mut world, |c| c.delete(&grant(6)));
    deliver(&mut world, &gone);
    let (at, journal) = (world.place(), world.entries());
    for _ in 0..50 {
        deliver(&mut world, between.iter().chain(&second).chain(&gone));
    }
    assert_eq!(world.place(), at);
    // It is told of, but not one entry for each: a broker could fill the journal.
    let told = world.entries() - journal;
    assert!(told < 1100, "{told} entries for repeats");
}

#[test]
fn a_list_that_was_left_behind_stays_so() {
    let mut world = World::by_hand();
    let (first, second) = namesakes(&mut world, 2);
    deliver(&mut world, &first);
    world.central.begin_list();
    let next = sent(&mut world, |c| c.snapshot_of(4));
    // Two lists come in at once, as from two centrals.
    for n in 0..2 {
        deliver(&mut world, [&next[n], &second[n]]);
    }
    deliver(&mut world, &next);
    let at = world.place();
    deliver(&mut world, second.iter().chain(&first));
    assert_eq!((world.place(), at.0), (at, 2));
}

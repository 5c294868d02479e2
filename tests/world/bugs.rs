//! Deliberate bugs between the controller and its world: each is caught, and by the invariant that is there for it.

use hardware_sim::world::{Invariant, Plan, Planted, run_many};

/// What each breaks. The first within the fixed seeds is looked at; one that breaks several is caught by any of them.
const CAUGHT: [(Planted, &[Invariant]); 25] = [
    (Planted::AcknowledgesBeforeTheDisk, &[Invariant::OnDiskFirst]),
    (Planted::ReleasesBeforeTheDisk, &[Invariant::RecordedFirst]),
    (Planted::ForgetsToSayLate, &[Invariant::RecordedFirst]),
    (Planted::ForgetsToSecure, &[Invariant::EndsInTime]),
    (Planted::DrivesForTooLong, &[Invariant::EndsInTime]),
    (Planted::TakesDrivenForSecure, &[Invariant::LockIsAsSaid]),
    (Planted::OpensTheNextDoor, &[Invariant::Warranted]),
    (Planted::IgnoresTheButton, &[Invariant::ExitsWait]),
    (Planted::IgnoresTheFire, &[Invariant::FireReleases]),
    (Planted::BelievesEveryClock, &[Invariant::TrustsNoWrongClock, Invariant::DecidedByTheRules]),
    (Planted::ForgetsWhatTimeItWas, &[Invariant::TrustsNoWrongClock, Invariant::DecidedByTheRules]),
    (Planted::AppliesReplays, &[Invariant::IndexIsTheFold]),
    (Planted::IgnoresRevocations, &[Invariant::IndexIsTheFold]),
    (Planted::AppliesHalfASnapshot, &[Invariant::IndexIsTheFold]),
    (Planted::LosesARecordAtRestart, &[Invariant::IndexIsTheFold]),
    (Planted::ForgetsGuestsAtRestart, &[Invariant::RestrictionOutlasts]),
    (Planted::ForgetsLockdownsAtRestart, &[Invariant::RestrictionOutlasts]),
    (Planted::ForgetsCommandsAtRestart, &[Invariant::CommandOnce]),
    (Planted::ExecutesTwice, &[Invariant::CommandOnce]),
    (Planted::ExecutesLateCommands, &[Invariant::CommandInTime]),
    (Planted::LeavesAGapInTheJournal, &[Invariant::NoGap]),
    (Planted::HidesADenial, &[Invariant::OneEntryADecision]),
    (Planted::ForgetsWhoWasGranted, &[Invariant::Answered]),
    (Planted::SendsBeforeTheDisk, &[Invariant::OnDiskFirst]),
    (Planted::NeverSends, &[Invariant::Converges]),
];

#[test]
fn every_deliberate_bug_is_caught_by_the_invariant_that_is_there_for_it() {
    assert_eq!(CAUGHT.map(|(bug, _)| bug), Planted::ALL, "every bug has its line");
    let mut missed = Vec::new();
    for (bug, invariants) in CAUGHT {
        let plan = Plan { seeds: 0..1000, days: None, planted: Some(bug), stops_at_first: true };
        let summary = run_many(&plan, |_| {});
        let caught = summary.broken.values().any(|broken| invariants.contains(&broken.invariant));
        let by: Vec<_> = summary.broken.values().map(|broken| broken.invariant).collect();
        eprintln!("{bug:?}: caught by {by:?} in seed {:?} of {}", summary.broken.keys().min(), summary.ended);
        if !caught {
            missed.push(format!("{bug:?} was caught by {by:?}, and should be by {invariants:?}"));
        }
    }
    assert!(missed.is_empty(), "\n{}", missed.join("\n"));
}

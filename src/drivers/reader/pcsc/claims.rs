//! Which device belongs to which configured reader: each has its own, in the order of configuration and of names, and
//! keeps it. Pure but for its lock, which the readers' threads share.
//!
//! A pattern that matches several devices says nothing about which door each stands at; then the order of names
//! decides. Where that is not good enough, the configuration should give full names.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use wildmatch::WildMatch;

use crate::domain::ReaderId;

/// Shared by the threads of all PC/SC readers. Made once, of all of them, so that it does not matter whose thread
/// looks first.
#[derive(Debug, Clone, Default)]
pub struct Claims(Arc<Mutex<Vec<Claim>>>);

#[derive(Debug)]
struct Claim {
    reader: ReaderId,
    pattern: WildMatch,
    /// The device it has, or last had: when that comes back it is this reader's again.
    device: Option<String>,
}

impl Claims {
    /// In the order of configuration; a pattern may use `*` and `?`, as in a shell.
    pub fn new<'a>(readers: impl IntoIterator<Item = (&'a ReaderId, &'a str)>) -> Self {
        let claim = |(reader, pattern): (&ReaderId, &str)| Claim {
            reader: reader.clone(),
            pattern: WildMatch::new(pattern),
            device: None,
        };
        Claims(Arc::new(Mutex::new(readers.into_iter().map(claim).collect())))
    }

    /// These are the readers from now on. One that is as it was keeps its device.
    pub fn change<'a>(&self, readers: impl IntoIterator<Item = (&'a ReaderId, &'a str)>) {
        let Claims(new) = Claims::new(readers);
        let mut new = std::mem::take(&mut *new.lock().unwrap_or_else(PoisonError::into_inner));
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for claim in &mut new {
            let same = claims.iter_mut().find(|c| (&c.reader, &c.pattern) == (&claim.reader, &claim.pattern));
            claim.device = same.and_then(|same| same.device.take());
        }
        *claims = new;
    }

    /// The device of this reader among those that are there now.
    pub fn device_of(&self, reader: &ReaderId, devices: &BTreeSet<String>) -> Option<String> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assign(&mut claims, devices);
        let own = claims.iter().find(|claim| claim.reader == *reader)?;
        own.device.clone().filter(|device| devices.contains(device))
    }
}

/// Gives devices that nobody has to readers that have none, as many as can have one.
fn assign(claims: &mut [Claim], devices: &BTreeSet<String>) {
    let held: BTreeSet<&String> = claims.iter().filter_map(|claim| claim.device.as_ref()).collect();
    let free: Vec<&String> = devices.iter().filter(|device| !held.contains(device)).collect();
    let waiting: Vec<usize> = claims
        .iter()
        .enumerate()
        .filter(|(_, claim)| claim.device.as_ref().is_none_or(|device| !devices.contains(device)))
        .map(|(at, _)| at)
        .collect();
    let wants: Vec<Vec<usize>> = waiting
        .iter()
        .filter_map(|&at| claims.get(at))
        .map(|claim| {
            (0..free.len()).filter(|&n| free.get(n).is_some_and(|d| claim.pattern.matches(d))).collect()
        })
        .collect();
    let mut taken: Vec<Option<usize>> = vec![None; free.len()];
    for reader in 0..wants.len() {
        place(reader, &wants, &mut taken, &mut vec![false; free.len()]);
    }
    let given: Vec<(usize, String)> = taken
        .iter()
        .zip(&free)
        .filter_map(|(reader, device)| Some((*waiting.get((*reader)?)?, (*device).clone())))
        .collect();
    for (at, device) in given {
        if let Some(claim) = claims.get_mut(at) {
            claim.device = Some(device);
        }
    }
}

/// One step of bipartite matching (Kuhn): a free device in the order of names; else whoever has one that this reader
/// wants moves on, if there is something else for them. So `*` does not take the only device that a full name was
/// meant for. As deep as there are readers.
fn place(reader: usize, wants: &[Vec<usize>], taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    let wanted = wants.get(reader).map(Vec::as_slice).unwrap_or_default();
    let free = wanted.iter().copied().find(|&device| taken.get(device) == Some(&None));
    let found = free.or_else(|| {
        wanted.iter().copied().find(|&device| {
            let first_try = tried.get_mut(device).is_some_and(|seen| !std::mem::replace(seen, true));
            let holder = taken.get(device).copied().flatten();
            first_try && holder.is_some_and(|holder| place(holder, wants, taken, tried))
        })
    });
    if let Some(place) = found.and_then(|device| taken.get_mut(device)) {
        *place = Some(reader);
    }
    found.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    fn claims(patterns: &[(&str, &str)]) -> (Vec<ReaderId>, Claims) {
        let ids: Vec<ReaderId> = patterns.iter().map(|(id, _)| ReaderId::new(id).unwrap()).collect();
        let claims = Claims::new(ids.iter().zip(patterns).map(|(id, (_, pattern))| (id, *pattern)));
        (ids, claims)
    }

    fn all(ids: &[ReaderId], claims: &Claims, names: &[&str]) -> Vec<Option<String>> {
        ids.iter().map(|id| claims.device_of(id, &devices(names))).collect()
    }

    fn some(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn patterns_that_match_the_same_devices_get_them_in_the_order_of_names_whoever_asks_first() {
        let (ids, claims) = claims(&[("front", "ACS*"), ("back", "ACS*")]);
        let names = ["ACS 01", "ACS 00", "Other"];
        assert_eq!(claims.device_of(&ids[1], &devices(&names)), some("ACS 01"));
        assert_eq!(claims.device_of(&ids[0], &devices(&names)), some("ACS 00"));
    }

    #[test]
    fn a_wide_pattern_leaves_a_narrow_one_its_only_device() {
        let (ids, claims) = claims(&[("any", "*"), ("exact", "ACS 00")]);
        assert_eq!(all(&ids, &claims, &["ACS 00", "ZZZ"]), [some("ZZZ"), some("ACS 00")]);
    }

    #[test]
    fn a_device_that_comes_back_is_its_readers_again_and_nobody_elses_meanwhile() {
        let (ids, claims) = claims(&[("front", "ACS*"), ("back", "ACS*")]);
        assert_eq!(all(&ids, &claims, &["ACS 00", "ACS 01"]), [some("ACS 00"), some("ACS 01")]);
        assert_eq!(all(&ids, &claims, &["ACS 01"]), [None, some("ACS 01")]);
        assert_eq!(all(&ids, &claims, &[]), [None, None]);
        assert_eq!(all(&ids, &claims, &["ACS 01"]), [None, some("ACS 01")]);
        assert_eq!(all(&ids, &claims, &["ACS 00", "ACS 01"]), [some("ACS 00"), some("ACS 01")]);
    }

    #[test]
    fn readers_that_come_and_go_leave_the_others_their_devices() {
        let (ids, claims) = claims(&[("front", "ACS*"), ("back", "ACS*")]);
        let names = ["ACS 00", "ACS 01", "ACS 02"];
        assert_eq!(all(&ids, &claims, &names), [some("ACS 00"), some("ACS 01")]);
        let side = ReaderId::new("side").unwrap();
        claims.change([(&side, "ACS*"), (&ids[1], "ACS*")]);
        assert_eq!(claims.device_of(&ids[1], &devices(&names)), some("ACS 01"));
        assert_eq!(claims.device_of(&side, &devices(&names)), some("ACS 00"));
        assert_eq!(claims.device_of(&ids[0], &devices(&names)), None, "it is configured no more");
        // The same name with another pattern is another claim.
        claims.change([(&side, "OMNI*"), (&ids[1], "ACS*")]);
        assert_eq!(claims.device_of(&side, &devices(&names)), None);
    }

    #[test]
    fn a_replacement_under_another_name_is_taken() {
        let (ids, claims) = claims(&[("front", "ACS*")]);
        assert_eq!(all(&ids, &claims, &["ACS 00"]), [some("ACS 00")]);
        assert_eq!(all(&ids, &claims, &["ACS 07"]), [some("ACS 07")]);
    }

    #[test]
    fn fewer_devices_than_readers_serve_the_first_configured() {
        let (ids, claims) = claims(&[("a", "ACS*"), ("b", "ACS*"), ("c", "OMNI*")]);
        assert_eq!(all(&ids, &claims, &["ACS 00"]), [some("ACS 00"), None, None]);
    }

    #[test]
    fn a_name_without_star_matches_itself_only() {
        let (ids, claims) = claims(&[("a", "ACS")]);
        assert_eq!(all(&ids, &claims, &["ACS 00"]), [None]);
    }
}

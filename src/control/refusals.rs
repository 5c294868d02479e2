//! What was refused of what came over the broker: counted, and recorded one by one for as long as that is no flood.
//!
//! An entry costs the disk a barrier and the journal a place, and whoever can write to the broker can cause one. So each
//! kind has a bucket of entries it may cause at once, refilled slowly; what is beyond it is counted, and said in sum.
//!
//! ```text
//!  note() ─► Some(why)   an entry now
//!         ─► None        one more untold ── a minute ──► take_due(): "712 more in 60 s, the last: …"
//! ```

use std::{collections::BTreeMap, time::Duration};

use crate::domain::Mono;

/// What was wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// Not signed by a trusted key.
    Signature,
    /// Meant for another controller.
    Controller,
    /// Not a message of its topic.
    Content,
    /// Of a list, or a state of it, that has been left behind.
    Epoch,
    /// Applied before.
    Repeat,
    /// Some of its records can't be used; the rest was.
    Records,
    /// A command that was not carried out.
    Command,
}

impl Refused {
    pub const ALL: [Refused; 7] = [
        Refused::Signature,
        Refused::Controller,
        Refused::Content,
        Refused::Epoch,
        Refused::Repeat,
        Refused::Records,
        Refused::Command,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Signature => "signature",
            Refused::Controller => "controller",
            Refused::Content => "content",
            Refused::Epoch => "epoch",
            Refused::Repeat => "repeat",
            Refused::Records => "records",
            Refused::Command => "command",
        }
    }

    /// Entries it may cause at once. A central that has just come back may repeat a good deal, and means no harm.
    fn burst(self) -> u32 {
        match self {
            Refused::Repeat => 10,
            Refused::Signature
            | Refused::Controller
            | Refused::Content
            | Refused::Epoch
            | Refused::Records
            | Refused::Command => 1000,
        }
    }
}

/// One more entry is allowed after this long: 8,640 a day, where a journal keeps millions.
const REFILL: Duration = Duration::from_secs(10);
/// How long untold ones are gathered.
const TELL_AFTER: Duration = Duration::from_secs(60);

/// A kind's bucket.
#[derive(Debug)]
struct Bucket {
    /// Ever, in this run.
    count: u64,
    spent: u32,
    refilled_at: Mono,
    /// Not recorded, since when, and what the last one was.
    untold: Option<(u64, Mono, String)>,
}

#[derive(Debug, Default)]
pub struct Refusals(BTreeMap<Refused, Bucket>);

impl Refusals {
    /// Counts one. Returns what is to be recorded now, if anything.
    pub fn note(&mut self, now: Mono, what: Refused, why: String) -> Option<String> {
        let fresh = Bucket { count: 0, spent: 0, refilled_at: now, untold: None };
        let bucket = self.0.entry(what).or_insert(fresh);
        bucket.count = bucket.count.saturating_add(1);
        let earned = now.since(bucket.refilled_at).as_secs() / REFILL.as_secs();
        if earned > 0 {
            bucket.refilled_at = now;
            bucket.spent = bucket.spent.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
        }
        if bucket.spent < what.burst() && bucket.untold.is_none() {
            bucket.spent += 1;
            return Some(why);
        }
        let (count, since) = bucket.untold.take().map_or((0, now), |(count, since, _)| (count, since));
        bucket.untold = Some((count + 1, since, why));
        None
    }

    /// Sums that are due to be recorded.
    pub fn take_due(&mut self, now: Mono) -> Vec<(Refused, String)> {
        let tell = |(what, bucket): (&Refused, &mut Bucket)| {
            let is_due = |(_, since, _): &(u64, Mono, String)| now.since(*since) >= TELL_AFTER;
            let (count, since, last) = bucket.untold.take_if(|untold| is_due(untold))?;
            Some((*what, format!("{count} more in {} s, the last: {last}", now.since(since).as_secs())))
        };
        self.0.iter_mut().filter_map(tell).collect()
    }

    pub fn deadline(&self) -> Option<Mono> {
        let since = self.0.values().filter_map(|b| b.untold.as_ref().map(|(_, since, _)| *since));
        since.min().map(|since| since.plus(TELL_AFTER))
    }

    /// How many of each kind there have been since the daemon started.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, bucket)| (what.as_str(), bucket.count))
    }

    /// The same with those of which there was none: a count must be there before it can be seen to grow.
    pub fn all_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |what: Refused| self.0.get(&what).map_or(0, |bucket| bucket.count);
        Refused::ALL.into_iter().map(move |what| (what.as_str(), count(what)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono(Duration::from_secs(s))
    }

    fn recorded(refusals: &mut Refusals, s: u64, what: Refused, count: u32) -> usize {
        (0..count).filter(|n| refusals.note(at(s), what, format!("no. {n}")).is_some()).count()
    }

    #[test]
    fn each_is_recorded_until_it_is_a_flood_and_then_the_sum_is() {
        let mut r = Refusals::default();
        assert_eq!(recorded(&mut r, 5, Refused::Content, 1000), 1000);
        assert_eq!(r.deadline(), None);
        assert_eq!(recorded(&mut r, 6, Refused::Content, 700), 0);
        assert_eq!(r.deadline(), Some(at(66)));
        assert_eq!(r.take_due(at(65)), []);
        assert_eq!(
            r.take_due(at(66)),
            [(Refused::Content, "700 more in 60 s, the last: no. 699".to_owned())]
        );
        assert_eq!(r.take_due(at(200)), []);
        assert_eq!(r.counts().collect::<Vec<_>>(), [("content", 1700)]);
    }

    #[test]
    fn every_kind_is_in_the_list_of_them() {
        assert!(Refused::ALL.into_iter().enumerate().all(|(n, kind)| kind as usize == n));
        assert_eq!(Refused::ALL.last(), Some(&Refused::Command), "the last there is");
    }

    #[test]
    fn one_kind_does_not_use_up_anothers_room() {
        let mut r = Refusals::default();
        assert_eq!(recorded(&mut r, 0, Refused::Repeat, 100), 10);
        assert_eq!(recorded(&mut r, 0, Refused::Signature, 1), 1);
    }

    #[test]
    fn room_comes_back_slowly_and_never_beyond_the_burst() {
        let mut r = Refusals::default();
        recorded(&mut r, 0, Refused::Repeat, 10);
        assert_eq!(recorded(&mut r, 30, Refused::Repeat, 5), 3);
        // However often one comes meanwhile.
        for s in 31..=90 {
            assert_eq!(recorded(&mut r, s, Refused::Repeat, 1), 0);
        }
        assert_eq!(r.take_due(at(90)).len(), 1);
        assert_eq!(recorded(&mut r, 91, Refused::Repeat, 100), 6);
        r.take_due(at(1000));
        assert_eq!(recorded(&mut r, 100_000, Refused::Repeat, 100), 10);
    }

    /// While some are untold all are, so that the sum stands where the flood was.
    #[test]
    fn a_flood_is_one_sum_a_minute() {
        let mut r = Refusals::default();
        recorded(&mut r, 0, Refused::Epoch, 1000);
        let mut entries = 0;
        for s in 1..=3600 {
            entries += recorded(&mut r, s, Refused::Epoch, 100) + r.take_due(at(s)).len();
        }
        assert!(entries <= 3600 / 60 + 3600 / 10, "{entries} entries in an hour");
        let told: u64 = r.counts().map(|(_, n)| n).sum();
        assert_eq!(told, 361_000);
    }
}

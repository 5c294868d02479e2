//! What of the journal goes into one message: what fits, without what is damaged, past what is gone.

use super::mqtt::Journal;

/// Events for one message.
#[derive(Debug, PartialEq, Eq)]
pub struct Picked {
    /// As they stand in the journal, each with its number.
    pub lines: Vec<(u64, String)>,
    /// Everything up to here was looked at: sent, damaged, or gone.
    pub through: u64,
    /// Events that stand in the journal and can't be read: one of them would make central refuse the message.
    pub damaged: Vec<u64>,
}

impl Journal {
    /// Events from `from` on, none after `through`, in about `most` bytes. `None`: there are none at all from there on.
    pub fn pick(&mut self, from: u64, through: u64, most: usize) -> Option<Picked> {
        let mut lines = (self.source)(from, through, most);
        // The source stops at the first that goes beyond the limit, with it.
        let total: usize = lines.iter().map(|(_, text)| text.len() + 1).sum();
        if total > most && lines.len() > 1 {
            lines.pop();
        }
        let Some(last) = lines.last().map(|(seq, _)| *seq) else {
            let (next, _) = (self.source)(from, u64::MAX, 0).into_iter().next()?;
            return Some(Picked { lines, through: next - 1, damaged: Vec::new() });
        };
        let damaged = lines.extract_if(.., |(_, text)| !is_object(text)).map(|(seq, _)| seq).collect();
        Some(Picked { lines, through: last, damaged })
    }
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal of these, read as the real one is: until a limit is passed, with the line that passes it.
    fn journal(events: &[(u64, &str)]) -> Journal {
        let events: Vec<(u64, String)> =
            events.iter().map(|(seq, text)| (*seq, (*text).to_owned())).collect();
        let source = move |from, through, most| {
            let mut size = 0;
            let within = events.iter().filter(|(seq, _)| (from..=through).contains(seq));
            let fits = |event: &&(u64, String)| {
                let fits = size == 0 || size < most;
                size += event.1.len();
                fits
            };
            within.take_while(fits).cloned().collect()
        };
        Journal { id: "j".into(), source: Box::new(source) }
    }

    fn seqs(picked: &Picked) -> Vec<u64> {
        picked.lines.iter().map(|(seq, _)| *seq).collect()
    }

    #[test]
    fn what_fits_is_picked_and_one_event_always_does() {
        let mut journal = journal(&[(1, "{\"a\":1}"), (2, "{\"a\":2}"), (3, "{\"a\":3}")]);
        let mut pick = |most| journal.pick(1, 3, most).map(|picked| (seqs(&picked), picked.through)).unwrap();
        assert_eq!(pick(100), (vec![1, 2, 3], 3));
        assert_eq!(pick(17), (vec![1, 2], 2), "with their commas");
        assert_eq!(pick(1), (vec![1], 1));
    }

    #[test]
    fn what_is_damaged_is_left_out_and_named() {
        for damaged in ["", "{\"a\":", "}", "[]", "{\"a\":1}{", "\u{FFFD}"] {
            let picked = journal(&[(1, "{\"a\":1}"), (2, damaged), (3, "{}")]).pick(1, 3, 100).unwrap();
            assert_eq!(
                (seqs(&picked), picked.through, picked.damaged),
                (vec![1, 3], 3, vec![2]),
                "{damaged:?}"
            );
        }
        let picked = journal(&[(1, "?"), (2, "?")]).pick(1, 2, 100).unwrap();
        assert_eq!((seqs(&picked), picked.through, picked.damaged), (vec![], 2, vec![1, 2]));
    }

    #[test]
    fn what_is_gone_is_passed_over() {
        let picked = journal(&[(900, "{}")]).pick(1, 500, 100).unwrap();
        assert_eq!((seqs(&picked), picked.through), (vec![], 899));
        assert_eq!(journal(&[(1, "{}")]).pick(2, 9, 100), None);
    }
}

//! What inputs show, held against what a step expects of them: a pure function of their changes.

use latchd::{
    domain::BoardId,
    wire::control::{InputChange, InputUse, WiringInput},
};

use super::plan::{self, Trial};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed(String),
    Failed(String),
}

/// Watches the inputs during one step.
pub struct Judge<'a> {
    input: &'a WiringInput,
    /// None: any change will do.
    wanted: Option<bool>,
    means: &'a str,
    /// It passes by being so, too.
    by_level: bool,
    uses: &'a [InputUse],
    /// What the input read as the step began.
    before: Option<bool>,
    /// Inputs that were on before the test: what returns to how it was is no sign of anything.
    rest: &'a dyn Fn(&BoardId, u8) -> bool,
    /// Another input that moved, while ours has not.
    suspect: Option<(BoardId, InputChange)>,
}

impl<'a> Judge<'a> {
    /// Of a step that is about an input. `level`: what that reads now, if its board is there.
    pub fn of(
        trial: &'a Trial,
        level: Option<bool>,
        uses: &'a [InputUse],
        rest: &'a dyn Fn(&BoardId, u8) -> bool,
    ) -> Option<Self> {
        let (input, wanted, means, by_level) = match trial {
            Trial::Reads { input, level, means } => (input, Some(*level), *means, true),
            Trial::Turns { input, to, means, .. } => (input, *to, *means, false),
            Trial::Drive { .. } | Trial::Nothing { .. } => return None,
        };
        Some(Judge { input, wanted, means, by_level, uses, before: level, rest, suspect: None })
    }

    /// What can be said before anything has moved.
    pub fn at_once(&self) -> Option<Verdict> {
        let as_wanted = self.by_level && self.before.is_some() && self.before == self.wanted;
        as_wanted.then(|| Verdict::Passed(format!("input {} reads {}", self.input.input, self.means)))
    }

    /// Inputs that one reading of a board showed changed.
    pub fn reads(&mut self, board: &BoardId, changes: &[InputChange]) -> Option<Verdict> {
        let is_ours = |change: &&InputChange| *board == self.input.board && change.input == self.input.input;
        let other = changes.iter().find(|change| !is_ours(change)).copied();
        let Some(ours) = changes.iter().find(is_ours).copied() else {
            let other = other.filter(|other| other.on != (self.rest)(board, other.input));
            if let (Some(other), None) = (other, &self.suspect) {
                self.suspect = Some((board.clone(), other));
            }
            return None;
        };
        let number = self.input.input;
        if let Some(other) = other {
            return Some(Verdict::Failed(format!(
                "two inputs changed at once: {number}, and {}; look for a wire that bridges them",
                self.named(board, other.input)
            )));
        }
        Some(match self.wanted {
            None => Verdict::Passed(format!("input {number} went {}", on(ours.on))),
            Some(wanted) if wanted == ours.on => {
                Verdict::Passed(format!("input {number} went {}: {}", on(ours.on), self.means))
            }
            Some(_) => Verdict::Failed(format!(
                "input {number} went {}, the wrong way round: set invert = {} at it, or use the contact's other \
                 terminal",
                on(ours.on),
                !self.input.invert
            )),
        })
    }

    /// Whether it is clear enough that the wrong input moved, so that it need not be waited for longer.
    pub fn suspects(&self) -> bool {
        self.suspect.is_some()
    }

    /// Nothing more is waited for.
    pub fn given_up(&self, waited_s: u64) -> Verdict {
        let number = self.input.input;
        if let Some((board, change)) = &self.suspect {
            return Verdict::Failed(format!(
                "input {number} did not change, but {} did: it is wired there, or the configuration names the \
                 wrong one",
                self.named(board, change.input)
            ));
        }
        if self.before.is_none() {
            return Verdict::Failed(format!(
                "board {} is not connected, so nothing is read",
                self.input.board
            ));
        }
        if self.by_level {
            return Verdict::Failed(format!(
                "input {number} reads {}, which is not {}, and did not change within {waited_s} s: a wire is off, the \
                 magnet too far away, or it is the wrong way round (the next step tells)",
                self.before.map_or("nothing", on),
                self.means
            ));
        }
        Verdict::Failed(format!(
            "no feedback: input {number} did not change within {waited_s} s, and reads {}; look at the wire, the \
             contact and the number of the input",
            self.before.map_or("nothing", on)
        ))
    }

    fn named(&self, board: &BoardId, input: u8) -> String {
        named(self.uses, board, input)
    }
}

pub fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// An input, with what it is for: `input 3 of board-1 (the exit button of floor-2)`.
pub fn named(uses: &[InputUse], board: &BoardId, input: u8) -> String {
    let used = uses.iter().find(|used| used.board == *board && used.input == input);
    let of = match used {
        None => "of nothing in the configuration".to_owned(),
        Some(InputUse { role, door: Some(door), .. }) => format!("the {} of {door}", plan::role(*role)),
        Some(InputUse { role, door: None, .. }) => format!("the {}", plan::role(*role)),
    };
    format!("input {input} of {board} ({of})")
}

#[cfg(test)]
mod tests {
    use latchd::wire::control::TestOf;

    use super::{super::plan::Step, *};

    fn board() -> BoardId {
        BoardId::new("board-1").unwrap()
    }

    fn step(name: &str) -> Step {
        let report = plan::samples::report();
        let steps = plan::steps(&TestOf::Door("entrance".parse().unwrap()), &report);
        steps.into_iter().find(|step| step.name == name).unwrap()
    }

    /// What comes of readings, each some changes.
    fn judged(name: &str, level: bool, readings: &[&[(u8, bool)]]) -> Verdict {
        let (step, uses) = (step(name), plan::samples::report().inputs);
        let at_rest = |_: &BoardId, input: u8| input == 0;
        let mut judge = Judge::of(&step.trial, Some(level), &uses, &at_rest).unwrap();
        if let Some(verdict) = judge.at_once() {
            return verdict;
        }
        for reading in readings {
            let changes: Vec<_> = reading.iter().map(|&(input, on)| InputChange { input, on }).collect();
            if let Some(verdict) = judge.reads(&board(), &changes) {
                return verdict;
            }
        }
        judge.given_up(30)
    }

    fn passed(verdict: Verdict) -> String {
        match verdict {
            Verdict::Passed(text) => text,
            Verdict::Failed(text) => panic!("{text}"),
        }
    }

    fn failed(verdict: Verdict) -> String {
        match verdict {
            Verdict::Failed(text) => text,
            Verdict::Passed(text) => panic!("passed: {text}"),
        }
    }

    #[test]
    fn what_is_wired_right_passes() {
        assert_eq!(passed(judged("contact_shut", true, &[])), "input 0 reads shut");
        assert_eq!(passed(judged("contact_shut", false, &[&[(0, true)]])), "input 0 went on: shut");
        assert_eq!(passed(judged("contact_opens", true, &[&[(0, false)]])), "input 0 went off: open");
        // The configuration turns this one round.
        assert_eq!(passed(judged("rex_pressed", true, &[&[(1, false)]])), "input 1 went off: pressed");
    }

    #[test]
    fn a_contact_the_wrong_way_round_is_found() {
        let said = failed(judged("contact_opens", false, &[&[(0, true)]]));
        assert!(said.contains("the wrong way round: set invert = true"), "{said}");
        let said = failed(judged("rex_pressed", false, &[&[(1, true)]]));
        assert!(said.contains("set invert = false"), "{said}");
        let said = failed(judged("contact_shut", false, &[]));
        assert!(
            said.contains("reads off, which is not shut") && said.contains("the next step tells"),
            "{said}"
        );
    }

    #[test]
    fn a_wire_on_another_input_is_found_by_what_that_is_for() {
        let said = failed(judged("contact_opens", true, &[&[(1, true)]]));
        assert!(said.contains("but input 1 of board-1 (the exit button of entrance) did"), "{said}");
        let said = failed(judged("contact_opens", true, &[&[(5, true)]]));
        assert!(said.contains("input 5 of board-1 (of nothing in the configuration)"), "{said}");
    }

    #[test]
    fn another_input_before_the_right_one_is_no_fault() {
        // A handle with a switch in it is an exit button, too.
        assert_eq!(
            passed(judged("contact_opens", true, &[&[(1, true)], &[(0, false)]])),
            "input 0 went off: open"
        );
    }

    #[test]
    fn a_button_that_is_let_go_of_is_no_sign_of_anything() {
        let said = failed(judged("contact_opens", true, &[&[(5, false)]]));
        assert!(said.starts_with("no feedback"), "{said}");
    }

    #[test]
    fn two_inputs_at_once_are_found() {
        let said = failed(judged("contact_opens", true, &[&[(0, false), (1, true)]]));
        assert!(said.starts_with("two inputs changed at once: 0, and input 1"), "{said}");
    }

    #[test]
    fn no_feedback_is_said_with_what_is_read() {
        let said = failed(judged("contact_opens", true, &[]));
        assert!(said.starts_with("no feedback: input 0 did not change within 30 s, and reads on;"), "{said}");
        let (step, uses) = (step("contact_opens"), plan::samples::report().inputs);
        let at_rest = |_: &BoardId, _: u8| false;
        let judge = Judge::of(&step.trial, None, &uses, &at_rest).unwrap();
        assert_eq!(failed(judge.given_up(1)), "board board-1 is not connected, so nothing is read");
    }
}

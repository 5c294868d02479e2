//! `board test` and `door test`: walks a technician through the wiring, step by step, each confirmed by what inputs show.
//!
//! ```text
//!  the daemon's plan ─► plan: steps ─► trial, here ─► outcome ─► lines · JSON · report
//!                                        │  ▲
//!        orders to doors, recorded ◄─────┘  └───── inputs as they change ─► judge: a verdict, or not yet
//! ```
//!
//! Strikes are driven as `door access` does it, over a connection of its own: there is no other way to a coil.

use std::{io::IsTerminal as _, io::Write as _, path::Path, time::Duration};

use latchd::{
    domain::{At, BoardId, DoorId},
    drivers::clock,
    wire::control::{TestOf, WiringReport},
};
use serde::Serialize;

use super::{
    args::Testing as Arguments,
    client::Client,
    failure::Failure,
    output::Output,
    text::{Style, Tone},
    whole::{Existing, Whole},
};

mod face;
mod judge;
mod plan;
mod report;
mod trial;

use face::Face;
use trial::{Bench, Ended};

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Such as `strike`, `contact_opens`.
    pub step: &'static str,
    /// Left out of a board's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorId>,
    /// Which part it is about, in words.
    pub title: String,
    /// What came of it.
    pub result: Result,
    /// What was seen, or why it failed.
    pub detail: String,
    /// When it ended.
    pub at: At,
    /// Inputs that changed meanwhile.
    pub changes: Vec<Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    Passed,
    Failed,
    Skipped,
    /// The test ended before it.
    NotDone,
}

impl Result {
    fn word(self) -> &'static str {
        match self {
            Result::Passed => "passed",
            Result::Failed => "failed",
            Result::Skipped => "skipped",
            Result::NotDone => "not done",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Result::Passed => Tone::Good,
            Result::Failed => Tone::Bad,
            Result::Skipped | Result::NotDone => Tone::Warning,
        }
    }
}

/// An input that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// When.
    pub at: At,
    /// Which board's.
    pub board: BoardId,
    /// Its number there, from 0.
    pub input: u8,
    /// What it reads since.
    pub on: bool,
}

/// How it is told.
#[derive(Debug)]
pub struct Telling {
    pub out: Output,
    pub style: Style,
    pub json: bool,
    /// A question stands at the end of the line.
    pub is_asking: bool,
    /// What came of the step has been told, as part of a question.
    pub is_told: bool,
}

impl Telling {
    /// For people; where JSON is wanted, beside it.
    pub fn say(&mut self, text: &str) -> std::result::Result<(), Failure> {
        if std::mem::take(&mut self.is_asking) {
            self.write("\n")?;
        }
        self.write(text)
    }

    /// The same, for something that is answered on the same line.
    pub fn ask(&mut self, text: &str) -> std::result::Result<(), Failure> {
        self.say(text)?;
        self.is_asking = true;
        Ok(())
    }

    /// With the line's end that was typed.
    pub fn answered(&mut self) {
        self.is_asking = false;
    }

    pub fn failed(&mut self, detail: &str) -> std::result::Result<(), Failure> {
        let word = self.style.paint(Tone::Bad, Result::Failed.word());
        self.say(&format!("      {word}: {detail}\n"))?;
        self.is_told = true;
        Ok(())
    }

    fn write(&mut self, text: &str) -> std::result::Result<(), Failure> {
        if self.json {
            eprint!("{text}");
            return Ok(());
        }
        self.out.text(text)?;
        self.out.flush()
    }

    fn outcome(&mut self, outcome: &Outcome) -> std::result::Result<(), Failure> {
        let Outcome { result, detail, .. } = outcome;
        let word = self.style.paint(result.tone(), result.word());
        if !std::mem::take(&mut self.is_told) {
            self.say(&format!("      {word}: {detail}\n"))?;
        }
        if self.json {
            self.out.json(outcome)?;
            self.out.flush()?;
        }
        Ok(())
    }
}

pub fn run(
    watching: Client,
    socket: &Path,
    of: TestOf,
    asked: &Arguments,
    mut telling: Telling,
) -> std::result::Result<(), Failure> {
    let face = face(asked.yes)?;
    // Before anything is driven: a report that can't be written is no reason to do it all again.
    let file = asked.report.as_deref().map(open).transpose()?;
    let mut bench = Bench::begin(watching, Client::connect(socket)?, &of, face)?;
    bench.limit = Duration::from_secs(asked.timeout.into());
    let steps = plan::steps(&of, bench.plan());
    telling.say(&introduction(&of, bench.plan(), &steps, bench.face.is_person()))?;
    let mut ended = bench.may_begin(&mut telling)?;
    let mut outcomes = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let number = format!("[{}/{}] ", n + 1, steps.len());
        let title = telling.style.paint(Tone::Strong, &step.title);
        telling.say(&format!("{number}{title}\n"))?;
        let outcome = match &ended {
            Some(why) => bench.not_done(step, why),
            None => {
                let (outcome, end) = bench.step(step, &mut telling)?;
                ended = end;
                outcome
            }
        };
        telling.outcome(&outcome)?;
        outcomes.push(outcome);
    }
    if let Some(Ended::Stopped(why)) = &ended {
        telling.say(&format!("{}: {why}\n", telling.style.paint(Tone::Bad, "the test was ended")))?;
    }
    telling.say(&summary(&outcomes))?;
    if let Some((mut file, path)) = file.zip(asked.report.as_deref()) {
        let head = report::Head {
            of: &of,
            plan: bench.plan(),
            by: &bench.plan().by,
            ended: clock::wall().floor_ms(),
        };
        let written = file.write_all(report::markdown(&head, &outcomes).as_bytes());
        written.and_then(|()| file.finish()).map_err(failed(path))?;
        telling.say(&format!("the report is in {}\n", path.display()))?;
    }
    let failed = outcomes.iter().filter(|o| matches!(o.result, Result::Failed | Result::NotDone)).count();
    match failed {
        0 => telling.out.flush(),
        _ => Err(Failure::Some {
            failed: failed as u64,
            asked: outcomes.len() as u64,
            what: "steps did not pass",
        }),
    }
}

fn face(yes: bool) -> std::result::Result<Face, Failure> {
    if yes {
        return Ok(Face::Nobody);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "a wiring test asks at a terminal, and standard input is none; --yes asks nothing and goes by what the inputs \
             show"
                .into(),
        ));
    }
    Ok(Face::Person(std::io::BufReader::new(std::io::stdin())))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::File { doing: "write", path: path.clone(), error }
}

/// One of an earlier test is there until this one has ended.
fn open(path: &Path) -> std::result::Result<Whole, Failure> {
    Whole::begin(path, Existing::Replaced).map_err(failed(path))
}

/// What will be done, before it is.
fn introduction(of: &TestOf, plan: &WiringReport, steps: &[plan::Step], is_person: bool) -> String {
    let (what, id) = match of {
        TestOf::Board(id) => ("board", id.as_str()),
        TestOf::Door(id) => ("door", id.as_str()),
    };
    let mut text =
        format!("Wiring test of {what} {id}: {} steps, recorded as event {}.\n", steps.len(), plan.seq);
    for board in plan.boards.iter().filter(|board| !board.connected) {
        let detail = board.detail.as_deref().unwrap_or("not connected yet");
        text += &format!("Board {} is not connected: {detail}\n", board.board);
    }
    let driven: Vec<&str> = steps
        .iter()
        .filter(|step| matches!(step.trial, plan::Trial::Drive { .. }))
        .map(|step| step.title.as_str())
        .collect();
    if !driven.is_empty() {
        text += &format!("It releases doors, so watch who comes in: {}.\n", driven.join("; "));
    }
    if is_person {
        text += "At any time, with Enter: s skips a step, r repeats it, q ends the test.\n";
    }
    text
}

fn summary(outcomes: &[Outcome]) -> String {
    let of = |result: Result| outcomes.iter().filter(|outcome| outcome.result == result).count();
    let all = [Result::Passed, Result::Failed, Result::Skipped, Result::NotDone];
    let parts: Vec<String> =
        all.into_iter().filter(|r| of(*r) > 0).map(|r| format!("{} {}", of(r), r.word())).collect();
    format!("{} steps: {}\n", outcomes.len(), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_be_driven_is_said_before_it_is() {
        let plan = plan::samples::report();
        let of = TestOf::Board("board-1".parse().unwrap());
        let steps = plan::steps(&of, &plan);
        insta::assert_snapshot!(introduction(&of, &plan, &steps, true), @r"
        Wiring test of board board-1: 5 steps, recorded as event 12.
        It releases doors, so watch who comes in: strike of Main entrance (board-1, coil 0).
        At any time, with Enter: s skips a step, r repeats it, q ends the test.
        ");
    }

    #[test]
    fn an_outcome_is_a_line_for_scripts() {
        let at = At::parse("2026-11-23T08:00:12Z").unwrap();
        let outcome = Outcome {
            step: "contact_opens",
            door: Some("entrance".parse().unwrap()),
            title: "contact of Main entrance (board-1, input 0)".into(),
            result: Result::NotDone,
            detail: "no feedback".into(),
            at,
            changes: vec![Seen { at, board: "board-1".parse().unwrap(), input: 1, on: true }],
        };
        insta::assert_snapshot!(serde_json::to_string(&outcome).unwrap(), @r#"{"step":"contact_opens","door":"entrance","title":"contact of Main entrance (board-1, input 0)","result":"not_done","detail":"no feedback","at":"2026-11-23T08:00:12Z","changes":[{"at":"2026-11-23T08:00:12Z","board":"board-1","input":1,"on":true}]}"#);
    }
}

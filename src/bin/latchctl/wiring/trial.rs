//! A step as it goes on: the strike driven, inputs watched, whoever stands there asked.

use std::{collections::BTreeMap, time::Duration};

use latchd::{
    domain::{At, BoardId, DoorId},
    drivers::clock,
    wire::control::{Answer, InputChange, OrderQuery, Request, TestOf, WiringNews, WiringReport},
};
use serde_json::Value;

use super::{
    Outcome, Result, Seen, Telling,
    face::{Face, First, Typed},
    judge::{self, Judge, Verdict},
    plan::{Step, Trial},
};
use crate::{
    ask::typed as parsed,
    client::{Client, Patience},
    failure::Failure,
};

/// How long the right input may come after a wrong one: a handle with a switch in it is turned before the door moves.
const AFTER_ANOTHER: Duration = Duration::from_secs(3);
/// How long waiting goes on between two looks at the time.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const REASON: &str = "wiring test";

/// Why no more steps are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    ByTechnician,
    Stopped(String),
}

/// What a step came to.
enum Came {
    To(Verdict),
    Skipped(String),
    Repeat,
    Quit,
}

/// What is heard while something is waited for.
enum Heard {
    Inputs(BoardId, Vec<InputChange>),
    Typed(Typed),
    Nothing,
}

/// The connections, what inputs read, and who is asked.
#[derive(Debug)]
pub struct Bench {
    watching: Client,
    orders: Client,
    plan: WiringReport,
    pub face: Face,
    pub limit: Duration,
    levels: BTreeMap<(BoardId, u8), bool>,
    connected: BTreeMap<BoardId, bool>,
    stopped: Option<String>,
    /// Of the step under way.
    changes: Vec<Seen>,
}

impl Bench {
    pub fn begin(
        mut watching: Client,
        orders: Client,
        of: &TestOf,
        face: Face,
    ) -> std::result::Result<Self, Failure> {
        watching.send(Request::WiringTest { of: of.clone() }, Patience::Prompt)?;
        let plan = match watching.next()? {
            Answer::Item(value) => {
                let WiringNews::Plan(plan) = parsed(value)? else {
                    return Err(Failure::Unreadable("a wiring test begins with a plan".into()));
                };
                plan
            }
            Answer::Done(_) => return Err(Failure::Unreadable("no plan".into())),
            Answer::Error(refusal) => return Err(Failure::refused(refusal)),
        };
        let levels = plan
            .boards
            .iter()
            .flat_map(|board| (0..64).map(|input| ((board.board.clone(), input), board.on.contains(&input))));
        Ok(Bench {
            levels: levels.collect(),
            connected: plan.boards.iter().map(|board| (board.board.clone(), board.connected)).collect(),
            watching,
            orders,
            plan,
            face,
            limit: Duration::from_secs(30),
            stopped: None,
            changes: Vec::new(),
        })
    }

    pub fn plan(&self) -> &WiringReport {
        &self.plan
    }

    /// Whether whoever is there wants it.
    pub fn may_begin(&mut self, telling: &mut Telling) -> std::result::Result<Option<Ended>, Failure> {
        if !self.face.is_person() {
            return Ok(None);
        }
        telling.ask("Enter begins, q ends: ")?;
        Ok(match self.typed(telling)? {
            Typed::Quit | Typed::No => Some(Ended::ByTechnician),
            Typed::Enter | Typed::Yes | Typed::Skip | Typed::Repeat | Typed::Unclear => self.ended(),
        })
    }

    fn ended(&self) -> Option<Ended> {
        self.stopped.clone().map(Ended::Stopped)
    }

    pub fn not_done(&mut self, step: &Step, why: &Ended) -> Outcome {
        let detail = match why {
            Ended::ByTechnician => "the test was ended before".to_owned(),
            Ended::Stopped(why) => why.clone(),
        };
        self.outcome(step, Result::NotDone, detail)
    }

    fn outcome(&mut self, step: &Step, result: Result, detail: String) -> Outcome {
        let Step { name, door, title, .. } = step;
        Outcome {
            step: name,
            door: door.clone(),
            title: title.clone(),
            result,
            detail,
            at: clock::wall().floor_ms(),
            changes: std::mem::take(&mut self.changes),
        }
    }

    /// A step, as often as it is wanted.
    pub fn step(
        &mut self,
        step: &Step,
        telling: &mut Telling,
    ) -> std::result::Result<(Outcome, Option<Ended>), Failure> {
        loop {
            self.changes.clear();
            if !step.tell.is_empty() {
                telling.say(&format!("      {}\n", step.tell))?;
            }
            let came = self.attempt(step, telling)?;
            if let Some(end) = self.ended() {
                let detail = match &end {
                    Ended::Stopped(why) => why.clone(),
                    Ended::ByTechnician => String::new(),
                };
                return Ok((self.outcome(step, Result::NotDone, detail), Some(end)));
            }
            let (result, detail) = match came {
                Came::Repeat => continue,
                Came::Quit => {
                    let detail = "ended by the technician".to_owned();
                    return Ok((self.outcome(step, Result::NotDone, detail), Some(Ended::ByTechnician)));
                }
                Came::Skipped(why) => (Result::Skipped, why),
                Came::To(Verdict::Passed(detail)) => (Result::Passed, detail),
                Came::To(Verdict::Failed(detail)) => {
                    match self.after_failure(&detail, telling)? {
                        Typed::Repeat => continue,
                        Typed::Quit => {
                            return Ok((
                                self.outcome(step, Result::Failed, detail),
                                Some(Ended::ByTechnician),
                            ));
                        }
                        Typed::Enter | Typed::Yes | Typed::No | Typed::Skip | Typed::Unclear => {}
                    }
                    (Result::Failed, detail)
                }
            };
            return Ok((self.outcome(step, result, detail), self.ended()));
        }
    }

    fn after_failure(&mut self, detail: &str, telling: &mut Telling) -> std::result::Result<Typed, Failure> {
        if !self.face.is_person() {
            return Ok(Typed::Enter);
        }
        telling.failed(detail)?;
        telling.ask("      r repeats the step, Enter goes on, q ends: ")?;
        self.typed(telling)
    }

    fn attempt(&mut self, step: &Step, telling: &mut Telling) -> std::result::Result<Came, Failure> {
        match &step.trial {
            Trial::Nothing { why } => Ok(Came::Skipped(why.clone())),
            Trial::Drive { door } => self.strike(door, telling),
            Trial::Reads { .. } => {
                if let Some(came) = self.ready("Enter when it is done", telling)? {
                    return Ok(came);
                }
                self.watch(&step.trial, telling)
            }
            Trial::Turns { release, .. } => {
                if let Some(door) = release {
                    if let Some(came) = self.ready("Enter drives the strike", telling)? {
                        return Ok(came);
                    }
                    if let Err(why) = self.drive(door)? {
                        return Ok(Came::To(Verdict::Failed(why)));
                    }
                }
                self.watch(&step.trial, telling)
            }
        }
    }

    fn strike(&mut self, door: &DoorId, telling: &mut Telling) -> std::result::Result<Came, Failure> {
        if let Some(came) = self.ready("Enter drives it", telling)? {
            return Ok(came);
        }
        let seq = match self.drive(door)? {
            Ok(seq) => seq,
            Err(why) => return Ok(Came::To(Verdict::Failed(why))),
        };
        let confirmed = format!("the board confirmed the pulse (event {seq})");
        if !self.face.is_person() {
            let detail = format!("{confirmed}; nobody was asked whether the lock moved");
            return Ok(Came::To(Verdict::Passed(detail)));
        }
        loop {
            telling
                .ask(&format!("      {confirmed}. Did the lock release? y, n, or r to drive it again: "))?;
            return Ok(match self.typed(telling)? {
                Typed::Yes => Came::To(Verdict::Passed(format!("{confirmed}, and the lock released"))),
                Typed::No => Came::To(Verdict::Failed(format!(
                    "{confirmed}, but the lock did not release: look at the coil's number, the lock's power and its wire"
                ))),
                Typed::Repeat => Came::Repeat,
                Typed::Skip => Came::Skipped("skipped by the technician".into()),
                Typed::Quit => Came::Quit,
                Typed::Enter | Typed::Unclear => continue,
            });
        }
    }

    /// Whether whoever is there is; what comes of the step if they won't.
    fn ready(&mut self, what: &str, telling: &mut Telling) -> std::result::Result<Option<Came>, Failure> {
        if !self.face.is_person() {
            return Ok(None);
        }
        telling.ask(&format!("      {what}: "))?;
        Ok(match self.typed(telling)? {
            Typed::Skip | Typed::No => Some(Came::Skipped("skipped by the technician".into())),
            Typed::Quit => Some(Came::Quit),
            Typed::Enter | Typed::Yes | Typed::Repeat | Typed::Unclear => None,
        })
    }

    /// Drives the strike as `door access` does. The entry it stands in, or why not.
    fn drive(&mut self, door: &DoorId) -> std::result::Result<std::result::Result<u64, String>, Failure> {
        let order = OrderQuery { action: "access".into(), for_s: None, reason: Some(REASON.into()) };
        let request = Request::DoorOrder { door: door.clone(), order };
        match self.orders.ask(request, Patience::Prompt, &mut |_| Ok(())) {
            Ok(done) => Ok(Ok(done.get("seq").and_then(Value::as_u64).unwrap_or_default())),
            Err(Failure::Refused(refusal)) => Ok(Err(refusal.message)),
            Err(other) => Err(other),
        }
    }

    /// Watches an input until there is a verdict, or it is not worth waiting any longer.
    fn watch(&mut self, trial: &Trial, telling: &mut Telling) -> std::result::Result<Came, Failure> {
        let (Trial::Reads { input, .. } | Trial::Turns { input, .. }) = trial else {
            return Ok(Came::Skipped("it is about no input".into()));
        };
        let place = (input.board.clone(), input.input);
        let is_there = self.connected.get(&input.board).copied().unwrap_or(false);
        let level = self.levels.get(&place).copied().filter(|_| is_there);
        let uses = self.plan.inputs.clone();
        let rest: Vec<(BoardId, u8)> = self
            .plan
            .boards
            .iter()
            .flat_map(|board| board.on.iter().map(|&input| (board.board.clone(), input)))
            .collect();
        let at_rest = |board: &BoardId, input: u8| rest.iter().any(|(b, i)| b == board && *i == input);
        let Some(mut judge) = Judge::of(trial, level, &uses, &at_rest) else {
            return Ok(Came::Skipped("it is about no input".into()));
        };
        if let Some(verdict) = judge.at_once() {
            return Ok(Came::To(verdict));
        }
        let begun = clock::mono();
        let mut until = begun.plus(self.limit);
        while clock::mono() < until && self.stopped.is_none() {
            match self.hear(telling)? {
                Heard::Nothing => {}
                Heard::Inputs(board, changes) => {
                    if let Some(verdict) = judge.reads(&board, &changes) {
                        return Ok(Came::To(verdict));
                    }
                    if judge.suspects() {
                        until = until.min(clock::mono().plus(AFTER_ANOTHER));
                    }
                }
                Heard::Typed(Typed::Skip) => return Ok(Came::Skipped("skipped by the technician".into())),
                Heard::Typed(Typed::Repeat) => return Ok(Came::Repeat),
                Heard::Typed(Typed::Quit) => return Ok(Came::Quit),
                Heard::Typed(Typed::Enter | Typed::Yes | Typed::No | Typed::Unclear) => {}
            }
        }
        Ok(Came::To(judge.given_up(clock::mono().since(begun).as_secs())))
    }

    /// Waits for a line, and shows what changes meanwhile.
    fn typed(&mut self, telling: &mut Telling) -> std::result::Result<Typed, Failure> {
        while self.stopped.is_none() {
            if let Heard::Typed(typed) = self.hear(telling)? {
                telling.answered();
                return Ok(typed);
            }
        }
        Ok(Typed::Quit)
    }

    /// The next thing, for a moment.
    fn hear(&mut self, telling: &mut Telling) -> std::result::Result<Heard, Failure> {
        if !self.watching.has_line() {
            match self.face.wait(self.watching.reading(), LOOK_EVERY)? {
                First::Typed(typed) => return Ok(Heard::Typed(typed)),
                First::Nothing => return Ok(Heard::Nothing),
                First::Heard => {}
            }
        }
        let news: WiringNews = match self.watching.next()? {
            Answer::Item(value) => parsed(value)?,
            Answer::Done(_) => return Ok(Heard::Nothing),
            Answer::Error(refusal) => return Err(Failure::refused(refusal)),
        };
        match news {
            WiringNews::Plan(_) => Ok(Heard::Nothing),
            WiringNews::Inputs { at, board, changes } => {
                for change in &changes {
                    self.changed(at, &board, *change, telling)?;
                }
                Ok(Heard::Inputs(board, changes))
            }
            WiringNews::Board { board, connected, detail, .. } => {
                let state = if connected { "connected" } else { "lost" };
                telling.say(&format!("      board {board} is {state}: {detail}\n"))?;
                self.connected.insert(board, connected);
                Ok(Heard::Nothing)
            }
            WiringNews::Stop { why, .. } => {
                self.stopped = Some(why);
                Ok(Heard::Nothing)
            }
            WiringNews::Missed { count } => {
                telling.say(&format!("      {count} changes came faster than they could be shown\n"))?;
                Ok(Heard::Nothing)
            }
        }
    }

    fn changed(
        &mut self,
        at: At,
        board: &BoardId,
        InputChange { input, on }: InputChange,
        telling: &mut Telling,
    ) -> std::result::Result<(), Failure> {
        self.levels.insert((board.clone(), input), on);
        self.changes.push(Seen { at, board: board.clone(), input, on });
        let (time, word) = (self.plan.time_zone.show_time(at), judge::on(on));
        let named = judge::named(&self.plan.inputs, board, input);
        telling.say(&format!("      {time}  {named} went {word}\n"))
    }
}

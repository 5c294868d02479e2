//! The running boards, line by line; and what becomes of each when the configuration is another.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{FutureExt as _, join_all};
use tokio::sync::mpsc::Sender;

use super::super::{
    check::HOST_PULSES,
    config::{self, Config},
};
use crate::{
    control::{BoardCommand, BoardEvent, Event},
    domain::BoardId,
    drivers::door::modbus::{self, Address, Pulse},
};

/// The running boards.
#[derive(Debug, Default)]
pub struct Boards {
    handles: BTreeMap<BoardId, modbus::Handle>,
    lines: Vec<Line>,
}

/// A line, and what is asked of its boards, in their order there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    address: Address,
    boards: Vec<modbus::Config>,
}

impl Line {
    /// What this line becomes, if it can go on: all its boards are there still and the same, others may be behind
    /// them. `None` if it has to begin anew, or to end.
    fn becomes(&self, new: &[Line]) -> Option<Line> {
        let new = new.iter().find(|line| line.address == self.address)?;
        let find = |own: &modbus::Config| new.boards.iter().find(|board| own.can_become(board));
        let kept: Option<Vec<&modbus::Config>> = self.boards.iter().map(find).collect();
        let mut boards: Vec<modbus::Config> = kept?.into_iter().cloned().collect();
        let is_kept = |board: &modbus::Config| self.boards.iter().any(|own| own.board == board.board);
        boards.extend(new.boards.iter().filter(|board| !is_kept(board)).cloned());
        Some(Line { address: self.address.clone(), boards })
    }
}

impl Boards {
    /// Starts the boards' tasks, one for each line. Must be called in the door loop's runtime.
    pub fn start(config: &Config, events: &Sender<Event>) -> Self {
        let mut boards = Boards::default();
        for line in lines(config) {
            boards.begin(line, modbus::at_once(), events);
        }
        boards
    }

    /// Those that a changed configuration begins anew, or ends.
    pub fn not_kept(&self, config: &Config) -> BTreeSet<BoardId> {
        let new = lines(config);
        let gone = self.lines.iter().filter(|line| line.becomes(&new).is_none());
        gone.flat_map(|line| &line.boards).map(|board| board.board.clone()).collect()
    }

    /// As this configuration has them, from now on. Lines that are as they were go on, with what runs on them; ports
    /// of others are opened when whoever had them before has ended.
    pub fn change(&mut self, config: &Config, events: &Sender<Event>) {
        let new = lines(config);
        let old = std::mem::take(&mut self.lines);
        let (mut ending, mut kept) = (Vec::new(), Vec::new());
        for line in old {
            match line.becomes(&new) {
                Some(next) => kept.push(next),
                None => {
                    let handles = line.boards.iter().filter_map(|board| self.handles.remove(&board.board));
                    ending.push(modbus::let_go(handles.collect()));
                }
            }
        }
        let ended = join_all(ending).map(|_| ()).boxed().shared();
        for line in new {
            match kept.iter().position(|own| own.address == line.address) {
                Some(at) => self.go_on(kept.swap_remove(at)),
                None => self.begin(line, ended.clone(), events),
            }
        }
    }

    fn begin(&mut self, line: Line, after: modbus::Ended, events: &Sender<Event>) {
        let (ids, host): (Vec<_>, Vec<_>) =
            line.boards.iter().map(|b| (b.board.clone(), b.pulse == Pulse::Host)).unzip();
        for (id, _) in ids.iter().zip(host).filter(|(_, ends_pulses)| *ends_pulses) {
            tracing::warn!(board = %id, "{HOST_PULSES}");
        }
        let handles = modbus::spawn(line.address.clone(), line.boards.clone(), events.clone(), after);
        self.handles.extend(ids.into_iter().zip(handles));
        self.lines.push(line);
    }

    fn go_on(&mut self, line: Line) {
        let there: Vec<&modbus::Handle> =
            line.boards.iter().filter_map(|board| self.handles.get(&board.board)).collect();
        let behind: Vec<BoardId> = line.boards.iter().skip(there.len()).map(|b| b.board.clone()).collect();
        let added = modbus::change(&there, line.boards.clone());
        self.handles.extend(behind.into_iter().zip(added));
        self.lines.push(line);
    }

    /// Hands a command over without waiting. One that is not taken comes back as the event that says so.
    pub fn send(&self, board: &BoardId, command: BoardCommand) -> Option<Event> {
        let ticket = command.ticket();
        let refused = match self.handles.get(board) {
            Some(handle) => handle.command(command).err()?.to_string(),
            None => format!("board {board} is not configured"),
        };
        let what = BoardEvent::Failed { ticket, detail: refused };
        Some(Event::Board { board: board.clone(), what })
    }

    pub fn stop(&mut self) {
        self.handles.clear();
        self.lines.clear();
    }
}

/// The lines there are to be, each with its boards.
fn lines(config: &Config) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for board in &config.boards {
        let own = on_line(config, board);
        match lines.iter_mut().find(|line| line.address == board.line) {
            Some(line) => line.boards.push(own),
            None => lines.push(Line { address: board.line.clone(), boards: vec![own] }),
        }
    }
    lines
}

fn on_line(config: &Config, board: &config::Board) -> modbus::Config {
    let config::Board { coil_base, input_base, pulse, write_many, timeout, poll, .. } = *board;
    let id = &board.id.value;
    modbus::Config {
        board: id.clone(),
        unit: board.unit.value,
        coil_base,
        input_base,
        pulse,
        write_many,
        timeout,
        poll,
        coils: used(config.doors.iter().map(|d| (&d.lock.board.value, d.lock.coil.value)), id),
        // All of them where it is known how many there are: a wire on the wrong one is seen when wiring is tried.
        inputs: used(inputs(config), id).max(board.inputs().unwrap_or(0)),
    }
}

fn inputs(config: &Config) -> impl Iterator<Item = (&BoardId, u8)> {
    let of_doors = config.doors.iter().flat_map(|d| d.contact.iter().chain(d.rex.iter().map(|r| &r.input)));
    of_doors.chain(&config.fire).map(|i| (&i.board.value, i.input.value))
}

/// How many channels of a board are used: one more than the highest.
fn used<'a>(channels: impl Iterator<Item = (&'a BoardId, u8)>, board: &BoardId) -> u8 {
    channels.filter(|(b, _)| *b == board).map(|(_, n)| n + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::parse;

    const HEAD: &str =
        "[controller]\nid = \"a\"\ntime_zone = \"UTC\"\n[mqtt]\nurl = \"mqtt://b\"\nallow_unsigned = true\n";

    /// A line with these boards, each with so many doors.
    fn line(url: &str, boards: &[(&str, u8, u8)]) -> Line {
        let board = |(id, unit, _): &(&str, u8, u8)| {
            format!("[[boards]]\nid = \"{id}\"\nurl = \"{url}\"\nunit = {unit}\n")
        };
        let door = |id: &str, n: u8| {
            format!("[[doors]]\nid = \"{id}-{n}\"\nlock = {{ board = \"{id}\", coil = {n} }}\n")
        };
        let doors = boards.iter().flat_map(|(id, _, doors)| (0..*doors).map(move |n| door(id, n)));
        let text: String =
            [HEAD.to_owned()].into_iter().chain(boards.iter().map(board)).chain(doors).collect();
        let config = parse(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        lines(&config).remove(0)
    }

    const URL: &str = "modbus+rtu:///dev/x?baud=9600&parity=none";

    #[test]
    fn a_line_goes_on_while_its_boards_are_the_same_whatever_is_asked_of_them_and_whoever_joins_it() {
        let own = line(URL, &[("b-1", 1, 1), ("b-2", 2, 1)]);
        let more = line(URL, &[("b-3", 3, 1), ("b-2", 2, 2), ("b-1", 1, 1)]);
        let becomes = own.becomes(std::slice::from_ref(&more)).unwrap();
        let ids: Vec<&str> = becomes.boards.iter().map(|b| b.board.as_str()).collect();
        assert_eq!(ids, ["b-1", "b-2", "b-3"], "those it has stay in their places");
        assert_eq!(becomes.boards[1].coils, 2);
    }

    #[test]
    fn a_line_that_loses_a_board_or_whose_board_is_another_begins_anew() {
        let own = line(URL, &[("b-1", 1, 1), ("b-2", 2, 1)]);
        for other in [
            line(URL, &[("b-1", 1, 1)]),
            line(URL, &[("b-1", 1, 1), ("b-2", 3, 1)]),
            line("modbus+rtu:///dev/y?baud=9600&parity=none", &[("b-1", 1, 1), ("b-2", 2, 1)]),
        ] {
            assert_eq!(own.becomes(std::slice::from_ref(&other)), None, "{other:?}");
        }
        assert_eq!(own.becomes(&[]), None);
    }
}

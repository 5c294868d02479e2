//! What a technician needs to try the wiring of a door or a board, and when that may not be.
//!
//! Strikes are driven by orders as any other (`orders`), each with its own entry: there is no second way to a coil.

use super::{Asker, Controller, Who};
use crate::{
    control::{
        clock::Reading,
        settings::{DoorSettings, InputSettings},
    },
    domain::{BoardId, DoorId, DoorMode, Now, ReaderId, entry::OperatorCommand},
    wire::control::{InputRole, InputUse, TestOf, WiringBoard, WiringDoor, WiringInput, WiringReport},
};

/// Why there is no test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TestRefused {
    #[error("there is no door {0}; `latchctl doors` lists them")]
    NoDoor(DoorId),
    #[error("there is no board {0}; `latchctl status` lists them")]
    NoBoard(BoardId),
    #[error("the fire alarm is raised: doors are released, and nothing is tried until it is over")]
    Fire,
    #[error(
        "{0} is locked down: nothing is tried until that is released (`latchctl door lock-down-release`)"
    )]
    LockedDown(DoorId),
}

impl TestRefused {
    /// What is meant is not there, rather than not to be tried now.
    pub fn is_unknown(&self) -> bool {
        matches!(self, TestRefused::NoDoor(_) | TestRefused::NoBoard(_))
    }
}

impl Controller {
    /// Whether wiring may be tried: before a test, and all the while it lasts.
    pub fn may_test(&self, of: &TestOf) -> Result<(), TestRefused> {
        self.known(of)?;
        if self.fire.is_raised() {
            return Err(TestRefused::Fire);
        }
        let doors = self.settings.doors.iter().zip(&self.doors).filter(|(door, _)| is_tested(door, of));
        for (settings, door) in doors {
            if door.modes.mode() == DoorMode::LockedDown {
                return Err(TestRefused::LockedDown(settings.id.clone()));
            }
        }
        Ok(())
    }

    fn known(&self, of: &TestOf) -> Result<(), TestRefused> {
        match of {
            TestOf::Door(id) if self.settings.door_no(id).is_none() => Err(TestRefused::NoDoor(id.clone())),
            TestOf::Board(id) if !self.settings.boards.iter().any(|b| b.id == *id) => {
                Err(TestRefused::NoBoard(id.clone()))
            }
            TestOf::Door(_) | TestOf::Board(_) => Ok(()),
        }
    }

    /// Records that somebody tries wiring, or would have.
    pub(super) fn operator_tests(&mut self, now: Now, who: Who, by: &str, of: &TestOf) {
        let (action, door, detail) = match of {
            TestOf::Door(door) => ("door_test", Some(door.clone()), None),
            TestOf::Board(board) => ("board_test", None, Some(format!("board {board}"))),
        };
        match self.may_test(of) {
            Ok(()) => {
                let done = OperatorCommand { door, detail, ..OperatorCommand::done(by, action) };
                let seq = self.record_command(now, done);
                self.answer_done(Some(Asker { who, seq }));
            }
            Err(why) if why.is_unknown() => self.answer(who, Err(why.to_string())),
            Err(why) => {
                let refused = OperatorCommand::refused(by, action, why.to_string());
                self.record_command(now, OperatorCommand { door, ..refused });
                self.answer(who, Err(why.to_string()));
            }
        }
    }

    /// Records that somebody is shown cards as they are tapped: before they see any.
    pub(super) fn operator_watches(&mut self, now: Now, who: Who, by: &str, reader: Option<&ReaderId>) {
        let settings = reader.and_then(|reader| self.settings.reader(reader));
        let door = settings.map(|settings| settings.door.clone());
        let detail = reader.map(|reader| format!("reader {reader}"));
        let done = OperatorCommand { door, detail, ..OperatorCommand::done(by, "reader_watch") };
        let seq = self.record_command(now, done);
        self.answer_done(Some(Asker { who, seq }));
    }

    /// How it is wired, and what the inputs read.
    pub fn wiring_report(&self, reading: Reading, of: &TestOf, by: &str, seq: u64) -> WiringReport {
        let doors: Vec<WiringDoor> = self
            .settings
            .doors
            .iter()
            .zip(&self.doors)
            .filter(|(settings, _)| is_tested(settings, of))
            .map(|(settings, door)| WiringDoor {
                door: settings.id.clone(),
                name: settings.name.clone(),
                mode: door.modes.mode(),
                board: settings.board.clone(),
                coil: settings.coil,
                strike_ms: settings.strike.as_millis() as u64,
                contact: settings.contact.as_ref().map(wired),
                rex: settings.rex.as_ref().map(|rex| wired(&rex.input)),
            })
            .collect();
        let boards = self.boards_of(of);
        WiringReport {
            controller: self.settings.controller.clone(),
            version: self.settings.version.into(),
            time_zone: self.settings.zone,
            now: reading.wall.floor_ms(),
            by: by.to_owned(),
            seq,
            inputs: self.input_uses().filter(|used| boards.contains(&used.board)).collect(),
            boards: boards.into_iter().map(|board| self.wiring_board(board)).collect(),
            doors,
        }
    }

    /// The boards that a test watches, in the order they are configured.
    pub fn boards_of(&self, of: &TestOf) -> Vec<BoardId> {
        let of_door = |id: &DoorId| {
            let door = self.settings.doors.iter().find(|door| door.id == *id);
            door.map(|door| {
                let inputs = door.contact.iter().chain(door.rex.iter().map(|rex| &rex.input));
                inputs.map(|input| &input.board).chain([&door.board]).collect::<Vec<_>>()
            })
        };
        let wanted: Vec<&BoardId> = match of {
            TestOf::Board(board) => vec![board],
            TestOf::Door(door) => of_door(door).unwrap_or_default(),
        };
        let boards = self.settings.boards.iter().map(|board| &board.id);
        boards.filter(|board| wanted.contains(board)).cloned().collect()
    }

    fn wiring_board(&self, board: BoardId) -> WiringBoard {
        let link = self.boards.get(&board).cloned().unwrap_or_default();
        let inputs = self.inputs.get(&board).copied().unwrap_or_default();
        let url = self.settings.boards.iter().find(|b| b.id == board).map(|b| b.url.clone());
        WiringBoard {
            board,
            url: url.unwrap_or_default(),
            connected: link.connected,
            detail: link.detail,
            on: (0..64).filter(|&input| inputs.get(input)).collect(),
        }
    }

    fn input_uses(&self) -> impl Iterator<Item = InputUse> {
        let used = |input: &InputSettings, role, door: Option<&DoorId>| InputUse {
            board: input.board.clone(),
            input: input.input,
            role,
            door: door.cloned(),
        };
        let of_doors = self.settings.doors.iter().flat_map(move |door| {
            let contact = door.contact.iter().map(move |i| used(i, InputRole::Contact, Some(&door.id)));
            contact.chain(door.rex.iter().map(move |rex| used(&rex.input, InputRole::Rex, Some(&door.id))))
        });
        of_doors.chain(self.settings.fire.iter().map(move |input| used(input, InputRole::Fire, None)))
    }
}

fn is_tested(door: &DoorSettings, of: &TestOf) -> bool {
    match of {
        TestOf::Door(id) => door.id == *id,
        TestOf::Board(board) => door.board == *board,
    }
}

fn wired(input: &InputSettings) -> WiringInput {
    WiringInput { board: input.board.clone(), input: input.input, invert: input.invert }
}

//! What a wiring test does, step by step, out of what the daemon says is configured.

use latchd::{
    domain::{DoorId, DoorMode},
    wire::control::{InputRole, InputUse, TestOf, WiringDoor, WiringInput, WiringReport},
};

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For scripts: `strike`, `contact_opens`.
    pub name: &'static str,
    pub door: Option<DoorId>,
    /// Which part it is about: `strike of entrance (board-1, coil 0)`.
    pub title: String,
    /// What the technician is to do, or what will happen.
    pub tell: String,
    pub trial: Trial,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// The strike is driven once; the board confirms it, and whoever stands there hears it.
    Drive { door: DoorId },
    /// The input reads so, or comes to.
    Reads { input: WiringInput, level: bool, means: &'static str },
    /// The input changes: to a level, or in any way. The door is released before, where it takes that.
    Turns { input: WiringInput, to: Option<bool>, means: &'static str, release: Option<DoorId> },
    /// There is nothing to try, and why.
    Nothing { why: String },
}

/// The steps of a test.
pub fn steps(of: &TestOf, plan: &WiringReport) -> Vec<Step> {
    match of {
        TestOf::Door(_) => plan.doors.iter().flat_map(of_door).collect(),
        TestOf::Board(_) => {
            let coils = plan.doors.iter().map(strike);
            let inputs = plan.inputs.iter().map(|used| of_input(used, plan));
            coils.chain(inputs).collect()
        }
    }
}

fn of_door(door: &WiringDoor) -> Vec<Step> {
    let mut steps = vec![strike(door)];
    match &door.contact {
        None => {
            steps.push(absent("contact", door, "no contact is configured: nobody knows whether it is open"))
        }
        Some(contact) => steps.extend(contact_of(door, contact)),
    }
    match &door.rex {
        None => steps.push(absent("rex", door, "no exit button is configured")),
        Some(rex) => steps.extend(rex_of(door, rex)),
    }
    steps
}

fn strike(door: &WiringDoor) -> Step {
    let WiringDoor { board, coil, strike_ms, .. } = door;
    let seconds = strike_ms.div_ceil(1000);
    let trial = match door.mode {
        DoorMode::Locked | DoorMode::Accessed => Trial::Drive { door: door.door.clone() },
        other @ (DoorMode::Unlocked | DoorMode::Blocked | DoorMode::LockedDown | DoorMode::LockedOpen) => {
            let mode = other.as_str().replace('_', " ");
            Trial::Nothing {
                why: format!("the door is {mode}; lock it first (latchctl door lock {})", door.door),
            }
        }
    };
    Step {
        name: "strike",
        door: Some(door.door.clone()),
        title: format!("strike of {} ({board}, coil {coil})", door.name),
        tell: format!("The strike is driven for {seconds} s: the lock releases, and is locked again after."),
        trial,
    }
}

fn contact_of(door: &WiringDoor, contact: &WiringInput) -> [Step; 3] {
    // Closed is on, unless it is inverted.
    let (shut, open) = (!contact.invert, contact.invert);
    let step = |name, tell: &str, trial| Step {
        name,
        door: Some(door.door.clone()),
        title: format!("contact of {} ({}, input {})", door.name, contact.board, contact.input),
        tell: tell.to_owned(),
        trial,
    };
    let turns = |to, means, release| Trial::Turns { input: contact.clone(), to: Some(to), means, release };
    [
        step(
            "contact_shut",
            "Shut the door: its contact must read shut.",
            Trial::Reads { input: contact.clone(), level: shut, means: "shut" },
        ),
        step(
            "contact_opens",
            "The strike is driven: open the door, and leave it open.",
            turns(open, "open", Some(door.door.clone())),
        ),
        step("contact_shuts", "Shut the door again.", turns(shut, "shut", None)),
    ]
}

fn rex_of(door: &WiringDoor, rex: &WiringInput) -> [Step; 2] {
    let (pressed, released) = (!rex.invert, rex.invert);
    let step = |name, tell: &str, to, means| Step {
        name,
        door: Some(door.door.clone()),
        title: format!("exit button of {} ({}, input {})", door.name, rex.board, rex.input),
        tell: tell.to_owned(),
        trial: Trial::Turns { input: rex.clone(), to: Some(to), means, release: None },
    };
    [
        step("rex_pressed", "Press the exit button, and hold it.", pressed, "pressed"),
        step("rex_released", "Let go of the exit button.", released, "let go"),
    ]
}

fn absent(name: &'static str, door: &WiringDoor, why: &str) -> Step {
    Step {
        name,
        door: Some(door.door.clone()),
        title: format!("{name} of {}", door.name),
        tell: String::new(),
        trial: Trial::Nothing { why: why.to_owned() },
    }
}

/// Any input of a board, by what it is for.
fn of_input(used: &InputUse, plan: &WiringReport) -> Step {
    let door = used.door.as_ref();
    let here = plan.doors.iter().find(|d| Some(&d.door) == door);
    let of = door.map(|door| format!(" of {door}")).unwrap_or_default();
    let invert =
        |pick: fn(&WiringDoor) -> Option<&WiringInput>| here.and_then(pick).is_some_and(|i| i.invert);
    let (tell, trial) = match used.role {
        InputRole::Fire => (
            String::new(),
            Trial::Nothing {
                why: "the fire alarm's input is not tried here: it would release the doors".into(),
            },
        ),
        InputRole::Contact => {
            let input = wired(used, invert(|door| door.contact.as_ref()));
            // Only where it can be released by this board: else it would be a door forced open.
            let release = here.filter(|d| matches!(d.mode, DoorMode::Locked | DoorMode::Accessed));
            let release = release.map(|d| d.door.clone());
            let tell = match &release {
                Some(_) => "The strike is driven: open the door.",
                None => "Open the door, or shut it.",
            };
            (tell.to_owned(), Trial::Turns { input, to: None, means: "moved", release })
        }
        InputRole::Rex => {
            let input = wired(used, invert(|door| door.rex.as_ref()));
            let trial = Trial::Turns { input, to: None, means: "pressed", release: None };
            ("Press the exit button.".to_owned(), trial)
        }
    };
    Step {
        name: "input",
        door: door.cloned(),
        title: format!("input {}, the {}{of}", used.input, role(used.role)),
        tell,
        trial,
    }
}

fn wired(used: &InputUse, invert: bool) -> WiringInput {
    WiringInput { board: used.board.clone(), input: used.input, invert }
}

pub fn role(role: InputRole) -> &'static str {
    match role {
        InputRole::Contact => "contact",
        InputRole::Rex => "exit button",
        InputRole::Fire => "fire alarm",
    }
}

#[cfg(test)]
pub mod samples {
    use serde_json::json;

    use super::*;

    /// Two doors on one board, and a fire alarm.
    pub fn report() -> WiringReport {
        serde_json::from_value(json!({
            "controller": "oslo-1", "version": "0.1.0", "time_zone": "Europe/Oslo", "now": "2026-11-23T08:00:00Z",
            "by": "anna (1000)", "seq": 12,
            "boards": [{"board": "board-1", "url": "modbus+tcp://10.0.0.20:502", "connected": true, "on": [0]}],
            "doors": [
                {"door": "entrance", "name": "Main entrance", "mode": "locked", "board": "board-1", "coil": 0,
                    "strike_ms": 5000, "contact": {"board": "board-1", "input": 0, "invert": false},
                    "rex": {"board": "board-1", "input": 1, "invert": true}},
                {"door": "cellar", "name": "Cellar", "mode": "unlocked", "board": "board-1", "coil": 1,
                    "strike_ms": 2500},
            ],
            "inputs": [
                {"board": "board-1", "input": 0, "role": "contact", "door": "entrance"},
                {"board": "board-1", "input": 1, "role": "rex", "door": "entrance"},
                {"board": "board-1", "input": 7, "role": "fire"},
            ],
        }))
        .unwrap()
    }

    fn said(of: &TestOf) -> Vec<String> {
        let trial = |trial: &Trial| match trial {
            Trial::Drive { .. } => "drive".to_owned(),
            Trial::Reads { level, .. } => format!("reads {level}"),
            Trial::Turns { to, release, .. } => {
                let first = release.as_ref().map(|_| "release, ").unwrap_or_default();
                format!("{first}turns {to:?}")
            }
            Trial::Nothing { why } => format!("nothing: {why}"),
        };
        let steps = steps(of, &report());
        steps.iter().map(|s| format!("{} | {} | {}", s.name, s.title, trial(&s.trial))).collect()
    }

    #[test]
    fn a_doors_steps_follow_from_how_it_is_wired() {
        assert_eq!(
            said(&TestOf::Door("entrance".parse().unwrap())),
            [
                "strike | strike of Main entrance (board-1, coil 0) | drive",
                "contact_shut | contact of Main entrance (board-1, input 0) | reads true",
                "contact_opens | contact of Main entrance (board-1, input 0) | release, turns Some(false)",
                "contact_shuts | contact of Main entrance (board-1, input 0) | turns Some(true)",
                "rex_pressed | exit button of Main entrance (board-1, input 1) | turns Some(false)",
                "rex_released | exit button of Main entrance (board-1, input 1) | turns Some(true)",
                "strike | strike of Cellar (board-1, coil 1) | nothing: the door is unlocked; lock it first \
                 (latchctl door lock cellar)",
                "contact | contact of Cellar | nothing: no contact is configured: nobody knows whether it is open",
                "rex | rex of Cellar | nothing: no exit button is configured",
            ]
        );
    }

    #[test]
    fn a_boards_steps_are_its_coils_then_its_inputs_but_for_the_fire_alarm() {
        assert_eq!(
            said(&TestOf::Board("board-1".parse().unwrap())),
            [
                "strike | strike of Main entrance (board-1, coil 0) | drive",
                "strike | strike of Cellar (board-1, coil 1) | nothing: the door is unlocked; lock it first \
                 (latchctl door lock cellar)",
                "input | input 0, the contact of entrance | release, turns None",
                "input | input 1, the exit button of entrance | turns None",
                "input | input 7, the fire alarm | nothing: the fire alarm's input is not tried here: it would \
                 release the doors",
            ]
        );
    }
}

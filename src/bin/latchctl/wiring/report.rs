//! The report of a wiring test, to hand over: Markdown, one page.

use latchd::{
    domain::{At, Zone},
    wire::control::{TestOf, WiringReport},
};

use super::{Outcome, Result};

/// Who tested what, when.
#[derive(Debug)]
pub struct Head<'a> {
    pub of: &'a TestOf,
    pub plan: &'a WiringReport,
    pub by: &'a str,
    pub ended: At,
}

pub fn markdown(head: &Head<'_>, outcomes: &[Outcome]) -> String {
    let Head { of, plan, by, ended } = head;
    let zone = plan.time_zone;
    let (what, id) = match of {
        TestOf::Board(id) => ("board", id.as_str()),
        TestOf::Door(id) => ("door", id.as_str()),
    };
    let failed = outcomes.iter().filter(|o| matches!(o.result, Result::Failed | Result::NotDone)).count();
    let result = match failed {
        0 => "passed".to_owned(),
        n => format!("{n} of {} steps not passed", outcomes.len()),
    };
    let mut text = format!("# Wiring test of {what} {id}\n\n| | |\n| --- | --- |\n");
    let mut row = |key: &str, value: &str| text += &format!("| {key} | {} |\n", cell(value));
    row("Result", &result);
    row("Controller", plan.controller.as_str());
    for board in &plan.boards {
        let detail = board.detail.as_deref().unwrap_or("no word from it");
        row("Board", &format!("{} at {} ({detail})", board.board, board.url));
    }
    for door in &plan.doors {
        row("Door", &format!("{} ({})", door.name, door.door));
    }
    row("Tested by", by);
    row("Begun", &zone.show(plan.now));
    row("Ended", &zone.show(*ended));
    row("Recorded as", &format!("event {} of the journal, and one for each strike", plan.seq));
    row("Versions", &format!("latchd {}, latchctl {}", plan.version, env!("CARGO_PKG_VERSION")));
    text += "\n| # | Step | What | Result | Seen |\n| --- | --- | --- | --- | --- |\n";
    for (n, outcome) in outcomes.iter().enumerate() {
        let Outcome { step, title, result, detail, .. } = outcome;
        text += &format!("| {} | {step} | {} | {} | {} |\n", n + 1, cell(title), result.word(), cell(detail));
    }
    text += &changes(outcomes, zone);
    text
}

/// What inputs showed while it went on.
fn changes(outcomes: &[Outcome], zone: Zone) -> String {
    let lines: Vec<String> = outcomes
        .iter()
        .flat_map(|outcome| &outcome.changes)
        .map(|change| {
            let on = if change.on { "on" } else { "off" };
            format!("- {}: {} input {} went {on}\n", zone.show_time(change.at), change.board, change.input)
        })
        .collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n## Inputs, as they changed\n\n{}", lines.concat())
    }
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Seen, plan},
        *,
    };

    #[test]
    fn a_report_says_who_tested_what_with_which_result() {
        let at = At::parse("2026-11-23T08:00:12Z").unwrap();
        let outcome = |step: &'static str, result, detail: &str| Outcome {
            step,
            door: Some("entrance".parse().unwrap()),
            title: "contact of Main | entrance (board-1, input 0)".into(),
            result,
            detail: detail.into(),
            at,
            changes: vec![Seen { at, board: "board-1".parse().unwrap(), input: 0, on: false }],
        };
        let outcomes = [
            outcome("contact_shut", Result::Passed, "input 0 reads shut"),
            outcome("contact_opens", Result::Failed, "no feedback"),
            outcome("rex", Result::Skipped, "no exit button is configured"),
        ];
        let report = plan::samples::report();
        let of = TestOf::Door("entrance".parse().unwrap());
        let head = Head { of: &of, plan: &report, by: "anna", ended: at };
        insta::assert_snapshot!(markdown(&head, &outcomes), @r"
        # Wiring test of door entrance

        | | |
        | --- | --- |
        | Result | 1 of 3 steps not passed |
        | Controller | oslo-1 |
        | Board | board-1 at modbus+tcp://10.0.0.20:502 (no word from it) |
        | Door | Main entrance (entrance) |
        | Door | Cellar (cellar) |
        | Tested by | anna |
        | Begun | Mon 2026-11-23 09:00:00 CET |
        | Ended | Mon 2026-11-23 09:00:12 CET |
        | Recorded as | event 12 of the journal, and one for each strike |
        | Versions | latchd 0.1.0, latchctl 0.1.0 |

        | # | Step | What | Result | Seen |
        | --- | --- | --- | --- | --- |
        | 1 | contact_shut | contact of Main \| entrance (board-1, input 0) | passed | input 0 reads shut |
        | 2 | contact_opens | contact of Main \| entrance (board-1, input 0) | failed | no feedback |
        | 3 | rex | contact of Main \| entrance (board-1, input 0) | skipped | no exit button is configured |

        ## Inputs, as they changed

        - 09:00:12: board-1 input 0 went off
        - 09:00:12: board-1 input 0 went off
        - 09:00:12: board-1 input 0 went off
        ");
    }
}

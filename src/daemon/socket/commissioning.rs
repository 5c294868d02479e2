//! Requests of a technician at the door: cards as readers see them, inputs as boards read them, until they have seen
//! enough.

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::session::{Done, Gone, Lines, item, stopping};
use crate::{
    control::{Inputs, OperatorRequest, controller::TestRefused, settings::Settings},
    daemon::{site::Site, watch::BoardNews},
    domain::{At, BoardId, ReaderId},
    wire::control::{Code, InputChange, ReaderNews, ReaderReport, Refusal, TestOf, WiringNews},
};

/// How often it is looked whether a test may go on, beside each time that something happens.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a reader is, as news.
pub fn state_of(report: ReaderReport, at: At) -> ReaderNews {
    let ReaderReport { reader, door, direction, driver, connected, detail, .. } = report;
    ReaderNews::Reader { at: at.floor_ms(), reader, door, direction, driver, connected, detail }
}

/// Taps, until the caller says anything or goes.
pub async fn readers(
    lines: &mut Lines,
    site: &Site,
    settings: &Settings,
    by: &str,
    only: Option<ReaderId>,
) -> Result<Done, Gone> {
    if let Some(reader) = only.as_ref().filter(|reader| settings.reader(reader).is_none()) {
        let said = format!("there is no reader {reader}; `latchctl readers` lists them");
        return Ok(Err(Refusal::new(Code::NotFound, said)));
    }
    // Recorded before anything is shown, and heard from before that, so that nothing is missed.
    let mut news = site.watch_readers();
    let recorded = site.request(by.to_owned(), OperatorRequest::Watch { reader: only.clone() }).await;
    match recorded {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => return Ok(Err(Refusal::new(Code::Failed, why))),
        Err(_) => return Ok(Err(stopping())),
    }
    let wanted = |reader: &ReaderId| only.as_ref().is_none_or(|only| only == reader);
    let now = site.look(|c, reading| {
        let states = c.reader_reports(reading).into_iter().filter(|report| wanted(&report.reader));
        states.map(|report| state_of(report, reading.wall)).collect::<Vec<_>>()
    });
    for state in now {
        item(lines, state).await?;
    }
    loop {
        tokio::select! {
            heard = news.recv() => match heard {
                Ok(told) => if concerns(&told, wanted) { item(lines, told).await? },
                Err(RecvError::Lagged(count)) => item(lines, ReaderNews::Missed { count }).await?,
                Err(RecvError::Closed) => return Ok(Err(stopping())),
            },
            _ = lines.next() => return enough(),
        }
    }
}

fn concerns(news: &ReaderNews, wanted: impl Fn(&ReaderId) -> bool) -> bool {
    match news {
        ReaderNews::Reader { reader, .. } | ReaderNews::Unreadable { reader, .. } => wanted(reader),
        ReaderNews::Tap(card) => wanted(&card.reader),
        ReaderNews::Missed { .. } => true,
    }
}

/// Whatever the caller says while it watches, it has seen enough.
fn enough() -> Result<Done, Gone> {
    Ok(Ok(Value::Object(serde_json::Map::new())))
}

/// The plan, then each change of an input, until the caller says anything or goes, or the test may not go on.
pub async fn wiring(lines: &mut Lines, site: &Site, by: &str, of: TestOf) -> Result<Done, Gone> {
    if let Err(why) = site.look(|c, _| c.may_test(&of)).or_else(known) {
        return Ok(Err(Refusal::new(Code::NotFound, why.to_string())));
    }
    let mut news = site.watch_boards();
    let seq = match site.request(by.to_owned(), OperatorRequest::Test { of: of.clone() }).await {
        Ok(Ok(seq)) => seq,
        Ok(Err(why)) => return Ok(Err(Refusal::new(Code::Failed, format!("no wiring test: {why}")))),
        Err(_) => return Ok(Err(stopping())),
    };
    let plan = site.look(|c, reading| c.wiring_report(reading, &of, by, seq));
    let mut levels: BTreeMap<BoardId, Inputs> = plan
        .boards
        .iter()
        .map(|board| (board.board.clone(), Inputs(board.on.iter().fold(0, |all, input| all | 1 << input))))
        .collect();
    item(lines, WiringNews::Plan(plan)).await?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            heard = news.recv() => match heard {
                Ok(told) => for told in changes(told, &mut levels) {
                    item(lines, told).await?;
                },
                Err(RecvError::Lagged(count)) => item(lines, WiringNews::Missed { count }).await?,
                Err(RecvError::Closed) => return Ok(Err(stopping())),
            },
            _ = look.tick() => {}
            _ = lines.next() => return enough(),
        }
        let (refused, at) = site.look(|c, reading| (c.may_test(&of).err(), reading.wall.floor_ms()));
        if let Some(why) = refused {
            item(lines, WiringNews::Stop { at, why: why.to_string() }).await?;
            return enough();
        }
    }
}

/// What is only not to be tried now is recorded as refused, by the controller.
fn known(why: TestRefused) -> Result<(), TestRefused> {
    if why.is_unknown() { Err(why) } else { Ok(()) }
}

/// What is new of a board that is watched.
fn changes(news: BoardNews, levels: &mut BTreeMap<BoardId, Inputs>) -> Vec<WiringNews> {
    let (board, at, inputs, link) = match news {
        BoardNews::Inputs { board, at, inputs } => (board, at, Some(inputs), None),
        BoardNews::Connected { board, at, detail, inputs } => (board, at, Some(inputs), Some((true, detail))),
        BoardNews::Lost { board, at, detail } => (board, at, None, Some((false, detail))),
    };
    let Some(level) = levels.get_mut(&board) else { return Vec::new() };
    let mut told = Vec::new();
    if let Some((connected, detail)) = link {
        told.push(WiringNews::Board { at, board: board.clone(), connected, detail });
    }
    let before = std::mem::replace(level, inputs.unwrap_or(*level));
    let changed = (0..64).filter(|&input| before.get(input) != level.get(input));
    let changes: Vec<_> = changed.map(|input| InputChange { input, on: level.get(input) }).collect();
    if !changes.is_empty() {
        told.push(WiringNews::Inputs { at, board, changes });
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told_and_only_of_boards_that_are_watched() {
        let board = |id: &str| BoardId::new(id).unwrap();
        let at = At::parse("2026-11-23T08:00:00Z").unwrap();
        let mut levels = BTreeMap::from([(board("b-1"), Inputs(0b0101))]);
        let read = |id: &str, bits| BoardNews::Inputs { board: board(id), at, inputs: Inputs(bits) };
        assert_eq!(changes(read("b-2", 1), &mut levels), []);
        assert_eq!(changes(read("b-1", 0b0101), &mut levels), []);
        let told = changes(read("b-1", 0b1100), &mut levels);
        let expected = [(0, false), (3, true)].map(|(input, on)| InputChange { input, on });
        assert_eq!(told, [WiringNews::Inputs { at, board: board("b-1"), changes: expected.to_vec() }]);
        let lost = BoardNews::Lost { board: board("b-1"), at, detail: "no route".into() };
        let is_lost = |told: &[WiringNews]| matches!(told, [WiringNews::Board { connected: false, .. }]);
        assert!(is_lost(&changes(lost, &mut levels)));
        let back =
            BoardNews::Connected { board: board("b-1"), at, detail: String::new(), inputs: Inputs(0b1101) };
        // What changed while it was away is told when it is back.
        let told = changes(back, &mut levels);
        assert!(
            matches!(&told[..], [WiringNews::Board { connected: true, .. }, WiringNews::Inputs { changes, .. }]
            if changes[..] == [InputChange { input: 0, on: true }]),
            "{told:?}"
        );
    }
}

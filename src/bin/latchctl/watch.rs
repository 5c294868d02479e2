//! `reader watch`: shows each card as it is tapped, until interrupted or until there were enough.

use std::time::Duration;

use latchd::{
    domain::ReaderId,
    wire::control::{Answer, ReaderNews, Request},
};

use super::{
    args::Watch,
    ask::typed,
    client::{Client, Patience},
    failure::Failure,
    output::Output,
    text::{self, Site, Style},
};

/// How long nothing may happen before it is said that a card is still waited for.
const QUIET: Duration = Duration::from_secs(30);

/// Without a site: JSON, a document a line.
pub fn run(
    client: &mut Client,
    out: &mut Output,
    asked: &Watch,
    site: Option<&Site>,
    style: Style,
) -> Result<(), Failure> {
    let Watch { reader, count } = asked;
    client.send(Request::ReaderWatch { reader: reader.clone() }, Patience::Endless)?;
    let mut taps = 0;
    let mut has_begun = false;
    while count.is_none_or(|count| taps < count) {
        if !client.has_news_within(QUIET)? {
            if site.is_some() {
                eprintln!("latchctl: still waiting for a card {}; Ctrl-C ends", at(reader.as_ref()));
            }
            continue;
        }
        let value = match client.next()? {
            Answer::Item(value) => value,
            Answer::Done(_) => return Ok(()),
            Answer::Error(refusal) => return Err(Failure::refused(refusal)),
        };
        let Some(site) = site else {
            taps += u64::from(value.get("what").is_some_and(|what| what == "tap"));
            out.json(&value)?;
            out.flush()?;
            continue;
        };
        let news: ReaderNews = typed(value)?;
        taps += u64::from(matches!(news, ReaderNews::Tap(_)));
        out.text(&text::taps::news(&news, site, style))?;
        if !std::mem::replace(&mut has_begun, true) {
            eprintln!("latchctl: waiting for cards {}; Ctrl-C ends", at(reader.as_ref()));
        }
        out.flush()?;
    }
    Ok(())
}

fn at(reader: Option<&ReaderId>) -> String {
    reader.map_or_else(|| "at any reader".to_owned(), |reader| format!("at {reader}"))
}

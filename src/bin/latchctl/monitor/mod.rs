//! `monitor`: a live screen of the site.
//!
//! ```text
//!  thread state:  the daemon's status, every second ─┐
//!  thread events: events, as they are recorded ──────┼─► channel ─► model (pure) ─► draw (pure) ─► terminal
//!  thread keys:   what is typed, and resizes ────────┘
//! ```
//!
//! A daemon that stops is said, and tried again until it is back. The terminal is given back whatever happens: on the
//! way out, and before a panic is printed.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use latchd::wire::control::{Answer, EventQuery, Request, StatusReport};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event as Typed, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use serde_json::Value;

use super::{
    ask::typed,
    client::{Client, Patience},
    failure::Failure,
    text::Style,
};

mod draw;
mod model;

use model::{Key, Model};

/// How often the state is asked for, and how long after a loss.
const EVERY: Duration = Duration::from_secs(1);
/// For a daemon that is there and says nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Events shown from before the monitor was there.
const BEFORE: u32 = 200;

/// What the threads tell.
#[derive(Debug)]
enum News {
    State(Box<StatusReport>),
    Event(Value),
    /// The events that follow begin anew: what was shown is there again.
    EventsBegin,
    Lost(String),
    /// Whoever looks may not any more.
    Forbidden(Failure),
    Key(Key),
    Resized,
    /// Nothing can be typed any more.
    NoKeys(String),
}

pub fn run(socket: &Path, json: bool, style: Style) -> Result<(), Failure> {
    if json {
        return Err(Failure::Usage(
            "monitor is for people; for programs: latchctl status --json, and events --follow --json".into(),
        ));
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::Usage("monitor needs a terminal; latchctl status prints the same once".into()));
    }
    // Who may not is told so in a sentence, rather than on a screen that never fills.
    if let Err(failure @ (Failure::SocketDenied { .. } | Failure::Refused(_))) = state_once(socket) {
        return Err(failure);
    }
    let (tell, news) = channel();
    begin("state", &tell, socket, |socket, tell| watch_state(&socket, &tell))?;
    begin("events", &tell, socket, |socket, tell| watch_events(&socket, &tell))?;
    begin("keys", &tell, socket, |_, tell| watch_keys(&tell))?;
    drop(tell);
    let mut terminal = ratatui::try_init().map_err(Failure::Output)?;
    let ended = show(&mut terminal, &news, style);
    ratatui::restore();
    ended
}

fn begin(
    name: &str,
    tell: &Sender<News>,
    socket: &Path,
    watch: fn(PathBuf, Sender<News>),
) -> Result<(), Failure> {
    let (tell, socket) = (tell.clone(), socket.to_owned());
    // They end with the process: each waits for a socket or a key.
    let begun = thread::Builder::new().name(name.into()).spawn(move || watch(socket, tell));
    begun.map(drop).map_err(Failure::Output)
}

fn show(terminal: &mut DefaultTerminal, news: &Receiver<News>, style: Style) -> Result<(), Failure> {
    let mut model = Model::new();
    loop {
        terminal.draw(|frame| draw::screen(frame, &mut model, style)).map_err(Failure::Output)?;
        // All that has come, then one drawing: a storm of events is no storm of drawings.
        let mut next = match news.recv_timeout(EVERY) {
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        while let Some(told) = next {
            match told {
                News::State(report) => model.state(*report),
                News::Event(event) => model.event(event),
                News::EventsBegin => model.events_begin(),
                News::Lost(why) => model.lost(why),
                News::Forbidden(failure) => return Err(failure),
                News::Key(key) => {
                    if model.key(key) {
                        return Ok(());
                    }
                }
                News::Resized => {}
                News::NoKeys(why) => return Err(Failure::Input(io::Error::other(why))),
            }
            next = news.try_recv().ok();
        }
    }
}

fn state_once(socket: &Path) -> Result<StatusReport, Failure> {
    let mut client = Client::connect(socket)?;
    state(&mut client)
}

fn state(client: &mut Client) -> Result<StatusReport, Failure> {
    client.send(Request::Status, Patience::Prompt)?;
    if !client.has_news_within(ANSWER_WITHIN)? {
        return Err(Failure::Unreadable(format!("no answer within {} s", ANSWER_WITHIN.as_secs())));
    }
    client.answer().and_then(typed)
}

fn watch_state(socket: &Path, tell: &Sender<News>) {
    let mut client = None;
    loop {
        let told = match client.take().map_or_else(|| Client::connect(socket), Ok) {
            Ok(mut connected) => match state(&mut connected) {
                Ok(report) => {
                    client = Some(connected);
                    News::State(Box::new(report))
                }
                Err(failure) if failure.is_forbidden() => News::Forbidden(failure),
                Err(failure) => News::Lost(failure.to_string()),
            },
            Err(failure) => News::Lost(failure.to_string()),
        };
        if tell.send(told).is_err() {
            return;
        }
        thread::park_timeout(EVERY);
    }
}

/// A loss is told by whoever asks for the state.
fn watch_events(socket: &Path, tell: &Sender<News>) {
    while follow(socket, tell).is_some() {
        thread::park_timeout(EVERY);
    }
}

/// Until the connection ends; `None` when nobody looks on any more.
fn follow(socket: &Path, tell: &Sender<News>) -> Option<()> {
    let query = EventQuery { follow: true, limit: Some(BEFORE), ..EventQuery::default() };
    let connected = Client::connect(socket).and_then(|mut client| {
        client.send(Request::Events(query), Patience::Endless)?;
        Ok(client)
    });
    let Ok(mut client) = connected else { return Some(()) };
    tell.send(News::EventsBegin).ok()?;
    while let Ok(Answer::Item(event)) = client.next() {
        tell.send(News::Event(event)).ok()?;
    }
    Some(())
}

fn watch_keys(tell: &Sender<News>) {
    loop {
        let told = match event::read() {
            Ok(Typed::Key(key)) => match key_of(key) {
                Some(key) => News::Key(key),
                None => continue,
            },
            Ok(Typed::Resize(..)) => News::Resized,
            Ok(_) => continue,
            Err(error) => News::NoKeys(error.to_string()),
        };
        let is_over = matches!(told, News::NoKeys(_));
        if tell.send(told).is_err() || is_over {
            return;
        }
    }
}

fn key_of(KeyEvent { code, modifiers, kind, .. }: KeyEvent) -> Option<Key> {
    if kind == KeyEventKind::Release {
        return None;
    }
    let is_control = modifiers.contains(KeyModifiers::CONTROL);
    // Keys are many; those that mean nothing here are left alone.
    Some(if let KeyCode::Char(c) = code {
        match c {
            'c' | 'd' if is_control => Key::Quit,
            'l' if is_control => return None,
            c => Key::Char(c),
        }
    } else if code == KeyCode::Enter {
        Key::Enter
    } else if code == KeyCode::Esc {
        Key::Escape
    } else if code == KeyCode::Backspace {
        Key::Backspace
    } else if code == KeyCode::Tab {
        Key::Next
    } else if code == KeyCode::BackTab {
        Key::Previous
    } else if code == KeyCode::Up {
        Key::Up(1)
    } else if code == KeyCode::Down {
        Key::Down(1)
    } else if code == KeyCode::PageUp {
        Key::Up(10)
    } else if code == KeyCode::PageDown {
        Key::Down(10)
    } else if code == KeyCode::Home {
        Key::Home
    } else if code == KeyCode::End {
        Key::End
    } else {
        return None;
    })
}

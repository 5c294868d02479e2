//! What the screen shows: the last state, the last events, where one looks. Pure: news and keys in, lines out.

use std::collections::VecDeque;

use latchd::wire::control::StatusReport;
use serde_json::Value;

use crate::text::{self, Site, Style, Tone};

/// Events kept to scroll back to.
const KEPT: usize = 1000;
const PLAIN: Style = Style { colour: false };

/// A key, as far as it means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Next,
    Previous,
    Up(usize),
    Down(usize),
    Home,
    End,
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    Doors,
    Devices,
    Events,
}

impl Panel {
    pub const ALL: [Panel; 3] = [Panel::Doors, Panel::Devices, Panel::Events];

    fn index(self) -> usize {
        match self {
            Panel::Doors => 0,
            Panel::Devices => 1,
            Panel::Events => 2,
        }
    }
}

/// A line, with what it says by its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub tone: Tone,
    pub text: String,
}

impl Line {
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Line { tone, text: text.into() }
    }
}

#[derive(Debug)]
pub struct Model {
    state: Option<StatusReport>,
    /// Why the daemon does not answer, while it does not.
    lost: Option<String>,
    events: VecDeque<Value>,
    pub focus: Panel,
    /// Of each panel: lines from its top; of events, from their end.
    scroll: [usize; 3],
    /// Lines that a panel had room for when it was drawn last, and lines there were.
    shown: [(usize, usize); 3],
    filter: String,
    is_typing: bool,
}

impl Model {
    pub fn new() -> Self {
        Model {
            state: None,
            lost: None,
            events: VecDeque::new(),
            focus: Panel::Events,
            scroll: [0; 3],
            shown: [(0, 0); 3],
            filter: String::new(),
            is_typing: false,
        }
    }

    pub fn state(&mut self, report: StatusReport) {
        self.state = Some(report);
        self.lost = None;
    }

    pub fn lost(&mut self, why: String) {
        self.lost = Some(why);
    }

    pub fn events_begin(&mut self) {
        self.events.clear();
    }

    pub fn event(&mut self, event: Value) {
        let is_shown = self.matches(&event);
        self.events.push_back(event);
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
        // Who has scrolled back goes on seeing what they look at.
        let [.., scroll] = &mut self.scroll;
        if *scroll > 0 && is_shown {
            *scroll += 1;
        }
    }

    /// Whether that was enough.
    pub fn key(&mut self, key: Key) -> bool {
        if self.is_typing {
            return self.typed(key);
        }
        match key {
            Key::Quit | Key::Char('q') => return true,
            Key::Char('/') => {
                self.is_typing = true;
                self.focus = Panel::Events;
            }
            Key::Escape => {
                self.filter.clear();
                self.scroll = [0; 3];
            }
            Key::Next => self.turn(1),
            Key::Previous => self.turn(Panel::ALL.len() - 1),
            Key::Up(lines) => self.roll(lines, true),
            Key::Down(lines) => self.roll(lines, false),
            Key::Char('k') => self.roll(1, true),
            Key::Char('j') => self.roll(1, false),
            Key::Home | Key::Char('g') => self.roll(usize::MAX, true),
            Key::End | Key::Char('G') => self.roll(usize::MAX, false),
            Key::Char(_) | Key::Enter | Key::Backspace => {}
        }
        false
    }

    /// A filter under way.
    fn typed(&mut self, key: Key) -> bool {
        match key {
            Key::Quit => return true,
            Key::Char(c) => self.filter.push(c),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Next | Key::Previous | Key::Up(_) | Key::Down(_) | Key::Home | Key::End => {}
        }
        let [.., scroll] = &mut self.scroll;
        *scroll = 0;
        false
    }

    fn turn(&mut self, by: usize) {
        let next = (self.focus.index() + by) % Panel::ALL.len();
        self.focus = Panel::ALL.get(next).copied().unwrap_or(Panel::Events);
    }

    /// Up is towards the first line; of events, those are counted from the end.
    fn roll(&mut self, lines: usize, up: bool) {
        let at = self.focus.index();
        let (room, all) = self.shown.get(at).copied().unwrap_or_default();
        let most = all.saturating_sub(room);
        let is_back = up == (self.focus == Panel::Events);
        if let Some(scroll) = self.scroll.get_mut(at) {
            let moved = if is_back { scroll.saturating_add(lines) } else { scroll.saturating_sub(lines) };
            *scroll = moved.min(most);
        }
    }

    /// The lines of a panel that fit, and a note on what does not.
    pub fn part(&mut self, panel: Panel, lines: Vec<Line>, room: usize) -> (Vec<Line>, String) {
        let (at, all) = (panel.index(), lines.len());
        let most = all.saturating_sub(room);
        if let Some(shown) = self.shown.get_mut(at) {
            *shown = (room, all);
        }
        let scroll = self.scroll.get_mut(at).map_or(0, |scroll| {
            *scroll = (*scroll).min(most);
            *scroll
        });
        let from = if panel == Panel::Events { most - scroll } else { scroll };
        let note = if all > room {
            format!(" {}-{} of {all}", from + 1, (from + room).min(all))
        } else {
            String::new()
        };
        (lines.into_iter().skip(from).take(room).collect(), note)
    }

    fn matches(&self, event: &Value) -> bool {
        let wanted = self.filter.to_lowercase();
        wanted.is_empty() || event.to_string().to_lowercase().contains(&wanted)
    }

    /// Whether the daemon has ever answered.
    pub fn is_known(&self) -> bool {
        self.state.is_some()
    }

    /// The first line.
    pub fn head(&self) -> Line {
        match &self.state {
            None => Line::new(Tone::Strong, "latchd"),
            Some(report) => Line::new(Tone::Strong, text::status::head(report, PLAIN).trim_end()),
        }
    }

    /// What needs a person, worst first; or that nothing does.
    pub fn problems(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(why) = &self.lost {
            let shown = match &self.state {
                Some(report) => format!(" Shown is what was at {}.", report.time_zone.show_time(report.now)),
                None => String::new(),
            };
            lines.push(Line::new(Tone::Bad, format!("! trying again: {why}.{shown}")));
        }
        match &self.state {
            None if self.lost.is_none() => lines.push(Line::new(Tone::Faint, "asking latchd …")),
            None => {}
            Some(report) => {
                let found = text::status::found(report, &Site::of(report));
                if found.is_empty() && self.lost.is_none() {
                    lines.push(Line::new(Tone::Good, "all is well"));
                }
                lines.extend(found.into_iter().map(|(tone, text)| Line::new(tone, format!("! {text}"))));
            }
        }
        lines
    }

    /// Doors, worst first, below a heading.
    pub fn doors(&self) -> Vec<Line> {
        let Some(report) = &self.state else { return Vec::new() };
        let tones = text::doors::worst_first(&report.doors).into_iter().map(text::doors::tone);
        table(&text::doors::short(&report.doors, &Site::of(report), PLAIN), tones)
    }

    /// Readers, then boards, lost ones first.
    pub fn devices(&self) -> Vec<Line> {
        let Some(report) = &self.state else { return Vec::new() };
        let site = Site::of(report);
        let (text, tones) = text::readers::devices(report, &site);
        table(&text, tones.into_iter())
    }

    /// Sync, clock, journal.
    pub fn links(&self) -> Vec<Line> {
        let Some(report) = &self.state else { return Vec::new() };
        let rows = text::status::rest(report, &Site::of(report), PLAIN);
        let wanted = ["sync", "central", "clock", "journal"];
        let rows = rows.lines().filter(|row| wanted.iter().any(|name| row.starts_with(name)));
        rows.map(|row| Line::new(Tone::Plain, row)).collect()
    }

    /// Events that match the filter, the newest last.
    pub fn events(&self) -> Vec<Line> {
        let Some(report) = &self.state else { return Vec::new() };
        let site = Site::of(report);
        let events = self.events.iter().filter(|event| self.matches(event));
        events
            .map(|event| Line::new(text::events::tone_of(event), text::events::short(event, &site)))
            .collect()
    }

    /// What filters them, if anything does.
    pub fn filter(&self) -> String {
        match (self.is_typing, self.filter.is_empty()) {
            (true, _) => format!(" with {}_ (Enter keeps it, Esc ends it)", self.filter),
            (false, true) => String::new(),
            (false, false) => format!(" with {:?}", self.filter),
        }
    }
}

/// A table's text as lines: a heading, then rows of these tones.
fn table(text: &str, tones: impl Iterator<Item = Tone>) -> Vec<Line> {
    let mut lines = text.lines();
    let heading = lines.next().map(|heading| Line::new(Tone::Faint, heading));
    let rows = lines.zip(tones.chain(std::iter::repeat(Tone::Plain))).map(|(row, tone)| Line::new(tone, row));
    heading.into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::samples;

    fn with_events(count: usize) -> Model {
        let mut model = Model::new();
        model.state(samples::normal());
        for seq in 0..count {
            let kind = if seq % 2 == 0 { "door.opened" } else { "door.closed" };
            model.event(json!({"seq": seq, "at": "2026-11-23T08:00:00Z", "type": kind, "door": "entrance"}));
        }
        model
    }

    fn seen(model: &mut Model, room: usize) -> Vec<String> {
        let lines = model.events();
        let (lines, _) = model.part(Panel::Events, lines, room);
        let seq = |line: &Line| line.text.split_whitespace().nth(1).unwrap_or_default().to_owned();
        lines.iter().map(seq).collect()
    }

    #[test]
    fn the_newest_events_are_seen_until_one_scrolls_back_and_then_they_stand_still() {
        let mut model = with_events(10);
        assert_eq!(seen(&mut model, 3), ["#7", "#8", "#9"]);
        model.key(Key::Up(2));
        assert_eq!(seen(&mut model, 3), ["#5", "#6", "#7"]);
        model.event(json!({"seq": 10, "at": "2026-11-23T08:00:00Z", "type": "door.opened"}));
        assert_eq!(seen(&mut model, 3), ["#5", "#6", "#7"]);
        model.key(Key::Home);
        assert_eq!(seen(&mut model, 3), ["#0", "#1", "#2"]);
        model.key(Key::End);
        assert_eq!(seen(&mut model, 3), ["#8", "#9", "#10"]);
    }

    #[test]
    fn a_filter_is_typed_kept_and_ended() {
        let mut model = with_events(6);
        assert!(!model.key(Key::Char('/')));
        for c in "closed".chars() {
            assert!(!model.key(Key::Char(c)), "q would end it");
        }
        model.key(Key::Char('x'));
        model.key(Key::Backspace);
        assert!(model.filter().contains("closed_"));
        model.key(Key::Enter);
        assert_eq!(
            (seen(&mut model, 9), model.filter()),
            (vec!["#1".into(), "#3".into(), "#5".into()], " with \"closed\"".into())
        );
        model.key(Key::Escape);
        assert_eq!(seen(&mut model, 9).len(), 6);
        assert!(model.key(Key::Char('q')));
    }

    #[test]
    fn events_are_kept_up_to_a_limit() {
        let mut model = with_events(KEPT + 50);
        assert_eq!(model.events.len(), KEPT);
        model.events_begin();
        assert!(seen(&mut model, 3).is_empty());
    }

    #[test]
    fn a_daemon_that_is_gone_is_said_with_since_when_the_screen_is_old_and_again_when_it_is_back() {
        let mut model = with_events(1);
        model.lost("daemon not reachable at /s".into());
        let said = &model.problems()[0];
        assert_eq!(said.text, "! trying again: daemon not reachable at /s. Shown is what was at 09:00:00.");
        model.state(samples::normal());
        assert_eq!(model.problems()[0].text, "all is well");
    }
}

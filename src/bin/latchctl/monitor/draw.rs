//! The model as a screen of any size. Colours say nothing that words do not.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style as Paint},
    text::{Line as Row, Span},
    widgets::Paragraph,
};

use super::model::{Line, Model, Panel};
use crate::text::{Style, Tone};

/// Below this there is only room for what is wrong.
const LEAST: (u16, u16) = (50, 14);
const MOST_PROBLEMS: usize = 4;
/// Lines of events there always are, with their heading.
const LEAST_EVENTS: usize = 5;
const KEYS: &str = "q quit  Tab panel  Up/Down PgUp/PgDn Home/End scroll  / filter events  Esc reset";

pub fn screen(frame: &mut Frame<'_>, model: &mut Model, style: Style) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return small(frame, model, style);
    }
    let height = usize::from(area.height);
    let mut canvas = Canvas { frame, style, top: 0, area };
    canvas.line(&model.head());
    let problems = shortened(model.problems(), MOST_PROBLEMS);
    problems.iter().for_each(|line| canvas.line(line));
    let (doors, devices, links) = (model.doors(), model.devices(), model.links());
    // A heading each, and the keys at the foot.
    let taken = 1 + problems.len() + links.len() + 1;
    let left = height.saturating_sub(taken + LEAST_EVENTS);
    let [for_doors, for_devices] = share(left, [doors.len() + 1, devices.len() + 1]);
    canvas.panel(model, Panel::Doors, doors, for_doors, "Doors");
    canvas.panel(model, Panel::Devices, devices, for_devices, "Readers and boards");
    links.iter().for_each(|line| canvas.line(line));
    let rest = height.saturating_sub(usize::from(canvas.top) + 1);
    let (events, title) = (model.events(), format!("Events{}", model.filter()));
    canvas.panel(model, Panel::Events, events, rest, &title);
    canvas.foot(KEYS);
}

/// Only what is wrong, and how to leave.
fn small(frame: &mut Frame<'_>, model: &Model, style: Style) {
    let area = frame.area();
    let mut canvas = Canvas { frame, style, top: 0, area };
    canvas.line(&model.head());
    let room = usize::from(area.height).saturating_sub(2);
    shortened(model.problems(), room).iter().for_each(|line| canvas.line(line));
    canvas.foot(&format!("q quit  more from {}x{} on", LEAST.0, LEAST.1));
}

/// The first so many; the last says how many more there are.
fn shortened(mut lines: Vec<Line>, most: usize) -> Vec<Line> {
    let all = lines.len();
    if all > most {
        lines.truncate(most.saturating_sub(1));
        lines.push(Line::new(Tone::Warning, format!("! and {} more: latchctl status", all - lines.len())));
    }
    lines
}

/// What each is given of so many lines: all it wants, or a fair part and what the other leaves.
fn share(left: usize, wanted: [usize; 2]) -> [usize; 2] {
    let [first, second] = wanted;
    let half = left.div_ceil(2);
    let own = first.min(half.max(left.saturating_sub(second)));
    [own, second.min(left - own)]
}

struct Canvas<'a, 'b> {
    frame: &'a mut Frame<'b>,
    style: Style,
    top: u16,
    area: Rect,
}

impl Canvas<'_, '_> {
    fn put(&mut self, top: u16, text: &str, paint: Paint) {
        if top < self.area.height {
            let area = Rect { x: 0, y: top, width: self.area.width, height: 1 };
            self.frame.render_widget(Paragraph::new(Row::from(Span::styled(text.to_owned(), paint))), area);
        }
    }

    fn line(&mut self, line: &Line) {
        self.put(self.top, &line.text, paint(line.tone, self.style));
        self.top += 1;
    }

    /// A heading, and as many lines as there is room for.
    fn panel(&mut self, model: &mut Model, panel: Panel, lines: Vec<Line>, room: usize, title: &str) {
        if room == 0 {
            return;
        }
        let is_in_focus = model.focus == panel;
        let nothing = if lines.is_empty() && model.is_known() { ": none" } else { "" };
        let (lines, note) = model.part(panel, lines, room - 1);
        let mark = if is_in_focus { ">" } else { " " };
        let width = usize::from(self.area.width);
        let heading = format!("{mark}{title}{note}{nothing}");
        let weight = if is_in_focus { Modifier::REVERSED | Modifier::BOLD } else { Modifier::REVERSED };
        self.put(self.top, &format!("{heading:<width$}"), Paint::new().add_modifier(weight));
        self.top += 1;
        let bottom = self.top + u16::try_from(room - 1).unwrap_or(0);
        lines.iter().for_each(|line| self.line(line));
        // Events fill the rest of the screen; the others take no more than they have.
        if panel == Panel::Events {
            self.top = bottom;
        }
    }

    fn foot(&mut self, text: &str) {
        let last = self.area.height.saturating_sub(1);
        self.put(last, text, Paint::new().add_modifier(Modifier::BOLD));
    }
}

fn paint(tone: Tone, style: Style) -> Paint {
    let plain = Paint::new();
    match (tone, style.colour) {
        (Tone::Plain, _) => plain,
        (Tone::Strong, _) | (Tone::Bad, false) => plain.add_modifier(Modifier::BOLD),
        (Tone::Faint, _) => plain.add_modifier(Modifier::DIM),
        (Tone::Good | Tone::Warning, false) => plain,
        (Tone::Good, true) => plain.fg(Color::Green),
        (Tone::Warning, true) => plain.fg(Color::Yellow),
        (Tone::Bad, true) => plain.fg(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use latchd::wire::control::StatusReport;
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::text::samples;

    fn model(report: Option<StatusReport>) -> Model {
        let mut model = Model::new();
        if let Some(report) = report {
            model.state(report);
            samples::events().into_iter().for_each(|event| model.event(event));
        }
        model
    }

    fn drawn(model: &mut Model, width: u16, height: u16, colour: bool) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen(frame, model, Style { colour })).unwrap();
        terminal
    }

    fn shown(mut model: Model, width: u16, height: u16) -> String {
        drawn(&mut model, width, height, false).backend().to_string()
    }

    #[test]
    fn a_good_day_on_80_columns() {
        insta::assert_snapshot!(shown(model(Some(samples::normal())), 80, 24));
    }

    #[test]
    fn a_bad_day_on_80_columns() {
        insta::assert_snapshot!(shown(model(Some(samples::failing())), 80, 24));
    }

    #[test]
    fn a_bad_day_on_a_wide_screen() {
        insta::assert_snapshot!(shown(model(Some(samples::failing())), 132, 40));
    }

    #[test]
    fn a_box_fresh_from_the_shelf() {
        let mut empty = Model::new();
        empty.state(samples::empty());
        insta::assert_snapshot!(shown(empty, 80, 24));
    }

    #[test]
    fn nothing_was_heard_yet_and_nothing_is_to_be_heard() {
        insta::assert_snapshot!("before_the_first_answer", shown(Model::new(), 80, 14));
        let mut lost = Model::new();
        lost.lost("daemon not reachable at /run/latchd/latchd.sock: no such file".into());
        insta::assert_snapshot!("without_a_daemon", shown(lost, 80, 14));
    }

    #[test]
    fn a_small_screen_has_what_is_wrong() {
        insta::assert_snapshot!(shown(model(Some(samples::failing())), 40, 8));
    }

    #[test]
    fn every_size_is_drawn_without_harm() {
        for width in [1, 2, 10, 49, 50, 80, 300] {
            for height in [1, 2, 3, 13, 14, 15, 24, 100] {
                shown(model(Some(samples::failing())), width, height);
            }
        }
    }

    #[test]
    fn without_colour_there_is_none_and_with_it_there_is() {
        let colours = |colour| {
            let mut model = model(Some(samples::failing()));
            let terminal = drawn(&mut model, 80, 24, colour);
            terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset).count()
        };
        assert_eq!(colours(false), 0);
        assert!(colours(true) > 0);
    }

    #[test]
    fn two_share_what_there_is() {
        assert_eq!(share(10, [3, 4]), [3, 4]);
        assert_eq!(share(10, [30, 40]), [5, 5]);
        assert_eq!(share(10, [30, 2]), [8, 2]);
        assert_eq!(share(10, [2, 30]), [2, 8]);
        assert_eq!(share(0, [2, 30]), [0, 0]);
    }
}

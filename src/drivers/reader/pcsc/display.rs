//! Shows feedback at a PC/SC reader: a thread and a context of its own beside the one that reads cards, because a
//! command to a lamp may hang as any call of PC/SC may. It is only there where the device has lamps.
//!
//! ```text
//!   no device with lamps ──plugged in──► greeting ──► dark ──show──► playing ──over──► dark
//!                                                      ▲                │ ▲ shown another: at once
//!                                                      └─ a card comes ─┘ └─┘
//! ```
//!
//! There is room for one feedback, the newest. While the device hangs, that is all that waits for it.

use std::{
    ffi::CString,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use pcsc::{Card, Context, Disposition, Protocols, Scope, ShareMode};

use super::{
    panel::{Panel, Told},
    shared::Shared,
};
use crate::{
    control::Feedback,
    domain::ReaderId,
    drivers::{clock, seldom::Seldom},
};

/// `IOCTL_SMARTCARD_VENDOR_IFD_EXCHANGE`: what is sent by it goes to the reader as an escape command (CCID §6.1.8).
const ESCAPE: u32 = 1;
/// More than any of these commands is answered by.
const ANSWER_MAX: usize = 64;

/// Why a command did not reach the lamps.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error(
        "the reader's driver does not pass commands on to it ({0}); where that is libccid, set ifdDriverOptions to \
         0x0001 in /etc/libccid_Info.plist and restart pcscd"
    )]
    NotPassedOn(pcsc::Error),
    #[error("the reader does not do what it was told; is it the model it says it is?")]
    Refused,
    #[error("pcscd does not serve: {0}")]
    Service(pcsc::Error),
}

impl From<pcsc::Error> for Untold {
    fn from(error: pcsc::Error) -> Self {
        // What pcscd makes of a driver that does not take escape commands.
        if matches!(error, pcsc::Error::NotTransacted | pcsc::Error::UnsupportedFeature) {
            Untold::NotPassedOn(error)
        } else {
            Untold::Service(error)
        }
    }
}

/// Carries a command to the device, and its answer back.
trait Wire {
    fn tell(&mut self, command: &[u8]) -> Result<Vec<u8>, Untold>;
}

/// One reader's lamps, shared by all who have something to show or to say about them.
#[derive(Debug, Clone)]
pub struct Display {
    reader: ReaderId,
    shared: Arc<Shared>,
    desk: Arc<Desk>,
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    device: Option<(String, Panel)>,
    /// It was plugged in and has not been greeted.
    fresh: bool,
    feedback: Option<Feedback>,
    /// What is shown is to end.
    cut: bool,
    stop: bool,
    has_thread: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Task {
    Greet(String, Panel),
    Show(String, Panel, Feedback),
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// The next task, when there is one. `None`: it is over.
    fn next(&self) -> Option<Task> {
        let mut state = self.state();
        loop {
            if state.stop {
                return None;
            }
            if let Some((device, panel)) = state.device.clone() {
                state.cut = false;
                if std::mem::take(&mut state.fresh) {
                    return Some(Task::Greet(device, panel));
                }
                if let Some(feedback) = state.feedback.take() {
                    return Some(Task::Show(device, panel, feedback));
                }
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits within a pattern. False: it is to end now.
    fn rest(&self, time: Duration) -> bool {
        let goes_on = |state: &mut State| {
            !state.stop && !state.cut && state.feedback.is_none() && state.device.is_some()
        };
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.state(), time, goes_on)
            .unwrap_or_else(PoisonError::into_inner);
        goes_on(&mut state)
    }
}

impl Display {
    pub fn new(reader: ReaderId, shared: Arc<Shared>) -> Self {
        Display { reader, shared, desk: Arc::default() }
    }

    /// The reader is this device now.
    pub fn plugged_in(&self, device: &str) {
        let Some(panel) = Panel::of(device) else {
            tracing::debug!(reader = %self.reader, device, "it has no lamps that are known: it shows nothing");
            return;
        };
        let mut needs_thread = false;
        self.desk.change(|state| {
            state.device = Some((device.to_owned(), panel));
            state.fresh = true;
            needs_thread = !std::mem::replace(&mut state.has_thread, true);
        });
        if needs_thread && let Err(error) = self.start() {
            self.desk.change(|state| state.has_thread = false);
            tracing::warn!(reader = %self.reader, %error, "no thread to show feedback by");
        }
    }

    pub fn unplugged(&self) {
        self.desk.change(|state| {
            state.device = None;
            state.feedback = None;
        });
    }

    /// In place of whatever is shown or waits to be.
    pub fn show(&self, feedback: Feedback) {
        self.desk.change(|state| {
            if state.device.is_some() {
                state.feedback = Some(feedback);
            }
        });
    }

    /// A card comes: what is shown is another's, and the reader is needed.
    pub fn make_way(&self) {
        self.desk.change(|state| {
            state.cut = true;
            state.feedback = None;
        });
    }

    pub fn stop(&self) {
        self.desk.change(|state| state.stop = true);
    }

    fn start(&self) -> io::Result<()> {
        let own = self.clone();
        let name = format!("lamp-{}", self.reader).chars().take(15).collect();
        thread::Builder::new().name(name).spawn(move || own.run()).map(drop)
    }

    fn run(self) {
        let mut context = None;
        let mut failed = Seldom::default();
        while let Some(task) = self.desk.next() {
            if let Err(error) = self.carry_out(&mut context, task) {
                // A context that failed once stays broken.
                context = None;
                if let Some(left_out) = failed.may(clock::mono()) {
                    tracing::warn!(reader = %self.reader, %error, left_out, "the reader shows nothing");
                }
            }
        }
    }

    fn carry_out(&self, context: &mut Option<Context>, task: Task) -> Result<(), Untold> {
        let (Task::Greet(device, panel) | Task::Show(device, panel, _)) = &task;
        let Ok(name) = CString::new(device.as_str()) else { return Ok(()) };
        let context = match context {
            Some(context) => context,
            none => none.insert(self.shared.within_panel(|| Context::establish(Scope::System))?),
        };
        // Beside whoever reads a card, and without powering one.
        let connect = || context.connect(&name, ShareMode::Direct, Protocols::UNDEFINED);
        let mut wire = Escapes { card: Some(self.shared.within_panel(connect)?), shared: &self.shared };
        match task {
            Task::Greet(..) => greet(*panel, &mut wire),
            Task::Show(_, _, feedback) => play(*panel, feedback, &self.desk, &mut wire),
        }
    }
}

/// Escape commands over a connection of their own.
struct Escapes<'a> {
    card: Option<Card>,
    shared: &'a Shared,
}

impl Wire for Escapes<'_> {
    fn tell(&mut self, command: &[u8]) -> Result<Vec<u8>, Untold> {
        let Some(card) = &self.card else { return Err(Untold::Service(pcsc::Error::InvalidHandle)) };
        let mut room = [0; ANSWER_MAX];
        let code = pcsc::ctl_code(ESCAPE.into());
        let answer = self.shared.within_panel(|| Ok(card.control(code, command, &mut room)?.to_vec()));
        answer.map_err(|error: pcsc::Error| error.into())
    }
}

impl Drop for Escapes<'_> {
    fn drop(&mut self) {
        // By itself it would reset the card that lies there, and that would look like another arrival.
        let card = self.card.take();
        self.shared.within_panel(|| drop(card.map(|card| card.disconnect(Disposition::LeaveCard))));
    }
}

fn greet(panel: Panel, wire: &mut impl Wire) -> Result<(), Untold> {
    let answer = wire.tell(&panel.greeting())?;
    if !panel.agrees(&answer) {
        return Err(Untold::Refused);
    }
    if let Some(command) = panel.settled(&answer) {
        wire.tell(&command)?;
    }
    panel.dark().iter().try_for_each(|told| wire.tell(&told.command).map(drop))
}

/// Plays a pattern to its end, or until something else is to be shown.
fn play(panel: Panel, feedback: Feedback, desk: &Desk, wire: &mut impl Wire) -> Result<(), Untold> {
    for Told { command, tenths } in feedback.pattern().iter().flat_map(|step| panel.step(step)) {
        let sent = clock::mono();
        if !panel.agrees(&wire.tell(&command)?) {
            return Err(Untold::Refused);
        }
        // Some devices answer when it is over, some at once.
        let left = Duration::from_millis(u64::from(tenths) * 100).saturating_sub(clock::mono().since(sent));
        if !desk.rest(left) {
            break;
        }
    }
    panel.dark().iter().try_for_each(|told| wire.tell(&told.command).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that agrees to everything, and notes it; the `at`th command has something happen.
    struct Noted<'a> {
        told: Vec<String>,
        happens: Option<(usize, &'a dyn Fn())>,
    }

    impl Wire for Noted<'_> {
        fn tell(&mut self, command: &[u8]) -> Result<Vec<u8>, Untold> {
            self.told.push(command.iter().map(|byte| format!("{byte:02X}")).collect());
            if let Some((at, happen)) = self.happens
                && at == self.told.len()
            {
                happen();
            }
            Ok(vec![0xE1, 0x00, 0x00, 0x00, 0x01, 0x7F])
        }
    }

    fn display(device: &str) -> Display {
        let display = Display::new(ReaderId::new("r").unwrap(), Arc::default());
        // No thread: the test takes the tasks.
        display.desk.change(|state| state.has_thread = true);
        display.plugged_in(device);
        display
    }

    const DUAL: &str = "ACS ACR1252 Dual Reader 00 00";
    const DARK: &str = "E00000290100";

    fn show(display: &Display) -> Option<Feedback> {
        display.desk.change(|state| state.stop = state.feedback.is_none());
        match display.desk.next()? {
            Task::Show(_, _, feedback) => Some(feedback),
            Task::Greet(..) => panic!("it is greeted twice"),
        }
    }

    #[test]
    fn a_device_is_greeted_when_it_is_plugged_in_and_once() {
        let display = display(DUAL);
        display.show(Feedback::Granted);
        assert_eq!(display.desk.next(), Some(Task::Greet(DUAL.into(), Panel::Acr1252)));
        assert_eq!(show(&display), Some(Feedback::Granted));
        let mut wire = Noted { told: vec![], happens: None };
        greet(Panel::Acr1252, &mut wire).unwrap();
        assert_eq!(wire.told, ["E000002100", "E00000210170", DARK]);
    }

    #[test]
    fn the_newest_feedback_wins_and_one_alone_waits() {
        let display = display(DUAL);
        display.desk.next();
        for feedback in [Feedback::Denied, Feedback::Fault, Feedback::Granted] {
            display.show(feedback);
        }
        assert_eq!(show(&display), Some(Feedback::Granted));
        assert_eq!(show(&display), None);
    }

    #[test]
    fn a_pattern_is_played_in_its_own_time_and_ends_dark() {
        let display = display(DUAL);
        let mut wire = Noted { told: vec![], happens: None };
        let began = clock::mono();
        play(Panel::Acr1252, Feedback::Denied, &display.desk, &mut wire).unwrap();
        let took = clock::mono().since(began);
        assert!(took >= Duration::from_millis(800), "{took:?}");
        let (red, beep) = ("E00000290101", "E00000280114");
        assert_eq!(wire.told, [red, beep, DARK, red, beep, DARK, red, beep, DARK]);
    }

    #[test]
    fn another_feedback_a_card_and_an_unplugged_device_end_a_pattern_at_once() {
        let ends: [fn(&Display); 4] =
            [|d| d.show(Feedback::Granted), Display::make_way, Display::unplugged, Display::stop];
        for end in ends {
            let display = display(DUAL);
            display.desk.next();
            let act = || end(&display);
            let mut wire = Noted { told: vec![], happens: Some((2, &act)) };
            play(Panel::Acr1252, Feedback::StandsOpen, &display.desk, &mut wire).unwrap();
            assert_eq!(wire.told, ["E00000290103", "E0000028010A", DARK]);
        }
    }

    #[test]
    fn a_reader_without_lamps_gets_no_thread_and_keeps_nothing() {
        let display = Display::new(ReaderId::new("r").unwrap(), Arc::default());
        display.plugged_in("OMNIKEY CardMan 5x21-CL 00 00");
        display.show(Feedback::Granted);
        assert!(!display.desk.state().has_thread);
        assert_eq!(display.desk.state().feedback, None);
    }

    #[test]
    fn a_device_that_refuses_is_an_error_that_says_what_to_do() {
        struct Refuses;
        impl Wire for Refuses {
            fn tell(&mut self, _: &[u8]) -> Result<Vec<u8>, Untold> {
                Ok(vec![0x63, 0x00])
            }
        }
        let display = display(DUAL);
        let outcome = play(Panel::Acr1252, Feedback::Granted, &display.desk, &mut Refuses);
        assert!(matches!(outcome, Err(Untold::Refused)));
        let said = Untold::from(pcsc::Error::NotTransacted).to_string();
        assert!(said.contains("ifdDriverOptions"), "{said}");
    }
}

//! What a member sees and hears at an OSDP reader: light and buzzer for each [`Feedback`] (`osdp_LED`, `osdp_BUZ`,
//! OSDP 2.2 §6.9, §6.10).
//!
//! A reader counts by itself, in tenths of a second, and knows one on and one off time: what [`Feedback::pattern`]
//! describes, but for `NotNow`, whose long and two short ones are three long ones here.
//!
//! All of it is temporary: the reader goes back by itself to the light it has when idle, which stays its own setting, so
//! that nothing is left shown when we are gone.

use super::identity::Abilities;
use crate::{
    control::Feedback,
    wire::osdp::{
        BuzzerControl, BuzzerTone, Command,
        LedColor::{self, Amber, Black, Green, Red},
        LedControl, LedPermanent, LedRecord, LedTemporary,
    },
};

/// Times in tenths of a second, as the standard has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rhythm {
    color: LedColor,
    count: u8,
    on: u8,
    off: u8,
}

impl Rhythm {
    fn of(feedback: Feedback) -> Self {
        let (color, count, on, off) = match feedback {
            Feedback::Granted => (Green, 1, 6, 4),
            Feedback::Denied => (Red, 3, 2, 1),
            Feedback::WrongTime => (Amber, 2, 6, 3),
            Feedback::NotNow => (Red, 3, 6, 2),
            Feedback::Fault => (Amber, 6, 1, 1),
            Feedback::StandsOpen => (Amber, 4, 1, 9),
        };
        Rhythm { color, count, on, off }
    }

    /// From the first to the end of the last.
    fn lasts(self) -> u16 {
        u16::from(self.count) * u16::from(self.on + self.off) - u16::from(self.off)
    }
}

/// The commands that show it, as far as the reader can.
pub fn commands(feedback: Feedback, abilities: Abilities) -> Vec<Command> {
    let rhythm = Rhythm::of(feedback);
    let light = abilities.light.then(|| lit(feedback, rhythm));
    light.into_iter().chain(abilities.sound.then(|| buzzed(rhythm))).collect()
}

fn lit(feedback: Feedback, rhythm: Rhythm) -> Command {
    // One green light for as long as it takes to look, where the others blink.
    let (on_time, off_time, timer) = match feedback {
        Feedback::Granted => (rhythm.on + rhythm.off, 0, u16::from(rhythm.on + rhythm.off)),
        Feedback::Denied
        | Feedback::WrongTime
        | Feedback::NotNow
        | Feedback::Fault
        | Feedback::StandsOpen => (rhythm.on, rhythm.off, rhythm.lasts()),
    };
    let temporary =
        LedTemporary { control: 2, on_time, off_time, on_color: rhythm.color, off_color: Black, timer };
    // 0: the light it has when idle is left as it is.
    let permanent = LedPermanent { control: 0, on_time: 0, off_time: 0, on_color: Black, off_color: Black };
    Command::Led(LedControl::new(vec![LedRecord { reader: 0, led: 0, temporary, permanent }]))
}

fn buzzed(rhythm: Rhythm) -> Command {
    Command::Buzzer(BuzzerControl {
        reader: 0,
        tone: BuzzerTone::Default,
        on_time: rhythm.on,
        off_time: if rhythm.count > 1 { rhythm.off } else { 0 },
        count: rhythm.count,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn granted_is_green_for_a_second_and_one_long_beep() {
        let both = Abilities { light: true, sound: true };
        let bytes: Vec<Vec<u8>> =
            commands(Feedback::Granted, both).iter().map(|c| c.encode_data().unwrap()).collect();
        assert_eq!(bytes, [vec![0, 0, 2, 10, 0, 2, 0, 10, 0, 0, 0, 0, 0, 0], vec![0, 2, 6, 0, 1]]);
    }

    #[test]
    fn it_is_what_every_reader_shows_but_for_one() {
        for feedback in Feedback::ALL.into_iter().filter(|f| *f != Feedback::NotNow) {
            let Rhythm { count, on, off, .. } = Rhythm::of(feedback);
            let steps = feedback.pattern();
            let sounds: Vec<u8> = steps.iter().filter(|s| s.sound).map(|s| s.tenths).collect();
            assert_eq!(sounds, vec![on; count.into()], "{feedback:?}");
            let pauses = steps.iter().filter(|s| !s.sound).map(|s| s.tenths);
            assert!(pauses.into_iter().all(|pause| pause == off), "{feedback:?}");
            let whole: u16 = steps.iter().map(|s| u16::from(s.tenths)).sum();
            let lasts = Rhythm::of(feedback).lasts();
            assert_eq!(whole, if feedback == Feedback::Granted { 10 } else { lasts }, "{feedback:?}");
        }
    }

    #[test]
    fn each_looks_and_sounds_like_no_other() {
        for abilities in [Abilities { light: true, sound: false }, Abilities { light: false, sound: true }] {
            let shown: BTreeSet<Vec<u8>> =
                Feedback::ALL.iter().map(|f| commands(*f, abilities)[0].encode_data().unwrap()).collect();
            assert_eq!(shown.len(), Feedback::ALL.len());
        }
    }

    #[test]
    fn what_a_reader_can_not_show_is_not_asked_of_it() {
        assert!(commands(Feedback::Denied, Abilities::default()).is_empty());
    }
}

//! What a member is told at the reader: six answers, each a short run of light and sound. The one description of it
//! that every driver renders, as well as its device can.
//!
//! | feedback | says | light | sound |
//! | --- | --- | --- | --- |
//! | `Granted` | come in | green, 1 s | one long |
//! | `Denied` | not with this card | red, three flashes | three short |
//! | `WrongTime` | with this card, but too early or too late | amber, two slow flashes | two long |
//! | `NotNow` | nobody now: locked down or blocked | red, a long flash and two quick ones | long, short, short |
//! | `Fault` | the door or the reader has failed: tell somebody | amber, six quick flashes | six very short |
//! | `StandsOpen` | please shut the door | amber, a blink a second, 4 s | a very short one a second |
//!
//! No two have the same rhythm, neither in sound nor in light: whoever can't tell red from green, or doesn't hear, is
//! told all the same. Nothing lasts longer than [`LONGEST`], so that nobody is shown another's answer for long.

use std::time::Duration;

/// What a member is told at the reader, by light and sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feedback {
    Granted,
    Denied,
    /// Right card, wrong time.
    WrongTime,
    /// The door opens to nobody, or to few: it is locked down or blocked.
    NotNow,
    /// The door could not be driven, the card could not be read, or the controller can't tell what is right.
    Fault,
    /// The door stands open, and will be said to be held open.
    StandsOpen,
}

/// What a reader's lamp shows. Readers with a red and a green one show amber by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Light {
    Off,
    Green,
    Red,
    Amber,
}

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub light: Light,
    /// Whether it sounds as well.
    pub sound: bool,
    /// Tenths of a second: the coarsest unit readers count in (ACR122U, OSDP).
    pub tenths: u8,
}

impl Step {
    pub fn length(&self) -> Duration {
        Duration::from_millis(u64::from(self.tenths) * 100)
    }
}

/// The longest pattern, and so the longest that an answer can be shown.
pub const LONGEST: Duration = Duration::from_secs(4);

const fn lit(light: Light, tenths: u8) -> Step {
    Step { light, sound: true, tenths }
}

const fn dark(tenths: u8) -> Step {
    Step { light: Light::Off, sound: false, tenths }
}

impl Feedback {
    pub const ALL: [Feedback; 6] = [
        Feedback::Granted,
        Feedback::Denied,
        Feedback::WrongTime,
        Feedback::NotNow,
        Feedback::Fault,
        Feedback::StandsOpen,
    ];

    /// How it is shown, in order; after the last step the reader is dark and silent again.
    pub fn pattern(self) -> &'static [Step] {
        use Light::{Amber, Green, Red};
        const GRANTED: &[Step] = &[lit(Green, 6), Step { light: Green, sound: false, tenths: 4 }];
        const DENIED: &[Step] = &[lit(Red, 2), dark(1), lit(Red, 2), dark(1), lit(Red, 2)];
        const WRONG_TIME: &[Step] = &[lit(Amber, 6), dark(3), lit(Amber, 6)];
        const NOT_NOW: &[Step] = &[lit(Red, 6), dark(2), lit(Red, 2), dark(1), lit(Red, 2)];
        const FLASH: Step = lit(Amber, 1);
        const GAP: Step = dark(1);
        const FAULT: &[Step] = &[FLASH, GAP, FLASH, GAP, FLASH, GAP, FLASH, GAP, FLASH, GAP, FLASH];
        const STANDS_OPEN: &[Step] =
            &[lit(Amber, 1), dark(9), lit(Amber, 1), dark(9), lit(Amber, 1), dark(9), lit(Amber, 1)];
        match self {
            Feedback::Granted => GRANTED,
            Feedback::Denied => DENIED,
            Feedback::WrongTime => WRONG_TIME,
            Feedback::NotNow => NOT_NOW,
            Feedback::Fault => FAULT,
            Feedback::StandsOpen => STANDS_OPEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Lengths of what is on and of what is off in turn, in tenths of a second.
    fn rhythm(feedback: Feedback, is_on: impl Fn(&Step) -> bool) -> Vec<(bool, u8)> {
        let mut rhythm: Vec<(bool, u8)> = Vec::new();
        for step in feedback.pattern() {
            match rhythm.last_mut() {
                Some((on, tenths)) if *on == is_on(step) => *tenths += step.tenths,
                _ => rhythm.push((is_on(step), step.tenths)),
            }
        }
        rhythm
    }

    /// As a person tells rhythms apart: how many, and whether each is long or short, and the pauses quick or slow.
    fn as_heard(rhythm: &[(bool, u8)]) -> String {
        let word = |&(on, tenths): &(bool, u8)| match (on, tenths) {
            (true, ..4) => "short ",
            (true, _) => "long ",
            (false, ..6) => "",
            (false, _) => "pause ",
        };
        rhythm.iter().map(word).collect()
    }

    #[test]
    fn each_is_told_by_its_sound_alone_and_by_its_light_alone_whatever_the_colour() {
        let sounds: BTreeSet<String> =
            Feedback::ALL.into_iter().map(|f| as_heard(&rhythm(f, |step| step.sound))).collect();
        assert_eq!(sounds.len(), Feedback::ALL.len(), "{sounds:?}");
        let lights: BTreeSet<String> = Feedback::ALL
            .into_iter()
            .map(|f| as_heard(&rhythm(f, |step| step.light != Light::Off)))
            .collect();
        assert_eq!(lights.len(), Feedback::ALL.len(), "{lights:?}");
    }

    #[test]
    fn only_come_in_is_green_and_it_is_green_throughout() {
        for feedback in Feedback::ALL {
            let lights = feedback.pattern().iter().map(|step| step.light);
            if feedback == Feedback::Granted {
                assert!(lights.into_iter().all(|light| light == Light::Green));
            } else {
                assert!(lights.into_iter().all(|light| light != Light::Green), "{feedback:?}");
            }
        }
    }

    #[test]
    fn each_begins_at_once_and_none_lasts_long() {
        for feedback in Feedback::ALL {
            let pattern = feedback.pattern();
            assert!(pattern[0].sound && pattern[0].light != Light::Off, "{feedback:?} begins in the dark");
            assert!(pattern.iter().all(|step| step.tenths > 0));
            let length: Duration = pattern.iter().map(Step::length).sum();
            assert!(length >= Duration::from_millis(800) && length <= LONGEST, "{feedback:?}: {length:?}");
        }
    }
}

//! What a member sees and hears at an OSDP reader: light and buzzer for each [`Feedback`] (`osdp_LED`, `osdp_BUZ`,
//! OSDP 2.2 §6.9, §6.10).
//!
//! | feedback | light, for | buzzer |
//! | --- | --- | --- |
//! | granted | green, 3 s | once, short |
//! | denied | red, blinking fast, 2 s | three times, short |
//! | not now | amber, blinking slowly, 3 s | twice |
//! | fault | red and amber in turn, 3 s | once, long |
//! | stands open | amber, blinking fast, 5 s | five times |
//!
//! All of it is temporary: the reader goes back by itself to the light it has when idle, which stays its own setting, so
//! that nothing is left shown when we are gone. Light and sound differ together, for those who can't see or hear one.

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
struct Pattern {
    light: Light,
    beeps: Beeps,
}

struct Light {
    color: LedColor,
    between: LedColor,
    on: u8,
    off: u8,
    lasts: u16,
}

struct Beeps {
    count: u8,
    on: u8,
    off: u8,
}

fn pattern(feedback: Feedback) -> Pattern {
    let (color, between, on, off, lasts) = match feedback {
        Feedback::Granted => (Green, Green, 30, 0, 30),
        Feedback::Denied => (Red, Black, 2, 2, 20),
        Feedback::NotNow => (Amber, Black, 5, 5, 30),
        Feedback::Fault => (Red, Amber, 3, 3, 30),
        Feedback::StandsOpen => (Amber, Black, 2, 2, 50),
    };
    let (count, beep, pause) = match feedback {
        Feedback::Granted => (1, 1, 0),
        Feedback::Denied => (3, 1, 1),
        Feedback::NotNow => (2, 3, 3),
        Feedback::Fault => (1, 10, 0),
        Feedback::StandsOpen => (5, 2, 2),
    };
    Pattern { light: Light { color, between, on, off, lasts }, beeps: Beeps { count, on: beep, off: pause } }
}

/// The commands that show it, as far as the reader can.
pub fn commands(feedback: Feedback, abilities: Abilities) -> Vec<Command> {
    let Pattern { light, beeps } = pattern(feedback);
    let light = abilities.light.then(|| lit(&light));
    light.into_iter().chain(abilities.sound.then(|| buzzed(&beeps))).collect()
}

fn lit(light: &Light) -> Command {
    let temporary = LedTemporary {
        control: 2,
        on_time: light.on,
        off_time: light.off,
        on_color: light.color,
        off_color: light.between,
        timer: light.lasts,
    };
    // 0: the light it has when idle is left as it is.
    let permanent = LedPermanent { control: 0, on_time: 0, off_time: 0, on_color: Black, off_color: Black };
    Command::Led(LedControl::new(vec![LedRecord { reader: 0, led: 0, temporary, permanent }]))
}

fn buzzed(beeps: &Beeps) -> Command {
    Command::Buzzer(BuzzerControl {
        reader: 0,
        tone: BuzzerTone::Default,
        on_time: beeps.on,
        off_time: beeps.off,
        count: beeps.count,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: [Feedback; 5] =
        [Feedback::Granted, Feedback::Denied, Feedback::NotNow, Feedback::Fault, Feedback::StandsOpen];

    #[test]
    fn granted_is_green_for_three_seconds_and_one_short_beep() {
        let both = Abilities { light: true, sound: true };
        let bytes: Vec<Vec<u8>> =
            commands(Feedback::Granted, both).iter().map(|c| c.encode_data().unwrap()).collect();
        assert_eq!(bytes, [vec![0, 0, 2, 30, 0, 2, 2, 30, 0, 0, 0, 0, 0, 0], vec![0, 2, 1, 0, 1]]);
    }

    #[test]
    fn each_looks_and_sounds_like_no_other() {
        for abilities in [Abilities { light: true, sound: false }, Abilities { light: false, sound: true }] {
            let shown: BTreeSet<Vec<u8>> =
                ALL.iter().map(|f| commands(*f, abilities)[0].encode_data().unwrap()).collect();
            assert_eq!(shown.len(), ALL.len());
        }
    }

    #[test]
    fn what_a_reader_can_not_show_is_not_asked_of_it() {
        assert!(commands(Feedback::Denied, Abilities::default()).is_empty());
    }
}

//! The lamps and buzzers of PC/SC readers: which device has them, and the bytes it understands. Pure; `display` sends
//! them.
//!
//! PC/SC knows no lamp. What a reader has is driven by escape commands of its maker's own, so a reader is known by
//! its name:
//!
//! | name holds | device | commands (ACS reference manuals) |
//! | --- | --- | --- |
//! | `ACR122` | ACS ACR122U | `FF 00 40 P2 04 T1 T2 N L`: both lamps and the buzzer, answered when it is over |
//! | `ACR1252`, `ACM1252`, `ACR1281` | ACS ACR1252U and kin | `E0 00 00 29 01 L` lamps, `E0 00 00 28 01 T` buzzer |
//!
//! Both beep and blink by themselves when a card comes; that is switched off, or three beeps would be four.

use crate::control::feedback::{Light, Step};

/// An ACR122U is busy for as long as it sounds, and reads no card meanwhile: it sounds in pieces of this many tenths
/// of a second.
const BUSY_MOST: u8 = 2;

/// How a device is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    Acr122,
    Acr1252,
}

/// One command, and how long after it the next may be sent, in tenths of a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub command: Vec<u8>,
    pub tenths: u8,
}

impl Panel {
    /// Of the device with this name. `None`: it has none that is known.
    pub fn of(device: &str) -> Option<Panel> {
        let is_a = |names: &[&str]| names.iter().any(|name| device.contains(name));
        if is_a(&["ACR122"]) {
            Some(Panel::Acr122)
        } else if is_a(&["ACR1252", "ACM1252", "ACR1281"]) {
            Some(Panel::Acr1252)
        } else {
            None
        }
    }

    /// What it is asked first, when it has been plugged in.
    pub fn greeting(self) -> Vec<u8> {
        match self {
            // Its own beep at a card: off. It forgets that without power.
            Panel::Acr122 => vec![0xFF, 0x00, 0x52, 0x00, 0x00],
            // What it does by itself.
            Panel::Acr1252 => vec![0xE0, 0x00, 0x00, 0x21, 0x00],
        }
    }

    /// What it is told after it has answered that. It may keep this setting without power, so nothing is written that
    /// stands already.
    pub fn settled(self, answer: &[u8]) -> Option<Vec<u8>> {
        match (self, answer) {
            // Bits 0 to 3: lamps that show it polls and accesses cards, and a beep at each.
            (Panel::Acr1252, [0xE1, 0x00, 0x00, 0x00, 0x01, own]) if own & 0x0F != 0 => {
                Some(vec![0xE0, 0x00, 0x00, 0x21, 0x01, own & 0xF0])
            }
            _ => None,
        }
    }

    /// What shows this step.
    pub fn step(self, step: &Step) -> Vec<Told> {
        let lamps = match step.light {
            Light::Off => 0,
            Light::Red => 1,
            Light::Green => 2,
            Light::Amber => 3,
        };
        match self {
            Panel::Acr122 if step.sound => {
                let pieces = step.tenths.div_ceil(BUSY_MOST);
                let piece = |n: u8| (step.tenths - n * BUSY_MOST).min(BUSY_MOST);
                (0..pieces).map(piece).map(|tenths| sounding(lamps, tenths)).collect()
            }
            Panel::Acr122 => vec![Told { command: still(lamps), tenths: step.tenths }],
            Panel::Acr1252 => {
                let lamps = Told { command: vec![0xE0, 0x00, 0x00, 0x29, 0x01, lamps], tenths: 0 };
                let hundredths = step.tenths.saturating_mul(10).min(0xFE);
                let buzzer = vec![0xE0, 0x00, 0x00, 0x28, 0x01, hundredths];
                let mut told = vec![lamps];
                told.extend(step.sound.then_some(Told { command: buzzer, tenths: 0 }));
                if let Some(last) = told.last_mut() {
                    last.tenths = step.tenths;
                }
                told
            }
        }
    }

    /// What leaves it dark and silent.
    pub fn dark(self) -> Vec<Told> {
        self.step(&Step { light: Light::Off, sound: false, tenths: 0 })
    }

    /// Whether it has done what it was told.
    pub fn agrees(self, answer: &[u8]) -> bool {
        match self {
            Panel::Acr122 => matches!(answer, [.., 0x90, _]),
            Panel::Acr1252 => answer.starts_with(&[0xE1, 0x00, 0x00, 0x00]),
        }
    }
}

/// ACR122U: lamps on and off without a sound. Bits 2 and 3 say that both are to change.
fn still(lamps: u8) -> Vec<u8> {
    vec![0xFF, 0x00, 0x40, 0x0C | lamps, 0x04, 0x00, 0x00, 0x00, 0x00]
}

/// ACR122U: it sounds only while it blinks, so it blinks once, and its lamps stay as they were in the blink. Bits 4
/// and 5 are the lamps in the blink, 6 and 7 which of them blink.
fn sounding(lamps: u8, tenths: u8) -> Told {
    let control = 0x0C | lamps | lamps << 4 | lamps << 6;
    Told { command: vec![0xFF, 0x00, 0x40, control, 0x04, tenths, 0x00, 0x01, 0x01], tenths }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Feedback;

    fn told(panel: Panel, feedback: Feedback) -> Vec<String> {
        let hex = |told: Told| {
            let bytes: String = told.command.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("{bytes} {}", told.tenths)
        };
        feedback.pattern().iter().flat_map(|step| panel.step(step)).map(hex).collect()
    }

    #[test]
    fn readers_are_known_by_their_names() {
        for (name, panel) in [
            ("ACS ACR122U PICC Interface 00 00", Some(Panel::Acr122)),
            ("ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00", Some(Panel::Acr1252)),
            ("ACS ACR1281U 01 02", Some(Panel::Acr1252)),
            ("OMNIKEY CardMan 5x21-CL 00 00", None),
        ] {
            assert_eq!(Panel::of(name), panel, "{name}");
        }
    }

    #[test]
    fn an_acr122u_blinks_to_sound_and_is_never_busy_for_long() {
        assert_eq!(
            told(Panel::Acr122, Feedback::Granted),
            ["FF0040AE0402000101 2", "FF0040AE0402000101 2", "FF0040AE0402000101 2", "FF00400E0400000000 4"]
        );
        let red = "FF00405D0402000101 2";
        let off = "FF00400C0400000000 1";
        assert_eq!(told(Panel::Acr122, Feedback::Denied), [red, off, red, off, red]);
        for feedback in Feedback::ALL {
            for told in feedback.pattern().iter().flat_map(|step| Panel::Acr122.step(step)) {
                let busy = told.command[5];
                assert!(busy <= BUSY_MOST, "{feedback:?}");
            }
        }
    }

    #[test]
    fn an_acr1252u_has_lamps_and_a_buzzer_of_their_own() {
        assert_eq!(
            told(Panel::Acr1252, Feedback::Granted),
            ["E00000290102 0", "E0000028013C 6", "E00000290102 4"]
        );
        assert_eq!(
            told(Panel::Acr1252, Feedback::WrongTime),
            ["E00000290103 0", "E0000028013C 6", "E00000290100 3", "E00000290103 0", "E0000028013C 6"]
        );
    }

    #[test]
    fn every_device_is_told_each_pattern_in_its_own_time() {
        for feedback in Feedback::ALL {
            let length: u32 = feedback.pattern().iter().map(|step| u32::from(step.tenths)).sum();
            for panel in [Panel::Acr122, Panel::Acr1252] {
                let told = feedback.pattern().iter().flat_map(|step| panel.step(step));
                assert_eq!(told.map(|told| u32::from(told.tenths)).sum::<u32>(), length, "{feedback:?}");
            }
        }
    }

    #[test]
    fn what_a_reader_shows_by_itself_is_switched_off_once() {
        assert_eq!(
            Panel::Acr1252.settled(&[0xE1, 0, 0, 0, 1, 0x7F]),
            Some(vec![0xE0, 0, 0, 0x21, 0x01, 0x70])
        );
        assert_eq!(Panel::Acr1252.settled(&[0xE1, 0, 0, 0, 1, 0x70]), None, "it is off");
        assert_eq!(Panel::Acr1252.settled(&[0x63, 0x00]), None, "it does not know the question");
        assert_eq!(Panel::Acr122.settled(&[0x90, 0x00]), None);
    }

    #[test]
    fn a_refusal_is_known() {
        assert!(Panel::Acr122.agrees(&[0x90, 0x02]) && !Panel::Acr122.agrees(&[0x63, 0x00]));
        assert!(!Panel::Acr122.agrees(&[]));
        assert!(Panel::Acr1252.agrees(&[0xE1, 0, 0, 0, 1, 2]) && !Panel::Acr1252.agrees(&[0x63, 0x00]));
    }
}

//! What happens at a simulated OSDP reader, as tests look for it and people read it.

use std::fmt;

/// A line of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Plugged,
    Unplugged,
    /// The host begins to talk to it, from the start.
    Begun,
    /// The secure channel is open.
    Secure,
    /// A card was held up.
    Card,
    /// The host was told of a card.
    Told,
    Light(Light),
    Beeps(Beeps),
}

/// What its light shows for a while. Times in tenths of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Light {
    pub color: Color,
    pub between: Color,
    pub on: u8,
    pub off: u8,
    pub lasts: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Dark,
    Red,
    Green,
    Amber,
    Blue,
    Other(u8),
}

/// Times in tenths of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beeps {
    pub count: u8,
    pub on: u8,
    pub off: u8,
}

impl Color {
    fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Dark,
            1 => Self::Red,
            2 => Self::Green,
            3 => Self::Amber,
            4 => Self::Blue,
            other => Self::Other(other),
        }
    }
}

impl Light {
    /// The temporary half of a record of `osdp_LED`, if it sets anything (OSDP 2.2 §6.9).
    pub(super) fn read(record: &[u8]) -> Option<Self> {
        match *record {
            [_, _, 2, on, off, color, between, low, high, ..] => Some(Self {
                color: Color::of(color),
                between: Color::of(between),
                on,
                off,
                lasts: u16::from_le_bytes([low, high]),
            }),
            _ => None,
        }
    }
}

impl Beeps {
    /// `osdp_BUZ` (OSDP 2.2 §6.10).
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        match *data {
            [_, 2, on, off, count] => Some(Self { count, on, off }),
            [_, _, _, _, _] => Some(Self { count: 0, on: 0, off: 0 }),
            _ => None,
        }
    }
}

fn seconds(tenths: u16) -> f64 {
    f64::from(tenths) / 10.0
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dark => f.write_str("dark"),
            Self::Red => f.write_str("red"),
            Self::Green => f.write_str("green"),
            Self::Amber => f.write_str("amber"),
            Self::Blue => f.write_str("blue"),
            Self::Other(number) => write!(f, "colour {number}"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plugged => f.write_str("plugged in"),
            Self::Unplugged => f.write_str("unplugged"),
            Self::Begun => f.write_str("host begins"),
            Self::Secure => f.write_str("secure channel"),
            Self::Card => f.write_str("card held up"),
            Self::Told => f.write_str("card told to the host"),
            Self::Light(Light { color, between, on, off, lasts }) => {
                write!(f, "light: {color}")?;
                if *off > 0 {
                    let (on, off) = (seconds((*on).into()), seconds((*off).into()));
                    write!(f, " {on} s, {between} {off} s in turn")?;
                }
                write!(f, " for {} s", seconds(*lasts))
            }
            Self::Beeps(Beeps { count, on, .. }) => {
                write!(f, "buzzer: {count} x {} s", seconds((*on).into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_and_sound_are_said_as_people_see_and_hear_them() {
        let light = |record: &[u8]| Light::read(record).map(|light| Seen::Light(light).to_string());
        let green = [0, 0, 2, 30, 0, 2, 2, 30, 0, 0, 0, 0, 0, 0];
        assert_eq!(light(&green).as_deref(), Some("light: green for 3 s"));
        let red = [0, 0, 2, 2, 3, 1, 0, 20, 0, 0, 0, 0, 0, 0];
        assert_eq!(light(&red).as_deref(), Some("light: red 0.2 s, dark 0.3 s in turn for 2 s"));
        assert_eq!(light(&[0; 14]), None);
        let beeps = Beeps::read(&[0, 2, 1, 1, 3]).map(|beeps| Seen::Beeps(beeps).to_string());
        assert_eq!(beeps.as_deref(), Some("buzzer: 3 x 0.1 s"));
        assert_eq!(Beeps::read(&[0]), None);
    }
}

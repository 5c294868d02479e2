//! Who a reader says it is and what it says it can: `osdp_PDID` and `osdp_PDCAP` (OSDP 2.2 §7.4, §7.5, Annex B).

use crate::wire::osdp::{PdCap, PdId};

/// Function codes of capabilities (Annex B).
const LIGHT: u8 = 4;
const SOUND: u8 = 5;
const SECURITY: u8 = 9;
const VERSION: u8 = 16;

/// What a reader can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    pub light: bool,
    pub sound: bool,
}

impl Abilities {
    pub fn of(capabilities: &PdCap) -> Self {
        Abilities { light: can(capabilities, LIGHT), sound: can(capabilities, SOUND) }
    }
}

fn can(capabilities: &PdCap, function: u8) -> bool {
    capabilities.capabilities.iter().any(|c| c.code == function && c.compliance > 0)
}

/// For people: maker, model, firmware, what it can.
pub fn describe(id: &PdId, capabilities: &PdCap) -> String {
    let [a, b, c] = id.vendor_oui;
    let [major, minor, build] = id.firmware;
    let has = [
        (can(capabilities, LIGHT), "light"),
        (can(capabilities, SOUND), "buzzer"),
        (can(capabilities, SECURITY), "AES-128"),
    ];
    let can: Vec<&str> = has.into_iter().filter_map(|(has, what)| has.then_some(what)).collect();
    let version = capabilities.capabilities.iter().find(|c| c.code == VERSION).map(|c| match c.compliance {
        0 => ", OSDP before IEC",
        1 => ", OSDP of IEC 60839-11-5",
        _ => ", OSDP 2.2",
    });
    format!(
        "maker {a:02X}{b:02X}{c:02X}, model {}.{}, serial {:08X}, firmware {major}.{minor}.{build}{}, {}",
        id.model,
        id.version,
        id.serial,
        version.unwrap_or_default(),
        if can.is_empty() { "nothing but cards".to_owned() } else { can.join(" ") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_described_by_what_it_says_of_itself() {
        let id = PdId {
            vendor_oui: [0x00, 0x06, 0x8E],
            model: 3,
            version: 1,
            serial: 0xDEAD_BEEF,
            firmware: [2, 10, 7],
        };
        let data = [4, 1, 1, 5, 1, 1, 9, 1, 1, 16, 2, 0, 200, 1, 1];
        let capabilities = PdCap::decode(&data).unwrap();
        assert_eq!(
            describe(&id, &capabilities),
            "maker 00068E, model 3.1, serial DEADBEEF, firmware 2.10.7, OSDP 2.2, light buzzer AES-128"
        );
        assert_eq!(Abilities::of(&capabilities), Abilities { light: true, sound: true });
        let none = PdCap::decode(&[4, 0, 0]).unwrap();
        assert!(describe(&id, &none).ends_with("firmware 2.10.7, nothing but cards"));
        assert_eq!(Abilities::of(&none), Abilities::default());
    }
}

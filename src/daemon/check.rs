//! What `latchd check` finds beyond the configuration's text: files it names that can't serve.
//!
//! The daemon itself starts in spite of them: doors go on from the cache, and the link says why there is none.

use super::{
    config::{Config, ReaderDriver},
    socket,
};
use crate::drivers::{clock, door::modbus::Pulse, reader::osdp::key_file};

/// Of a board whose pulses the daemon ends. Said by `latchd check`, and at each start.
pub const HOST_PULSES: &str = "pulse = \"host\": the daemon ends its pulses. If the daemon dies, a strike stays driven \
    until the board's own output watchdog drops it: set that to a few seconds, and test it by killing latchd";

/// A sentence for each file that can't be used as it is.
#[derive(Debug, Default)]
pub struct Findings {
    /// There, and wrong.
    pub mistakes: Vec<String>,
    /// Not there, or not to be read by who asks: the box may be another one, or the service may be given it later.
    pub unseen: Vec<String>,
    /// As it may be, where whoever wrote it knows what it takes.
    pub remarks: Vec<String>,
}

pub fn check(config: &Config) -> Findings {
    let tls = config.mqtt.broker.tls.as_ref().map(|files| files.check(clock::wall()));
    let login = config.mqtt.account.as_ref().map(|account| account.login().map(|_| ()));
    let mut findings = Findings::default();
    for error in [tls, login].into_iter().flatten().filter_map(Result::err) {
        let list = if error.is_unseen() { &mut findings.unseen } else { &mut findings.mistakes };
        list.push(error.to_string());
    }
    readers(config, &mut findings);
    let ended_by_us = config.boards.iter().filter(|board| board.pulse == Pulse::Host);
    findings.remarks = ended_by_us.map(|board| format!("board {}: {HOST_PULSES}", board.id.value)).collect();
    // Not a mistake: root can do everything, and the groups may come with the package.
    findings.remarks.extend(socket::missing_groups(&config.operators));
    findings
}

/// The keys of OSDP readers.
fn readers(config: &Config, findings: &mut Findings) {
    for reader in &config.readers {
        let ReaderDriver::Osdp { key_file: Some(path), .. } = &reader.driver else { continue };
        if let Err(error) = key_file::read(path) {
            let list = if error.is_unseen() { &mut findings.unseen } else { &mut findings.mistakes };
            list.push(format!("reader {}: {error}", reader.id.value));
        }
        findings
            .unseen
            .extend(key_file::too_open(path).map(|said| format!("reader {}: {said}", reader.id.value)));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use super::*;
    use crate::daemon::config::parse;

    #[test]
    fn the_keys_of_osdp_readers_are_looked_at_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("side.scbk");
        let text = format!(
            "[controller]\nid = \"a\"\ntime_zone = \"UTC\"\n[mqtt]\nurl = \"mqtt://b\"\nallow_unsigned = true\n\
             [[boards]]\nid = \"b\"\nurl = \"modbus+tcp://b\"\n\
             [[doors]]\nid = \"d\"\nlock = {{ board = \"b\", coil = 0 }}\n\
             [[readers]]\nid = \"side\"\ndoor = \"d\"\ndriver = \"osdp\"\nport = \"/dev/x\"\naddress = 1\nkey_file = {path:?}\n"
        );
        let config = parse(&text).unwrap();
        let found = |content: Option<&str>, mode| {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            }
            let Findings { mistakes, unseen, .. } = check(&config);
            (mistakes.join("\n"), unseen.join("\n"))
        };
        let (mistakes, unseen) = found(None, 0);
        assert!(mistakes.is_empty() && unseen.starts_with("reader side: can't read"), "{unseen}");
        assert_eq!(found(Some("00112233445566778899aabbccddeeff"), 0o600), Default::default());
        let (mistakes, unseen) = found(Some("00112233445566778899aabbccddeeff"), 0o644);
        assert!(mistakes.is_empty() && unseen.contains("has mode 644"), "{unseen}");
        let (mistakes, _) = found(Some("00112233445566778899aabbccddee"), 0o600);
        assert!(mistakes.contains("holds no key") && !mistakes.contains("2233"), "{mistakes}");
        let (mistakes, _) = found(Some("303132333435363738393a3b3c3d3e3f"), 0o600);
        assert!(mistakes.contains("the default key"), "{mistakes}");
    }
}

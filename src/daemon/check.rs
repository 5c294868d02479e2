//! What `latchd check` finds beyond the configuration's text: files it names that can't serve.
//!
//! The daemon itself starts in spite of them: doors go on from the cache, and the link says why there is none.

use super::config::Config;
use crate::drivers::{clock, door::modbus::Pulse};

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
    let ended_by_us = config.boards.iter().filter(|board| board.pulse == Pulse::Host);
    findings.remarks = ended_by_us.map(|board| format!("board {}: {HOST_PULSES}", board.id.value)).collect();
    findings
}

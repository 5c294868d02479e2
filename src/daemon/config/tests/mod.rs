//! The configuration: the example that ships, a good file, and files with mistakes, each named with its place.

mod boards;
mod example;
mod mistakes;

use super::*;
use crate::drivers::{
    door::modbus::{Address, Pulse},
    uplink::tls::TlsMin,
};

/// The least there can be.
const LEAST: &str = r#"
[controller]
id = "oslo-1"
time_zone = "Europe/Oslo"

[mqtt]
url = "mqtt://broker.example"
allow_unsigned = true
"#;

/// Mistakes as a person reads them, without the file's name.
fn said(text: &str) -> Vec<String> {
    let problems = parse(text).map_or_else(|problems| problems, |_| Vec::new());
    problems.iter().map(|p| format!("{}:{} {}: {}", p.line, p.column, p.key, p.message)).collect()
}

#[test]
fn the_least_file_gets_the_defaults_of_the_contract() {
    let config = parse(LEAST).unwrap();
    assert_eq!((config.controller.as_str(), config.zone.to_string()), ("oslo-1", "Europe/Oslo".into()));
    assert_eq!(config.state_dir, Path::new("/var/lib/latchd"));
    assert_eq!(config.socket, Path::new("/run/latchd/latchd.sock"));
    let Mqtt { broker, account, keep_alive, .. } = &config.mqtt;
    assert_eq!((broker.address.host.as_str(), broker.address.port), ("broker.example", 1883));
    assert!(broker.tls.is_none() && account.is_none());
    assert_eq!(*keep_alive, Duration::from_secs(30));
    let days = |n: u64| Duration::from_secs(n * 86_400);
    assert_eq!((config.require_sync, config.holdover, config.keep), (true, days(7), days(90)));
    assert_eq!((config.max_events, config.release_wait), (5_000_000, Duration::from_millis(20)));
    assert_eq!((config.stale_after, config.mqtt.session_expiry_s), (days(1), 604_800));
    assert_eq!(config.metrics, None);
    assert!(config.boards.is_empty() && config.doors.is_empty() && config.readers.is_empty());
}

#[test]
fn a_door_is_read_with_its_board_its_inputs_and_its_readers() {
    let text = format!(
        r#"{LEAST}
[[boards]]
id = "b-1"
url = "modbus+tcp://[fd00::20]:1502"

[[doors]]
id = "entrance"
zones = ["perimeter", "floor-1"]
lock = {{ board = "b-1", coil = 3, strike_s = 7 }}
contact = {{ board = "b-1", input = 0x10, invert = true }}
rex = {{ board = "b-1", input = 63, unlocks = true }}
building_hours_only = true
max_stale_s = 3600

[[readers]]
id = "entrance-in"
door = "entrance"
driver = "pcsc"
name = "ACS*"
uid_order = "reversed"

[[readers]]
id = "entrance-out"
door = "entrance"
direction = "out"
driver = "pn532"
port = "/dev/ttyUSB0"
"#
    );
    let config = parse(&text).unwrap();
    let [board] = config.boards.as_slice() else { panic!() };
    assert_eq!(board.line, Address::Tcp("[fd00::20]:1502".into()));
    assert_eq!((board.unit.value, board.pulse), (1, Pulse::Flash { base: 0x0200 }));
    let [door] = config.doors.as_slice() else { panic!() };
    assert_eq!((door.name.as_str(), door.zones.len(), door.lock.coil.value), ("entrance", 2, 3));
    assert_eq!(door.lock.strike, Duration::from_secs(7));
    assert_eq!(door.lock.extended, Duration::from_secs(21), "three times as long");
    let contact = door.contact.as_ref().unwrap();
    assert_eq!((contact.input.value, contact.invert), (16, true));
    assert!(door.rex.as_ref().unwrap().unlocks && door.building_hours_only);
    assert_eq!(door.max_stale, Some(Duration::from_secs(3600)));
    let [way_in, way_out] = config.readers.as_slice() else { panic!() };
    assert!(way_in.reversed && matches!(&way_in.driver, ReaderDriver::Pcsc { name } if name == "ACS*"));
    assert_eq!(way_out.direction, crate::domain::Direction::Out);
    assert!(matches!(&way_out.driver, ReaderDriver::Pn532 { baud: 115_200, .. }));
}

#[test]
fn addresses_are_read_with_and_without_a_port() {
    let read = |text: &str| sections::address(text, "mqtt", 1883);
    for (text, host, port) in [
        ("mqtt://broker", "broker", 1883),
        ("mqtt://broker:1884", "broker", 1884),
        ("mqtt://broker:1884/", "broker", 1884),
        ("mqtt://10.0.0.1", "10.0.0.1", 1883),
        ("mqtt://[::1]", "::1", 1883),
        ("mqtt://[::1]:1884", "::1", 1884),
    ] {
        assert_eq!(read(text), Ok((host.into(), port)), "{text}");
    }
    for text in [
        "broker",
        "mqtts://broker",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://broker:",
        "mqtt://broker:65536",
        "mqtt://broker:0x10",
        "mqtt://user@broker",
        "mqtt://broker/topic",
        "mqtt://::1:1883",
        "mqtt://a b",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn an_mqtts_address_has_its_own_port_and_tls_1_3_unless_it_says_1_2() {
    let with = |keys: &str| {
        let url = "url = \"mqtts://[fd00::1]\"\nca_file = \"/etc/ca.pem\"\n";
        parse(&LEAST.replace("url = \"mqtt://broker.example\"", &format!("{url}{keys}"))).unwrap().mqtt.broker
    };
    let broker = with("");
    assert_eq!(
        (broker.address.to_string(), broker.url.as_str()),
        ("[fd00::1]:8883".into(), "mqtts://[fd00::1]")
    );
    let tls = broker.tls.unwrap();
    assert_eq!((tls.ca, tls.identity.is_none(), tls.min), (PathBuf::from("/etc/ca.pem"), true, TlsMin::V13));
    assert_eq!(with("tls_min = \"1.2\"").tls.unwrap().min, TlsMin::V12);
    let tls = with("cert_file = \"/etc/own.pem\"\nkey_file = \"/etc/own.key\"").tls.unwrap();
    let identity = tls.identity.unwrap();
    assert_eq!((identity.cert, identity.key), (PathBuf::from("/etc/own.pem"), PathBuf::from("/etc/own.key")));
}

#[test]
fn a_file_that_cannot_be_read_is_said_with_its_name() {
    let error = load(Path::new("/nowhere/latchd.toml")).unwrap_err().to_string();
    assert!(error.starts_with("can't read the configuration /nowhere/latchd.toml: No such file"), "{error}");
}

#[test]
fn mistakes_are_printed_one_a_line_with_file_line_column_and_key() {
    let problem = |line, key: &str| Problem { line, column: 2, key: key.into(), message: "wrong".into() };
    let path = PathBuf::from("/etc/latchd.toml");
    let error =
        ConfigError::Problems { path: path.clone(), problems: vec![problem(1, "a.b"), problem(7, "")] };
    let expected = "/etc/latchd.toml:1:2: a.b: wrong\n/etc/latchd.toml:7:2: wrong\n\
        /etc/latchd.toml: 2 mistakes, nothing was started";
    assert_eq!(error.to_string(), expected);
    let error = ConfigError::Problems { path, problems: vec![problem(1, "a")] };
    assert!(error.to_string().ends_with("1 mistake, nothing was started"));
}

#[test]
fn who_may_use_the_tool_is_three_groups_each_with_its_default() {
    let text = format!("{LEAST}\n[operators]\ntechnician = \"haus.technik\"\n");
    let operators = parse(&text).unwrap().operators;
    assert_eq!(operators, Operators { technician: "haus.technik".into(), ..Operators::default() });
    assert_eq!(operators.who_may(crate::domain::Role::Technician), "haus.technik or latch-admin");
    for bad in ["", " ", "a:b", "a,b", "a ", "x\\ny"] {
        let said = said(&format!("{LEAST}\n[operators]\nadmin = \"{bad}\"\n"));
        assert!(
            said.len() == 1 && said[0].contains("expected the name of a Unix group"),
            "{bad:?}: {said:?}"
        );
    }
}

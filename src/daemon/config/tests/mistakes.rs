//! Files with mistakes: all of them at once, each where it is, and none that is not one.

use super::*;

#[test]
fn a_dozen_mistakes_are_all_named_with_their_places() {
    let text = r#"colour = "blue"

[controller]
id = "Oslo 1"
time_zone = "Europe/Olso"
state_dir = "state"

[mqtt]
url = "tcp://broker"
password_file = "/etc/password"
alow_unsigned = true

[journal]
release_wait_ms = 0
keep_s = "90 days"

[[boards]]
id = "b-1"
url = "modbus+tcp://10.0.0.20:port"
unit = 300
pulse = "timer"

[[doors]]
id = "entrance"
zones = ["perimeter", 7, "a b"]
lock = { board = "b-1", coil = 64, strike_s = 5, extended_s = 3 }
contact = { input = 0 }

[[readers]]
id = "entrance-in"
door = "entrance"
direction = "up"
driver = "pcsc"
port = "/dev/ttyUSB0"
"#;
    assert_eq!(
        said(text),
        [
            "1:1 colour: unknown key; expected one of boards, clock, controller, doors, fire, journal, metrics, mqtt, operators, readers, sync",
            "4:6 controller.id: a controller's id is made of a-z 0-9 -, not ' '; expected 1 to 64 characters a-z 0-9 -",
            r#"5:13 controller.time_zone: "Europe/Olso" is not an IANA time zone; expected a name such as Europe/Oslo or UTC; expected an IANA time zone such as "Europe/Oslo""#,
            r#"6:13 controller.state_dir: "state" is not an absolute path"#,
            "8:1 mqtt.trusted_keys: missing, so nothing central says would be believed; expected [[mqtt.trusted_keys]] with kid and public_key, or allow_unsigned = true where everybody who can write to the broker may open doors",
            r#"9:7 mqtt.url: "tcp://broker" does not begin with mqtts:// or mqtt://; expected a broker's address such as mqtts://broker.example:8883"#,
            "10:17 mqtt.password_file: needs a username beside it",
            "11:1 mqtt.alow_unsigned: unknown key; expected one of allow_unsigned, ca_file, cert_file, keep_alive_s, key_file, password_file, session_expiry_s, tls_min, trusted_keys, url, username",
            "14:19 journal.release_wait_ms: 0 is not a number of milliseconds, 1 to 10000",
            r#"15:10 journal.keep_s: "90 days" is not a number of seconds, 3600 to 315360000"#,
            r#"19:7 boards[0].url: "port" is not a port; expected modbus+tcp://HOST:PORT, modbus+rtutcp://HOST:PORT or modbus+rtu:///dev/ttyUSB0?baud=9600&parity=none"#,
            "20:8 boards[0].unit: 300 is not a Modbus unit, 0 to 255",
            r#"21:9 boards[0].pulse: "timer" is not known; expected "flash" (the board times the pulse) or "host" (the daemon ends it; only where the board has an output watchdog)"#,
            "25:23 doors[0].zones: 7 is not a text",
            "25:26 doors[0].zones: an id is made of A-Z a-z 0-9 . _ : -, not ' '; expected an id of 1 to 64 characters A-Z a-z 0-9 . _ : -",
            "26:32 doors[0].lock.coil: 64 is not a number, 0 to 63",
            "26:63 doors[0].lock.extended_s: is shorter than strike_s",
            "27:11 doors[0].contact.board: missing; expected the id of a board",
            r#"29:1 readers[0].name: missing; expected a PC/SC reader's name, such as "ACS ACR1252*""#,
            r#"32:13 readers[0].direction: "up" is not "in" or "out""#,
            "34:1 readers[0].port: unknown key; expected one of direction, door, driver, id, name, uid_order"
        ]
    );
}

#[test]
fn certificates_come_in_pairs_and_with_tls() {
    let with = |url: &str, keys: &str| {
        let text = LEAST.replace("url = \"mqtt://broker.example\"", &format!("url = \"{url}\"\n{keys}"));
        said(&text)
    };
    let ca = "ca_file = \"/etc/ca.pem\"";
    let (cert, key) = ("cert_file = \"/etc/own.pem\"", "key_file = \"/etc/own.key\"");
    assert_eq!(with("mqtts://broker", ca), [""; 0]);
    assert_eq!(with("mqtts://broker", &[ca, cert, key].join("\n")), [""; 0]);
    assert_eq!(
        with("mqtts://broker", &[ca, cert].join("\n")),
        ["9:13 mqtt.cert_file: needs a key_file beside it"]
    );
    assert_eq!(
        with("mqtts://broker", &[ca, key].join("\n")),
        ["9:12 mqtt.key_file: needs a cert_file beside it"]
    );
    assert_eq!(
        with("mqtts://broker", ""),
        [
            "6:1 mqtt.ca_file: missing; expected the PEM file of the authority that signs the broker's certificate \
          (for a public one, the system's: /etc/ssl/certs/ca-certificates.crt)"
        ]
    );
    let only_tls = "is for TLS only; expected a url with mqtts:// beside it";
    assert_eq!(
        with("mqtt://broker", &[ca, cert, key, "tls_min = \"1.2\""].join("\n")),
        [
            format!("8:11 mqtt.ca_file: {only_tls}"),
            format!("9:13 mqtt.cert_file: {only_tls}"),
            format!("10:12 mqtt.key_file: {only_tls}"),
            format!("11:11 mqtt.tls_min: {only_tls}")
        ]
    );
    assert_eq!(
        with("mqtts://broker", &[ca, "tls_min = \"1.1\"\nkeep_alive_s = 4"].join("\n")),
        [
            r#"9:11 mqtt.tls_min: "1.1" is not "1.3" or "1.2""#,
            "10:16 mqtt.keep_alive_s: 4 is not a number of seconds, 5 to 3600"
        ]
    );
}

#[test]
fn what_is_missing_is_named_at_the_table_that_lacks_it() {
    assert_eq!(
        said(""),
        [
            "1:1 controller: missing; expected a table [controller] with id and time_zone",
            "1:1 mqtt: missing; expected a table [mqtt] with url"
        ]
    );
    assert_eq!(
        said("[controller]\n[mqtt]\n\n[[boards]]\n[[doors]]\n[[readers]]\n"),
        [
            "1:1 controller.id: missing; expected 1 to 64 characters a-z 0-9 -",
            r#"1:1 controller.time_zone: missing; expected an IANA time zone such as "Europe/Oslo""#,
            "2:1 mqtt.url: missing; expected a broker's address such as mqtts://broker.example:8883",
            "2:1 mqtt.trusted_keys: missing, so nothing central says would be believed; expected [[mqtt.trusted_keys]] with kid and public_key, or allow_unsigned = true where everybody who can write to the broker may open doors",
            "4:1 boards[0].id: missing; expected an id of 1 to 64 characters A-Z a-z 0-9 . _ : -",
            "4:1 boards[0].url: missing; expected modbus+tcp://HOST:PORT, modbus+rtutcp://HOST:PORT or modbus+rtu:///dev/ttyUSB0?baud=9600&parity=none",
            "5:1 doors[0].id: missing; expected an id of 1 to 64 characters A-Z a-z 0-9 . _ : -",
            r#"5:1 doors[0].lock: missing; expected a table such as { board = "board-1", coil = 0 }"#,
            "6:1 readers[0].id: missing; expected an id of 1 to 64 characters A-Z a-z 0-9 . _ : -",
            "6:1 readers[0].door: missing; expected the id of a door",
            r#"6:1 readers[0].driver: missing; expected "pcsc", "pn532" or "osdp""#
        ]
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_shown_as_it_stands() {
    let text = "controller = 1\nmqtt = \"x\"\nboards = {}\ndoors = [1]\nclock = []\nsync = 1979-05-27\n";
    assert_eq!(
        said(text),
        [
            "1:14 controller: 1 is not a table",
            r#"2:8 mqtt: "x" is not a table"#,
            "3:10 boards: a table is not a list of tables; write [[boards]]",
            "4:10 doors[0]: is not a table",
            "5:9 clock: a list is not a table",
            "6:8 sync: a date is not a table"
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_is_named_where_it_ends_to_be_one() {
    assert_eq!(
        said("[controller]\nid = oslo-1\n"),
        ["2:6 : not TOML: string values must be quoted, expected literal string"]
    );
    assert_eq!(said("[controller]\n[controller]\n"), ["2:2 : not TOML: duplicate key"]);
}

/// Two boards, and doors and readers to come.
fn site(rest: &str) -> String {
    let board = |id: &str| format!("[[boards]]\nid = \"{id}\"\nurl = \"modbus+tcp://{id}\"\n");
    format!("{LEAST}{}{}{rest}", board("b-1"), board("b-2"))
}

#[test]
fn a_name_is_given_once() {
    let text = site(
        r#"[[boards]]
id = "b-1"
url = "modbus+tcp://10.0.0.21"
[[doors]]
id = "side"
lock = { board = "b-1", coil = 0 }
[[doors]]
id = "side"
lock = { board = "b-1", coil = 1 }
[[readers]]
id = "in"
door = "side"
driver = "pcsc"
name = "A*"
[[readers]]
id = "in"
door = "side"
driver = "pcsc"
name = "B*"
"#,
    );
    assert_eq!(
        said(&text),
        [
            "16:6 boards[2].id: a second board b-1; the first is boards[0].id",
            "22:6 doors[1].id: a second door side; the first is doors[0].id",
            "30:6 readers[1].id: a second reader in; the first is readers[0].id"
        ]
    );
}

#[test]
fn a_strike_an_input_and_a_port_are_used_once() {
    let text = site(
        r#"[[doors]]
id = "front"
lock = { board = "b-1", coil = 0 }
contact = { board = "b-1", input = 3 }
rex = { board = "b-1", input = 3 }
[[doors]]
id = "side"
lock = { board = "b-1", coil = 0 }
contact = { board = "b-2", input = 3 }
[[readers]]
id = "in"
door = "front"
driver = "pn532"
port = "/dev/ttyUSB0"
[[readers]]
id = "out"
door = "side"
driver = "pn532"
port = "/dev/ttyUSB0"
"#,
    );
    assert_eq!(
        said(&text),
        [
            "19:32 doors[0].rex.input: a second use of board b-1 input 3; the first is doors[0].contact.input",
            "22:32 doors[1].lock.coil: a second strike on board b-1 coil 0; the first is doors[0].lock.coil",
            "33:8 readers[1].port: a second reader on /dev/ttyUSB0; the first is readers[0].port"
        ]
    );
}

/// Doors for OSDP readers, and those.
fn osdp(readers: &[&str]) -> Vec<String> {
    let reader = |(n, keys): (usize, &&str)| {
        format!("[[readers]]\nid = \"r-{n}\"\ndoor = \"front\"\ndriver = \"osdp\"\n{keys}\n")
    };
    let readers: String = readers.iter().enumerate().map(reader).collect();
    said(&site(&format!("[[doors]]\nid = \"front\"\nlock = {{ board = \"b-1\", coil = 0 }}\n{readers}")))
}

#[test]
fn osdp_readers_share_a_line_with_different_addresses_and_one_speed() {
    let (a, b) = ("port = \"/dev/a\"\n", "port = \"/dev/b\"\n");
    let with = |port: &str, rest: &str| format!("{port}{rest}");
    let good = [with(a, "address = 0"), with(a, "address = 126"), with(b, "address = 0\nbaud = 115200")];
    assert_eq!(osdp(&good.each_ref().map(String::as_str)), [""; 0]);
    let same = [with(a, "address = 3"), with(b, "address = 3"), with(a, "address = 3")];
    assert_eq!(
        osdp(&same.each_ref().map(String::as_str)),
        [
            "35:11 readers[2].address: a second OSDP reader with address 3 on /dev/a; the first is readers[0].address"
        ]
    );
    let speeds = [with(a, "address = 1\nbaud = 9600"), with(a, "address = 2\nbaud = 38400")];
    assert_eq!(
        osdp(&speeds.each_ref().map(String::as_str)),
        ["31:8 readers[1].baud: 38400 on /dev/a, where another has 9600"]
    );
    let found = osdp(&[&with(a, "address = 1"), a]);
    assert_eq!(found, ["24:1 readers[1].address: missing; expected the reader's address, 0 to 126"]);
    let mixed = format!("{a}address = 1\n[[readers]]\nid = \"p\"\ndoor = \"front\"\ndriver = \"pn532\"\n{a}");
    assert_eq!(osdp(&[&mixed]), ["28:8 readers[1].port: /dev/a is a line of OSDP readers"]);
}

#[test]
fn what_an_osdp_reader_can_not_have_is_named() {
    assert_eq!(
        osdp(&["port = \"/dev/a\"\naddress = 127\nbaud = 4800\nkey_file = \"scbk\"\nname = \"x\""]),
        [
            "23:11 readers[0].address: 127 is not an OSDP address, 0 to 126",
            "24:8 readers[0].baud: 4800 is not one of OSDP's speeds: 9600, 19200, 38400, 57600, 115200, 230400",
            "25:12 readers[0].key_file: \"scbk\" is not an absolute path",
            "26:1 readers[0].name: unknown key; expected one of address, baud, direction, door, driver, id, key_file, port, uid_order",
        ]
    );
}

#[test]
fn what_is_named_elsewhere_must_be_there() {
    let text = site(
        r#"[[doors]]
id = "front"
lock = { board = "b-3", coil = 0 }
[[readers]]
id = "in"
door = "back"
driver = "pcsc"
name = "A*"
"#,
    );
    assert_eq!(
        said(&text),
        [
            r#"17:18 doors[0].lock.board: there is no board "b-3"; expected one of: b-1, b-2"#,
            r#"20:8 readers[0].door: there is no door "back"; expected one of: front"#
        ]
    );
}

#[test]
fn mistakes_between_sections_are_found_beside_others() {
    let text = site("[[doors]]\nid = \"front\"\nlock = { board = \"b-3\", coil = 0 }\n");
    let found = said(&text.replace("Europe/Oslo", "Europe/Olso"));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_mistake_in_a_door_does_not_make_a_second_one_of_its_readers() {
    let text = site(
        r#"[[doors]]
id = "front"
lock = { board = "b-1", coil = "zero" }
[[readers]]
id = "in"
door = "front"
driver = "pcsc"
name = "A*"
"#,
    );
    assert_eq!(said(&text), [r#"17:32 doors[0].lock.coil: "zero" is not a number, 0 to 63"#]);
}

#[test]
fn a_driver_that_is_not_known_does_not_make_mistakes_of_its_keys() {
    let text = site(
        r#"[[doors]]
id = "front"
lock = { board = "b-1", coil = 0 }
[[readers]]
id = "in"
door = "front"
driver = "psc"
name = "A*"
"#,
    );
    assert_eq!(
        said(&text),
        [r#"21:10 readers[0].driver: "psc" is not known; expected "pcsc", "pn532" or "osdp""#]
    );
}

#[test]
fn keys_that_nobody_could_sign_with_are_named() {
    let good = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let said = |mqtt: &str| {
        let text = format!(
            "[controller]\nid = \"a\"\ntime_zone = \"Europe/Oslo\"\n[mqtt]\nurl = \"mqtt://b\"\n{mqtt}"
        );
        match parse(&text) {
            Ok(_) => Vec::new(),
            Err(problems) => {
                problems.iter().map(|p| format!("{}:{} {}: {}", p.line, p.column, p.key, p.message)).collect()
            }
        }
    };
    let key = |kid: &str, key: &str| format!("[[mqtt.trusted_keys]]\nkid = {kid:?}\npublic_key = {key:?}\n");
    assert_eq!(said(&key("a", good)), [""; 0]);
    assert_eq!(said(&(key("a", good) + &key("b", good))), [""; 0]);
    assert_eq!(
        said(&(key("a", good) + &key("a", good))),
        ["10:7 mqtt.trusted_keys[1].kid: a second key \"a\"; the first is mqtt.trusted_keys[0].kid"]
    );
    let expected =
        "expected an Ed25519 public key: 32 bytes in base64url, as `latch-sim central keygen` prints it";
    assert_eq!(
        said(&key("a", "short")),
        [format!("8:14 mqtt.trusted_keys[0].public_key: not base64url without padding; {expected}")]
    );
    assert_eq!(
        said("[[mqtt.trusted_keys]]\ncolour = 1\n"),
        [
            "6:1 mqtt.trusted_keys[0].kid: missing; expected the name central signs under, 1 to 64 characters"
                .to_owned(),
            format!("6:1 mqtt.trusted_keys[0].public_key: missing; {expected}"),
            "7:1 mqtt.trusted_keys[0].colour: unknown key; expected one of kid, public_key".to_owned(),
        ]
    );
    assert!(said("trusted_keys = []\n")[0].starts_with("6:16 mqtt.trusted_keys: missing, so nothing"));
    assert_eq!(
        said("trusted_keys = 7\n"),
        ["6:16 mqtt.trusted_keys: 7 is not a list of tables; write [[trusted_keys]]"]
    );
    assert_eq!(said("trusted_keys = []\nallow_unsigned = true\n"), [""; 0]);
}

#[test]
fn a_lock_that_is_driven_to_lock_is_refused_with_what_to_do_about_it() {
    let text = |fail: &str| {
        format!(
            "[controller]\nid = \"a\"\ntime_zone = \"UTC\"\n[mqtt]\nurl = \"mqtt://b\"\nallow_unsigned = true\n\
             [[boards]]\nid = \"b-1\"\nurl = \"modbus+tcp://b\"\n\
             [[doors]]\nid = \"d\"\nlock = {{ board = \"b-1\", coil = 0, fail = \"{fail}\" }}\n"
        )
    };
    assert_eq!(said(&text("secure")), [""; 0]);
    let safe = said(&text("safe")).remove(0);
    assert!(safe.starts_with("12:42 doors[0].lock.fail: \"safe\" (driven to lock) needs a board"), "{safe}");
    assert!(said(&text("open"))[0].contains("is not known; expected \"secure\""));
}

#[test]
fn a_doors_times_that_can_not_be_are_named() {
    let text = "[controller]\nid = \"a\"\ntime_zone = \"UTC\"\n[mqtt]\nurl = \"mqtt://b\"\nallow_unsigned = true\n\
        [[boards]]\nid = \"b-1\"\nurl = \"modbus+tcp://b\"\n\
        [[doors]]\nid = \"d\"\nlock = { board = \"b-1\", coil = 0 }\nheld_open_s = 10\npre_alarm_s = 10\n\
        relock_on = \"never\"\nunlock_schedule = [{ days = [\"mon\", \"mo\"], from = \"8\", to = \"18:00\" }]\n\
        [[doors]]\nid = \"e\"\nlock = { board = \"b-1\", coil = 1 }\nfirst_person_in = true\n";
    let said = said(text);
    let found: Vec<&str> = said.iter().map(|s| s.split(": ").next().unwrap()).collect();
    let expected = [
        "14:15 doors[0].pre_alarm_s",
        "15:13 doors[0].relock_on",
        "16:20 doors[0].unlock_schedule[0]",
        "20:19 doors[1].first_person_in",
    ];
    assert_eq!(found, expected, "{said:#?}");
}

#[test]
fn a_fire_input_must_be_there_and_free_for_doors_that_wait_for_it() {
    let site = |doors: &str, fire: &str| {
        format!(
            "[controller]\nid = \"a\"\ntime_zone = \"UTC\"\n[mqtt]\nurl = \"mqtt://b\"\nallow_unsigned = true\n\
             [[boards]]\nid = \"b-1\"\nurl = \"modbus+tcp://b\"\n\
             [[doors]]\nid = \"d\"\nlock = {{ board = \"b-1\", coil = 0 }}\n\
             contact = {{ board = \"b-1\", input = 7 }}\n{doors}\n{fire}"
        )
    };
    let marked = "release_on_fire = true";
    let fire = |input: &str| format!("[fire]\ninput = {input}\n");
    assert_eq!(said(&site(marked, &fire("{ board = \"b-1\", input = 6, invert = true }"))), [""; 0]);
    assert_eq!(said(&site("release_on_fire = false", "")), [""; 0]);
    assert_eq!(
        said(&site(marked, "")),
        ["14:19 doors[0].release_on_fire: needs a table [fire] with the alarm's input"]
    );
    assert_eq!(
        said(&site(marked, &fire("{ board = \"b-1\", input = 7 }"))),
        ["16:34 fire.input.input: a second use of board b-1 input 7; the first is doors[0].contact.input"]
    );
    assert_eq!(
        said(&site(marked, &fire("{ board = \"b-2\", input = 6 }"))),
        ["16:19 fire.input.board: there is no board \"b-2\"; expected one of: b-1"]
    );
    let missing = said(&site(marked, "[fire]\n"));
    assert!(missing[0].starts_with("15:1 fire.input: missing; expected a table such as"), "{missing:?}");
}

#[test]
fn an_address_for_metrics_that_can_not_be_is_named() {
    let with = |listen: &str| format!("{LEAST}\n[metrics]\nlisten = {listen}\n");
    for good in ["127.0.0.1:9184", "[::1]:9184", "0.0.0.0:1"] {
        assert_eq!(parse(&with(&format!("{good:?}"))).unwrap().metrics, Some(good.parse().unwrap()));
    }
    let expected = "an IP address of this box and a port, such as \"127.0.0.1:9184\"";
    for name in ["localhost:9184", "127.0.0.1", ":9184", "127.0.0.1:65536", "http://127.0.0.1:9184"] {
        let told = format!("11:10 metrics.listen: {name:?} is not one; expected {expected}");
        assert_eq!(said(&with(&format!("{name:?}"))), [told]);
    }
    assert_eq!(
        said(&with("\"127.0.0.1:0\"")),
        [format!("11:10 metrics.listen: port 0 is none that Prometheus could find; expected {expected}")]
    );
    assert_eq!(said(&with("9184")), [format!("11:10 metrics.listen: 9184 is not {expected}")]);
    assert_eq!(
        said(&with("\"127.0.0.1:9184\"\nport = 9184")),
        ["12:1 metrics.port: unknown key; expected one of listen"]
    );
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    for url in ["mqtt://oslo:hunter2@broker", "mqtts://hunter2@broker:8883", "http://oslo:hunter2@broker"] {
        let text = LEAST.replace("mqtt://broker.example", url);
        let said = said(&text).join("\n");
        assert!(said.contains("mqtt.url: has a user name or password in it"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("oslo:"), "{said}");
    }
}

//! Serial ports and boards: whether they are there, whether the daemon may use them, and who else would.

use std::{
    fs, io,
    net::{TcpStream, ToSocketAddrs},
    os::unix::fs::FileTypeExt as _,
    time::Duration,
};

use latchd::{daemon::config::ReaderDriver, drivers::door::modbus::Address};

use super::{
    Finding, Patient,
    people::{Owned as _, group_name},
};

const DEVICES: &str = "devices";
const BOARDS: &str = "boards";
const DIAL_WITHIN: Duration = Duration::from_secs(3);
/// Programs that open every serial port they find, and talk to what is there.
const MEDDLERS: [&str; 2] = ["ModemManager", "brltty"];

pub fn look(patient: &Patient) -> Vec<Finding> {
    let ports = ports(patient);
    let mut found: Vec<Finding> = ports.iter().flat_map(|(what, port)| device(patient, what, port)).collect();
    if !ports.is_empty() {
        found.extend(meddlers(patient));
    }
    found.extend(kernel_driver(patient));
    found
}

/// What hangs on which serial port.
fn ports(patient: &Patient) -> Vec<(String, String)> {
    let Some(config) = &patient.config else { return Vec::new() };
    let readers = config.readers.iter().filter_map(|reader| match &reader.driver {
        ReaderDriver::Pn532 { port, .. } | ReaderDriver::Osdp { port, .. } => {
            Some((format!("reader {}", reader.id.value), port.value.display().to_string()))
        }
        ReaderDriver::Pcsc { .. } => None,
    });
    let boards = config.boards.iter().filter_map(|board| match &board.line {
        Address::Serial(serial) => Some((format!("board {}", board.id.value), serial.path.clone())),
        Address::Tcp(_) | Address::RtuOverTcp(_) => None,
    });
    readers.chain(boards).collect()
}

fn device(patient: &Patient, what: &str, port: &str) -> Vec<Finding> {
    let metadata = match fs::metadata(patient.file(port)) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let there = plugged(patient);
            let there =
                if there.is_empty() { "none is plugged in".into() } else { format!("there are {there}") };
            return vec![Finding::problem(
                DEVICES,
                format!("{what}: {port} is not there; of serial ports {there}"),
                "plug it in, or name the right port in the configuration (ls -l /dev/serial/by-id)",
            )];
        }
        Err(error) => {
            return vec![Finding::note(DEVICES, format!("{what}: {port} can't be looked at: {error}"))];
        }
    };
    if !metadata.file_type().is_char_device() {
        return vec![Finding::problem(DEVICES, format!("{what}: {port} is no device"), "name a serial port")];
    }
    match &patient.account {
        Some(account) if !account.may_use(&metadata) => {
            let (name, group) = (&account.name, group_name(&patient.root, metadata.group()));
            vec![Finding::problem(
                DEVICES,
                format!(
                    "{what}: {port} may not be opened by {name}: mode {:o}, group {group}",
                    metadata.bits() & 0o777
                ),
                format!("usermod -aG {group} {name}, then systemctl restart latchd"),
            )]
        }
        Some(account) => {
            let said = format!("{what}: {port} is there, and {} may open it", account.name);
            vec![Finding::good(DEVICES, said)]
        }
        None => vec![Finding::note(
            DEVICES,
            format!(
                "{what}: {port} is there; this box has no user latchd, so whether that may open it is not known"
            ),
        )],
    }
}

/// Serial ports by name, as they are to be named.
fn plugged(patient: &Patient) -> String {
    let entries = fs::read_dir(patient.file("/dev/serial/by-id")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| format!("/dev/serial/by-id/{}", entry.file_name().to_string_lossy())).collect();
    names.sort();
    names.join(", ")
}

fn meddlers(patient: &Patient) -> Vec<Finding> {
    let processes = fs::read_dir(patient.file("/proc")).into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    let mut running: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    running.sort();
    running.dedup();
    let found = running.iter().filter(|name| MEDDLERS.contains(&name.as_str()));
    found
        .map(|name| {
            Finding::warning(
                DEVICES,
                format!("{name} is running: it opens serial ports by itself, and talks to what is there"),
                format!("systemctl disable --now {name}, or keep it from these ports with a udev rule"),
            )
        })
        .collect()
}

/// The kernel has a driver of its own for a chip in common USB readers, which keeps them from pcscd.
fn kernel_driver(patient: &Patient) -> Vec<Finding> {
    let uses_pcsc = patient
        .config
        .as_ref()
        .is_some_and(|config| config.readers.iter().any(|r| matches!(r.driver, ReaderDriver::Pcsc { .. })));
    let is_loaded = patient.read("/proc/modules").lines().any(|line| line.starts_with("pn533_usb "));
    if !uses_pcsc || !is_loaded {
        return Vec::new();
    }
    let advice = "echo 'blacklist pn533_usb' > /etc/modprobe.d/latchd.conf; modprobe -r pn533_usb; then plug the \
        reader in anew";
    let driver = patient.file("/sys/bus/usb/drivers/pn533_usb");
    let bound = fs::read_dir(driver).into_iter().flatten().flatten().find(|entry| {
        // An interface of a device, such as 1-2:1.0.
        entry.file_name().to_string_lossy().contains(':')
    });
    vec![match bound {
        Some(interface) => Finding::problem(
            DEVICES,
            format!(
                "the kernel's driver pn533_usb holds the USB reader at {}: pcscd can't have it",
                interface.file_name().to_string_lossy()
            ),
            advice,
        ),
        None => Finding::warning(
            DEVICES,
            "the kernel's driver pn533_usb is loaded: it takes the next ACR122U that is plugged in",
            advice,
        ),
    }]
}

pub fn boards(patient: &Patient) -> Vec<Finding> {
    let Some(config) = &patient.config else { return Vec::new() };
    let of_daemon = |id: &str| {
        let status = patient.status.as_ref().ok()?;
        status.boards.iter().find(|board| board.board.as_str() == id)
    };
    config
        .boards
        .iter()
        .map(|board| {
            let id = board.id.value.as_str();
            match (of_daemon(id), &board.line) {
                // Many a board takes one connection only: one that is in use is left alone.
                (Some(report), _) if report.connected => {
                    Finding::good(BOARDS, format!("{id}: connected, says latchd"))
                }
                (report, Address::Tcp(address) | Address::RtuOverTcp(address)) => {
                    let said = report.and_then(|report| report.detail.clone());
                    over_network(id, address, said)
                }
                (Some(report), Address::Serial(serial)) => {
                    let why = report.detail.clone().unwrap_or_else(|| "not connected".into());
                    let advice =
                        "look at the wires A and B, the baud rate and the unit's number; one at a time";
                    Finding::problem(BOARDS, format!("{id} at {}: {why}", serial.path), advice)
                }
                (None, Address::Serial(serial)) => Finding::note(
                    BOARDS,
                    format!("{id} at {}: only latchd can ask it, and does not run", serial.path),
                ),
            }
        })
        .collect()
}

fn over_network(id: &str, address: &str, of_daemon: Option<String>) -> Finding {
    let daemon = of_daemon.map(|why| format!("; latchd says: {why}")).unwrap_or_default();
    let advice =
        "look at the board's power, its address and the cable (ping it); its lamps say whether it has a link";
    let resolved: Vec<_> = match address.to_socket_addrs() {
        Ok(resolved) => resolved.collect(),
        Err(error) => {
            return Finding::problem(
                BOARDS,
                format!("{id}: {address} is not known here: {error}{daemon}"),
                advice,
            );
        }
    };
    let mut why = "no address".to_owned();
    for target in resolved {
        match TcpStream::connect_timeout(&target, DIAL_WITHIN) {
            Ok(_) if daemon.is_empty() => {
                return Finding::good(BOARDS, format!("{id}: {address} takes connections"));
            }
            Ok(_) => {
                return Finding::problem(
                    BOARDS,
                    format!("{id}: {address} takes connections, but does not answer as it should{daemon}"),
                    "is it the right kind (modbus+tcp or modbus+rtutcp), the right unit, and does another master hold it?",
                );
            }
            Err(error) => why = error.to_string(),
        }
    }
    Finding::problem(BOARDS, format!("{id}: {address}: {why}{daemon}"), advice)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{super::samples::*, *};

    const READERS: &str = "[[readers]]\nid = \"r\"\ndoor = \"d\"\ndriver = \"pn532\"\nport = \"/dev/serial/by-id/usb-x\"\n\
        [[readers]]\nid = \"p\"\ndoor = \"d\"\ndriver = \"pcsc\"\nname = \"ACS*\"\n";

    #[test]
    fn a_port_that_is_not_there_is_told_with_those_that_are() {
        let files = [
            ("dev/serial/by-id/usb-y", ""),
            ("proc/77/comm", "ModemManager\n"),
            ("proc/modules", "ext4 1 1\n"),
        ];
        let (_folder, patient) = patient(&files, Some(&format!("{SITE}{READERS}")));
        let found = said(&look(&patient)).join("\n");
        assert!(found.contains("reader r: /dev/serial/by-id/usb-x is not there"), "{found}");
        assert!(found.contains("there are /dev/serial/by-id/usb-y"), "{found}");
        assert!(found.contains("Warning devices: ModemManager is running"), "{found}");
        assert!(!found.contains("pn533"), "{found}");
    }

    #[test]
    fn a_port_that_the_service_may_not_open_is_told_with_its_group() {
        // A device that is on every box, and root's.
        let config = format!("{SITE}{READERS}").replace("/dev/serial/by-id/usb-x", "/dev/mem-of-test");
        let (folder, mut patient) = patient(
            &[("etc/passwd", "latchd:x:990:990::/:/bin/false\n"), ("etc/group", "latchd:x:990:\n")],
            Some(&config),
        );
        fs::create_dir_all(folder.path().join("dev")).unwrap();
        std::os::unix::fs::symlink("/dev/console", folder.path().join("dev/mem-of-test")).unwrap();
        let found = said(&device(&patient, "reader r", "/dev/mem-of-test"));
        assert!(found[0].contains("may not be opened by latchd"), "{found:?}");
        patient.account.as_mut().unwrap().uid = 0;
        let found = said(&device(&patient, "reader r", "/dev/mem-of-test"));
        assert!(found[0].starts_with("Good devices: reader r"), "{found:?}");
        let found = said(&device(&patient, "reader r", "/etc/passwd"));
        assert!(found[0].contains("is no device"), "{found:?}");
    }

    #[test]
    fn the_kernels_own_driver_is_found_where_pcscd_is_to_have_the_reader() {
        let modules = ("proc/modules", "pn533 3 1 pn533_usb, Live 0x0\npn533_usb 4 0 - Live 0x0\n");
        let config = format!("{SITE}{READERS}");
        let (_a, loaded) = patient(&[modules], Some(&config));
        assert!(said(&kernel_driver(&loaded))[0].starts_with("Warning"));
        let (_b, bound) = patient(&[modules, ("sys/bus/usb/drivers/pn533_usb/1-2:1.0/x", "")], Some(&config));
        assert!(said(&kernel_driver(&bound))[0].contains("holds the USB reader at 1-2:1.0"));
        let (_c, no_pcsc) = patient(&[modules], Some(SITE));
        assert_eq!(kernel_driver(&no_pcsc), []);
    }

    #[test]
    fn a_board_that_takes_no_connection_is_told_from_one_that_only_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(over_network("b", &address, None).grade, super::super::Grade::Good);
        let mute = over_network("b", &address, Some("no answer".into()));
        assert!(
            mute.finding.contains("but does not answer as it should; latchd says: no answer"),
            "{mute:?}"
        );
        drop(listener);
        let gone = over_network("b", &address, None);
        assert!(gone.finding.contains("Connection refused"), "{gone:?}");
    }
}

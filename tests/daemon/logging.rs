//! The log: entries with fields in systemd's journal, plain lines elsewhere, and no door that waits for either.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use hardware_sim::time;

use crate::site::process::Guarded;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, eventually};

const ANNA: &str = "04A1B2C3D4E5F6";

/// What came to the socket as one entry: names and values.
fn entry(mut bytes: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'=' | b'\n')) {
        let name = text(&bytes[..end]);
        let (start, length) = match bytes[end] {
            b'=' => (end + 1, bytes[end + 1..].iter().position(|byte| *byte == b'\n').unwrap()),
            _ => {
                let length = u64::from_le_bytes(bytes[end + 1..end + 9].try_into().unwrap());
                (end + 9, usize::try_from(length).unwrap())
            }
        };
        fields.push((name, text(&bytes[start..start + length])));
        bytes = &bytes[start + length + 1..];
    }
    fields
}

/// The daemon where `folder` is `/run/systemd/journal`, its standard error said to be connected to the journal.
fn under_systemd(site: &Site, folder: &Path) -> Guarded {
    let log = File::create(site.daemon.log_path()).unwrap();
    let meta = log.metadata().unwrap();
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal \
                  && mount --bind \"$1\" /run/systemd/journal && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(folder).arg(env!("CARGO_BIN_EXE_latchd")).arg("--config").arg(site.daemon.config_path());
    command.env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Guarded::spawn(&mut command).expect("unshare")
}

#[test]
fn under_systemd_the_log_is_entries_with_fields_and_messages_that_say_it_all() {
    let site = Builder::bare().without_central().nothing_up();
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let daemon = under_systemd(&site, folder.path());
    let mut buffer = vec![0; 1 << 16];
    let connected = loop {
        let length = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{e}: {}", site.daemon.log_tail(20)));
        let entry = entry(&buffer[..length]);
        if entry.iter().any(|(name, value)| name == "MESSAGE" && value.starts_with("board connected")) {
            break entry;
        }
    };
    let field = |name: &str| connected.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!((field("PRIORITY"), field("SYSLOG_IDENTIFIER")), (Some("6"), Some("latchd")), "{connected:?}");
    assert_eq!(field("LATCHD_BOARD"), Some("board-1"), "{connected:?}");
    let detail = field("LATCHD_DETAIL").unwrap();
    assert!(detail.starts_with("Modbus TCP at 127.0.0.1:"), "{detail}");
    assert_eq!(field("MESSAGE"), Some(format!("board connected board=board-1 detail={detail:?}").as_str()));
    assert_eq!(field("TARGET"), Some("latchd::control::controller::doors"));
    assert_eq!(fs::read_to_string(site.daemon.log_path()).unwrap(), "", "nothing is said twice");
    assert!(daemon.terminate(LIMIT).is_some_and(|status| status.success()));
}

#[test]
fn where_systemds_journal_does_not_listen_lines_with_their_levels_go_to_standard_error() {
    let site = Builder::bare().without_central().nothing_up();
    let folder = tempfile::tempdir().unwrap();
    let daemon = under_systemd(&site, folder.path());
    let read = || fs::read_to_string(site.daemon.log_path()).unwrap();
    let text =
        eventually("board in the log", || Some(read()).filter(|text| text.contains("board connected")));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("<4>") && lines[0].contains("journal takes no fields"), "{text}");
    let connected = lines.iter().find(|line| line.contains("board connected")).unwrap();
    assert!(connected.starts_with("<6>latchd::") && connected.contains("board=board-1"), "{connected}");
    assert!(daemon.terminate(LIMIT).is_some_and(|status| status.success()));
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_door_and_no_end() {
    let mut site = Builder::new().prepared();
    let (_unread, mut full) = std::io::pipe().unwrap();
    // As much as a pipe holds: the first line of the log has no room.
    full.write_all(&vec![b'x'; 1 << 16]).unwrap();
    site.daemon.start_with(&["--log", "trace"], Stdio::from(full));
    site.wait_until_ready();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let before = time::now();
    site.tap("entrance-in", ANNA);
    site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike is energised");
    assert_eq!(site.daemon.stop().code(), Some(0));
}

#[test]
fn a_filter_that_can_t_be_read_is_refused_before_anything_is_driven() {
    let site = Builder::bare().without_central().nothing_up();
    let output = site.daemon.refuses(&["--log", "loud"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("\"loud\" is no level; expected a level (error, warn, info, debug, trace)"),
        "{said}"
    );
    assert_eq!(site.board.frames(), 0);
}

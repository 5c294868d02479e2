//! `diagnose FILE`: a bundle for support. What is in it, everybody may read: see `redact`.
//!
//! It works while the daemon is down: then the journal is read from its files, and the state is left out.

use std::{fs, io, path::Path, time::Duration};

use flate2::{Compression, write::GzEncoder};
use latchd::{
    drivers::{clock, store::journal::reader::Reader},
    wire::control::{Answer, EventQuery, Request},
};
use serde_json::Value;

use super::{
    client::{Client, Patience},
    doctor::{self, Patient, command},
    failure::Failure,
    output::Output,
    progress::Progress,
    text::{self, Style},
    whole::{Existing, Whole},
};

mod redact;

use redact::Redactor;

/// Events of the journal's end.
const EVENTS: u32 = 500;
/// Lines of the log's end.
const LOG_LINES: &str = "3000";
const COMMAND_WITHIN: Duration = Duration::from_secs(10);
/// What the box says of itself: a file in the bundle, and commands that fill it.
const SYSTEM: [(&str, &[&[&str]]); 4] = [
    (
        "versions.txt",
        &[
            &["uname", "-a"],
            &["cat", "/etc/os-release"],
            &["dpkg-query", "-W", "latchd", "pcscd", "libccid", "libpcsclite1", "systemd", "mosquitto"],
        ],
    ),
    (
        "service.txt",
        &[
            &["systemctl", "status", "--no-pager", "--full", "latchd"],
            &["systemctl", "cat", "--no-pager", "latchd"],
            &["systemctl", "status", "--no-pager", "pcscd.socket"],
        ],
    ),
    (
        "system.txt",
        &[
            &["uptime"],
            &["df", "-h"],
            &["df", "-i"],
            &["free", "-m"],
            &["timedatectl", "status"],
            &["timedatectl", "timesync-status"],
            &["ip", "-brief", "address"],
            &["lsusb"],
            &["ls", "-l", "/dev/serial/by-id"],
            &["id", "latchd"],
        ],
    ),
    (
        "log.txt",
        &[&["journalctl", "--no-pager", "--output=short-iso", "--lines", LOG_LINES, "--unit", "latchd"]],
    ),
];

/// One file of the bundle.
struct Part {
    name: &'static str,
    text: String,
}

pub fn run(file: &Path, config: &Path, socket: &Path, json: bool) -> Result<(), Failure> {
    // First: what can't be written need not be gathered. Nobody else may read it, and nothing is overwritten.
    let bundle = Whole::begin(file, Existing::Left).map_err(failed(file))?;
    let parts = gather(config, socket)?;
    pack(bundle, file, &parts)?;
    let mut out = Output::new();
    if json {
        let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
        out.json(&serde_json::json!({ "file": file, "parts": names }))?;
    } else {
        out.text(&format!(
            "{} holds {} files, without UIDs, keys and passwords; look into it before you send it: tar -xzf {}\n",
            file.display(),
            parts.len(),
            file.display()
        ))?;
    }
    out.flush()
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::File { doing: "write", path: path.clone(), error }
}

fn gather(path: &Path, socket: &Path) -> Result<Vec<Part>, Failure> {
    let mut progress = Progress::begin("gathering");
    progress.tell("what is wrong with the box");
    let (patient, findings) = doctor::examine(path, socket);
    let redactor = Redactor::new(patient.config.as_ref());
    let mut parts = vec![Part { name: "README.txt", text: readme(&patient) }];
    match fs::read_to_string(path) {
        Ok(text) => parts.push(Part { name: "latchd.toml", text: redactor.configuration(&text) }),
        Err(error) => {
            parts.push(Part { name: "latchd.toml", text: format!("# {}: {error}\n", path.display()) })
        }
    }
    let shown = text::doctor::findings(&findings, path, Style { colour: false });
    parts.push(Part { name: "doctor.txt", text: redactor.text(&shown) });
    if let Ok(status) = &patient.status {
        let mut value = serde_json::to_value(status).unwrap_or_default();
        redactor.json(&mut value);
        parts.push(Part { name: "status.json", text: format!("{value:#}\n") });
        parts.push(Part {
            name: "status.txt",
            text: redactor.text(&text::status::status(status, Style { colour: false })),
        });
    }
    progress.tell("the journal's end");
    parts.push(Part { name: "events.jsonl", text: events(&patient, &redactor) });
    for (name, commands) in SYSTEM {
        progress.tell(name);
        parts.push(Part { name, text: redactor.text(&said(commands)) });
    }
    Ok(parts)
}

fn said(commands: &[&[&str]]) -> String {
    let mut text = String::new();
    for words in commands {
        let Some((program, arguments)) = words.split_first() else { continue };
        text += &format!("$ {}\n", words.join(" "));
        text += &command(program, arguments, COMMAND_WITHIN).unwrap_or_else(|| "not to be had here\n".into());
        text.push('\n');
    }
    text
}

/// The journal's end, from the daemon or from its files.
fn events(patient: &Patient, redactor: &Redactor) -> String {
    let told = of_daemon(&patient.socket).or_else(|| of_files(patient)).unwrap_or_default();
    let lines = told.into_iter().map(|mut event| {
        redactor.json(&mut event);
        format!("{event}\n")
    });
    lines.collect()
}

fn of_daemon(socket: &Path) -> Option<Vec<Value>> {
    let mut client = Client::connect(socket).ok()?;
    let query = EventQuery { limit: Some(EVENTS), ..EventQuery::default() };
    client.send(Request::Events(query), Patience::Prompt).ok()?;
    let mut events = Vec::new();
    loop {
        match client.next().ok()? {
            Answer::Item(event) => events.push(event),
            Answer::Done(_) => return Some(events),
            Answer::Error(_) => return None,
        }
    }
}

fn of_files(patient: &Patient) -> Option<Vec<Value>> {
    let mut reader = Reader::of_state(&patient.config.as_ref()?.state_dir);
    let first = reader.first()?;
    // The last one is not known; a journal is read through in slices.
    let (mut next, mut last): (u64, Vec<Value>) = (first, Vec::new());
    loop {
        let lines = reader.read(next, u64::MAX, 1000, usize::MAX);
        let Some(end) = lines.last().map(|line| line.seq) else { return Some(last) };
        last.extend(lines.iter().filter_map(|line| line.value()));
        last.drain(..last.len().saturating_sub(EVENTS as usize));
        next = end + 1;
    }
}

fn readme(patient: &Patient) -> String {
    let daemon = match &patient.status {
        Ok(status) => format!("latchd {} answered", status.version),
        Err(why) => format!("latchd did not answer: {why}"),
    };
    format!(
        "A bundle for support, made by latchctl {} at {} (UTC).\n{daemon}.\n\n\
         Removed: UIDs, keys, passwords, comments of the configuration, and whatever looks like one of them.\n\
         Still in it: names of doors, ids of holders and when they passed, host names and addresses.\n",
        env!("CARGO_PKG_VERSION"),
        clock::wall().floor_ms().utc().format("%Y-%m-%d %H:%M:%S"),
    )
}

fn pack(bundle: Whole, path: &Path, parts: &[Part]) -> Result<(), Failure> {
    let failed = failed(path);
    let folder = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = folder.trim_end_matches(".gz").trim_end_matches(".tgz").trim_end_matches(".tar").to_owned();
    let now = u64::try_from(clock::wall().secs()).unwrap_or(0);
    let mut archive = tar::Builder::new(GzEncoder::new(bundle, Compression::default()));
    for Part { name, text } in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{folder}/{name}"), text.as_bytes()).map_err(&failed)?;
    }
    archive.into_inner().and_then(GzEncoder::finish).and_then(Whole::finish).map_err(&failed)
}

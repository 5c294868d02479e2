//! The real `latchctl` against a daemon that answers canned lines: exit statuses, sentences, and what a pipe sees.

use std::{
    io::{BufRead, BufReader, BufWriter, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Arc, mpsc},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Ends with the test's process: its thread only ever waits for connections.
struct Daemon {
    directory: TempDir,
}

impl Daemon {
    /// Answers every request with the lines that `answer` gives for it.
    fn answering(answer: impl Fn(&Value) -> Vec<Value> + Send + Sync + 'static) -> Self {
        Daemon::serving(move |stream| {
            let mut to = BufWriter::new(stream.try_clone().unwrap());
            let mut from = BufReader::new(stream);
            let mut line = String::new();
            while from.read_line(&mut line).unwrap_or(0) > 0 {
                let lines = answer(&serde_json::from_str(&line).unwrap());
                let sent = lines.iter().try_for_each(|l| writeln!(to, "{l}"));
                if sent.is_err() || (from.buffer().is_empty() && to.flush().is_err()) {
                    return;
                }
                line.clear();
            }
        })
    }

    fn serving(serve: impl Fn(UnixStream) + Send + Sync + 'static) -> Self {
        let daemon = Daemon { directory: tempfile::tempdir().unwrap() };
        let listener = UnixListener::bind(daemon.socket()).unwrap();
        let serve = Arc::new(serve);
        thread::Builder::new()
            .spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())))
            .unwrap();
        daemon
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("latchd.sock")
    }

    fn latchctl(&self, arguments: &[&str]) -> Command {
        let mut command = latchctl(arguments);
        command.arg("--socket").arg(self.socket());
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        said(&self.latchctl(arguments).output().unwrap())
    }

    fn run_with_input(&self, arguments: &[&str], input: Vec<u8>) -> (i32, String, String) {
        let mut command = self.latchctl(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeder = thread::Builder::new().spawn(move || stdin.write_all(&input)).unwrap();
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        said(&output)
    }
}

fn latchctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchctl"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn refusing(code: &'static str, message: &'static str) -> Daemon {
    Daemon::answering(move |_| vec![json!({"error": {"code": code, "message": message}})])
}

fn status() -> Value {
    json!({"controller": "oslo-1", "version": "0.1.0", "time_zone": "Europe/Oslo", "now": "2026-11-23T08:00:00Z",
        "started_at": "2026-11-23T07:00:00Z", "clock": {"trust": "trusted", "detail": "synchronised"},
        "sync": {"connected": true, "broker": "mqtt://b", "epoch": 1, "applied": 2, "want": "nothing", "rejected": 0,
            "credentials": 1, "grants": 1, "digest": "c0", "central_at": "2026-11-23T07:59:00Z", "stale": false,
            "queue": 0},
        "journal": {"journal": "6f", "recorded": 9, "acknowledged": 9},
        "doors": [door("entrance", "Main entrance"), door("room-4", "Room 4")], "readers": [], "boards": []})
}

fn door(id: &str, name: &str) -> Value {
    json!({"door": id, "name": name, "zones": [], "board": "board-1", "mode": "locked", "lock": "secure",
        "contact": "closed", "alarm": "none"})
}

fn explained(request: &Value) -> Value {
    json!({"door": request["door"], "direction": request["direction"],
        "at": request.get("at").cloned().unwrap_or(json!("2026-11-23T08:00:00Z")), "decision": "denied",
        "reason": "too_early", "row": 9, "credential": "c-81", "holder": "m-17", "grant": "g-9",
        "opens_at": "2026-11-23T08:30:00Z"})
}

/// A small site of an older daemon, which explains a decision in short: two doors, one of which is stuck.
fn site() -> Daemon {
    Daemon::answering(|request| match request["verb"].as_str().unwrap() {
        "status" => vec![json!({"done": status()})],
        "doors" => vec![
            json!({"item": door("entrance", "Main entrance")}),
            json!({"item": door("room-4", "Room 4")}),
            json!({"done": {}}),
        ],
        "door_order" => {
            vec![json!({"error": {"code": "not_found", "message": format!("no door {}", request["door"])}})]
        }
        "door_order_all" => vec![
            json!({"item": {"door": "entrance", "action": request["action"], "outcome": "done", "seq": 12}}),
            json!({"item": {"door": "room-4", "error": {"code": "failed", "message": "board board-1 is lost"}}}),
            json!({"done": {}}),
        ],
        "explain" if request["door"] == "nowhere" => {
            vec![json!({"error": {"code": "not_found", "message": "no door nowhere"}})]
        }
        "explain" => vec![json!({"done": explained(request)})],
        "explain_whole" => {
            vec![
                json!({"error": {"code": "usage", "message": "latchd 0.0.9 does not know the verb \"explain_whole\""}}),
            ]
        }
        "events" => vec![
            json!({"item": {"seq": 9, "at": request["since"], "type": "door.opened", "door": "entrance"}}),
            json!({"done": {}}),
        ],
        _ => vec![json!({"done": {}})],
    })
}

#[test]
fn a_daemon_that_is_not_there_is_said_in_one_sentence() {
    let gone = tempfile::tempdir().unwrap();
    let socket = gone.path().join("latchd.sock");
    let run = || said(&latchctl(&["status", "--socket", socket.to_str().unwrap()]).output().unwrap());
    let sentence = |why: &str| {
        format!(
            "latchctl: daemon not reachable at {}: {why}; is latchd running? (systemctl status latchd)\n",
            socket.display()
        )
    };
    assert_eq!(run(), (3, String::new(), sentence("no such file")));
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(run(), (3, String::new(), sentence("connection refused, nothing listens on it")));
}

#[test]
fn a_daemon_that_hangs_up_is_not_reachable() {
    let daemon = Daemon::serving(drop);
    let (code, stdout, stderr) = daemon.run(&["doors"]);
    assert_eq!((code, stdout.as_str()), (3, ""));
    assert!(stderr.contains("closed the connection without an answer"), "{stderr}");
}

#[test]
fn every_refusal_has_its_exit_status() {
    let refused = |code, status| {
        let (found, stdout, stderr) = refusing(code, "no: because").run(&["journal", "verify"]);
        assert_eq!((found, stdout.as_str()), (status, ""), "{code}");
        stderr
    };
    assert_eq!(refused("failed", 1), "latchctl: no: because\n");
    assert_eq!(refused("not_permitted", 4), "latchctl: no: because\n");
    assert_eq!(refused("not_found", 5), "latchctl: no: because\n");
    let stderr = refused("usage", 2);
    assert!(stderr.contains("another version") && stderr.contains("no: because"), "{stderr}");
}

#[test]
fn an_answer_of_another_protocol_is_a_sentence_about_versions() {
    let daemon = Daemon::answering(|_| vec![json!({"done": {"now": "later"}})]);
    let (code, _, stderr) = daemon.run(&["status"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("another version") && stderr.lines().count() == 1, "{stderr}");
}

/// What this latchctl hears from a daemon that is older, newer, or none.
#[test]
fn a_daemon_of_another_version_is_a_sentence_with_its_exit_status() {
    let heard = |line: &'static str| {
        Daemon::serving(move |mut stream| {
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
        })
        .run(&["sync", "resync", "--json"])
    };
    let older = heard(
        "{\"error\":{\"code\":\"usage\",\"message\":\"latchd 0.0.9 speaks protocol 0, the request says 1\"}}\n",
    );
    assert_eq!((older.0, older.1.as_str()), (2, ""));
    assert!(
        older.2.contains("latchd 0.0.9 speaks protocol 0") && older.2.contains("another version"),
        "{older:?}"
    );
    let newer = heard("{\"progress\":{\"percent\":40}}\n{\"done\":{\"new\":true}}\n");
    assert_eq!(
        newer,
        (0, "{\"new\":true}\n".into(), String::new()),
        "a kind of line that is not known is passed over"
    );
    let newer = heard("{\"error\":{\"code\":\"full_moon\",\"message\":\"not tonight\"}}\n");
    assert_eq!(
        newer,
        (1, String::new(), "latchctl: not tonight\n".into()),
        "a code that is not known is a failure"
    );
    for other in ["HTTP/1.1 400 Bad Request\r\n\r\n", "[1,2]\n", "{}\n", "220 smtp.example ESMTP\n"] {
        let (code, stdout, stderr) = heard(other);
        assert_eq!((code, stdout.as_str()), (3, ""), "{other:?}: {stderr}");
        assert!(stderr.contains("is not latchd") && stderr.lines().count() == 1, "{stderr}");
    }
    let (code, _, stderr) = heard("{\"done\":{\"epo");
    assert!(code == 3 && stderr.contains("closed the connection in the middle of its answer"), "{stderr}");
}

#[test]
fn a_wrong_command_line_is_usage_before_the_daemon_is_asked() {
    for line in [
        &["open"][..],
        &["door", "access"],
        &["door", "unlock"],
        &["door", "lock", "entrance", "--for", "30s"],
        &["explain", "--door", "entrance"],
        &["explain", "--door", "entrance", "--uid", "04A1B2C"],
        &["events", "--since", "yesterday"],
        &["monitor"],
    ] {
        let (code, stdout, stderr) = said(&latchctl(line).output().unwrap());
        assert_eq!((code, stdout.as_str()), (2, ""), "{line:?}: {stderr}");
    }
    let (code, stdout, _) = said(&latchctl(&["--version"]).output().unwrap());
    assert_eq!((code, stdout), (0, format!("latchctl {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn lists_are_one_json_document_and_streams_one_a_line() {
    let daemon = site();
    let (code, stdout, _) = daemon.run(&["--json", "doors"]);
    let doors: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &doors[1]["door"]), (0, &json!("room-4")));
    assert_eq!(daemon.run(&["credentials", "--json"]), (0, "[]\n".into(), String::new()));
    let (_, stdout, _) = daemon.run(&["events", "--since", "2h", "--json"]);
    assert_eq!(
        stdout,
        "{\"at\":\"2026-11-23T06:00:00Z\",\"door\":\"entrance\",\"seq\":9,\"type\":\"door.opened\"}\n"
    );
}

#[test]
fn explain_answers_a_sentence_or_exactly_the_contracts_fields() {
    let daemon = site();
    let line = ["explain", "--door", "entrance", "--uid", "04:a1:b2:c3", "--at", "2026-11-23 09:00"];
    let (code, stdout, _) = daemon.run(&line);
    assert_eq!(code, 0);
    assert!(
        stdout.starts_with("Not yet: this card's booking g-9 opens Main entrance at 09:30.\n"),
        "{stdout}"
    );
    let (_, stdout, _) = daemon.run(&[&line[..], &["--json"]].concat());
    assert_eq!(
        stdout,
        "{\"door\":\"entrance\",\"direction\":\"in\",\"at\":\"2026-11-23T08:00:00Z\",\"decision\":\"denied\",\
         \"reason\":\"too_early\",\"row\":9,\"credential\":\"c-81\",\"holder\":\"m-17\",\"grant\":\"g-9\",\
         \"opens_at\":\"2026-11-23T08:30:00Z\"}\n"
    );
}

#[test]
fn one_stuck_door_does_not_keep_the_others_shut() {
    let daemon = site();
    let (code, stdout, stderr) = daemon.run(&["door", "access", "--all"]);
    assert_eq!(code, 1);
    assert_eq!(stdout, "Main entrance: access done (journal entry 12)\nRoom 4: board board-1 is lost\n");
    assert_eq!(stderr, "latchctl: 1 of 2 doors were not commanded; each says why in its place\n");
    let (code, stdout, _) = daemon.run(&["door", "access", "--all", "--json"]);
    let outcomes: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &outcomes[1]["error"]["code"]), (1, &json!("failed")));
    assert_eq!(daemon.run(&["door", "access", "nowhere"]).0, 5);
    assert_eq!(refusing("not_permitted", "no").run(&["door", "access", "--all"]).0, 4);
}

#[test]
fn a_batch_answers_each_line_in_its_place() {
    let lines = concat!(
        "{\"door\":\"entrance\",\"uid\":\"04A1B2C3\",\"direction\":\"out\",\"at\":\"2026-11-23T09:00:00Z\"}\n",
        "what?\n",
        "{\"door\":\"nowhere\",\"uid\":\"04A1B2C3\"}\n",
        "{\"door\":\"room-4\",\"credential\":\"c-81\"}",
    );
    let (code, stdout, stderr) = site().run_with_input(&["explain", "--batch"], lines.into());
    let answers: Vec<Value> = stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((code, answers.len()), (1, 4));
    assert_eq!(
        (&answers[0]["direction"], &answers[0]["at"]),
        (&json!("out"), &json!("2026-11-23T09:00:00Z"))
    );
    assert!(answers[1]["error"]["message"].as_str().unwrap().starts_with("line 2: "), "{}", answers[1]);
    assert_eq!(answers[2], json!({"error": {"code": "not_found", "message": "no door nowhere"}}));
    assert_eq!(answers[3]["door"], "room-4");
    assert_eq!(stderr, "latchctl: 2 of 4 lines could not be answered; each says why in its place\n");
}

#[test]
fn a_batch_of_a_hundred_thousand_lines_keeps_its_order() {
    let lines: Vec<String> = (0..100_000)
        .map(|n| {
            format!("{{\"door\":\"d-{n}\",\"uid\":\"04A1B2C3D4E5F6\",\"at\":\"2026-11-23T09:00:00Z\"}}\n")
        })
        .collect();
    let (code, stdout, stderr) = site().run_with_input(&["explain", "--batch"], lines.concat().into());
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout.lines().count(), 100_000);
    let in_order = stdout.lines().enumerate().all(|(n, l)| l.starts_with(&format!("{{\"door\":\"d-{n}\",")));
    assert!(in_order);
}

#[test]
fn a_batch_answers_before_its_input_ends() {
    let daemon = site();
    let mut command = daemon.latchctl(&["explain", "--batch"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for door in ["entrance", "room-4"] {
        writeln!(stdin, "{{\"door\":\"{door}\",\"uid\":\"04A1B2C3\"}}").unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert!(answer.contains(door), "{answer}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_batch_ends_when_the_daemon_does_even_if_its_input_goes_on() {
    let daemon = Daemon::serving(drop);
    let mut command = daemon.latchctl(&["explain", "--batch"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{{\"door\":\"entrance\",\"uid\":\"04A1B2C3\"}}").unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{stderr}");
    drop(stdin);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let daemon = Daemon::answering(|request| match request["verb"].as_str().unwrap() {
        "events" => (0..50_000).map(|seq| json!({"item": {"seq": seq}})).collect(),
        _ => vec![json!({"done": status()})],
    });
    let mut command = daemon.latchctl(&["events"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("#0"), "{first}");
    assert_eq!(said(&child.wait_with_output().unwrap()), (0, String::new(), String::new()));
}

#[test]
fn followed_events_show_as_they_happen() {
    let (happen, happens) = mpsc::channel::<()>();
    let happens = std::sync::Mutex::new(happens);
    let daemon = Daemon::serving(move |mut stream| {
        let mut request = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut request).unwrap();
        assert!(request.contains("\"follow\":true"), "{request}");
        for (seq, ()) in happens.lock().unwrap().iter().take(2).enumerate() {
            writeln!(stream, "{{\"item\":{{\"seq\":{seq}}}}}").unwrap();
        }
    });
    let mut command = daemon.latchctl(&["events", "--follow", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for seq in 0..2 {
        happen.send(()).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"seq\":{seq}}}\n"));
    }
    assert_eq!(child.wait().unwrap().code(), Some(3), "the daemon ended the stream");
}

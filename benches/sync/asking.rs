//! The daemon's control socket, asked without pause: one connection, one question at a time.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

use super::records::CHANGED_UID;

pub struct Socket {
    answers: BufReader<UnixStream>,
    line: String,
}

impl Socket {
    pub fn connect(path: &Path) -> Self {
        Socket { answers: BufReader::new(UnixStream::connect(path).unwrap()), line: String::new() }
    }

    /// Whether the card that changes are about would be let in now.
    pub fn is_granted(&mut self) -> bool {
        let question = format!(
            "{{\"protocol\":1,\"verb\":\"explain\",\"door\":\"entrance\",\"uid\":\"{CHANGED_UID}\"}}\n"
        );
        self.ask(&question)["decision"] == "granted"
    }

    /// The number of the last change that is in force and on disk.
    pub fn applied(&mut self) -> u64 {
        self.ask("{\"protocol\":1,\"verb\":\"sync\"}\n")["applied"].as_u64().unwrap()
    }

    fn ask(&mut self, question: &str) -> Value {
        self.answers.get_mut().write_all(question.as_bytes()).unwrap();
        self.line.clear();
        self.answers.read_line(&mut self.line).unwrap();
        serde_json::from_str::<Value>(&self.line).unwrap()["done"].take()
    }
}

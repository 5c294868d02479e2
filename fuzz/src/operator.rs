//! What comes from people and their tools: requests on the control socket and answers to them, the configuration, and
//! the head of an HTTP request for the metrics.

use latchd::{
    daemon::{config::parse, socket::session::read},
    drivers::metrics::request,
    wire::control::{
        Answer, BoardReport, CertificateReport, CommandDone, CommandFailed, CredentialReport, DoorReport,
        ExplainReport, GrantReport, ReaderReport, StatusReport, SyncReport, VerifyReport,
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// A request that is understood is written and read back the same; one that is not is answered in a sentence.
pub fn control_request(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    match read(line) {
        Ok(envelope) => {
            let written = serde_json::to_string(&envelope).unwrap();
            assert!(envelope.login().is_none_or(|login| login.chars().count() <= 64));
            assert_eq!(read(&written), Ok(envelope));
        }
        Err(refusal) => assert!(!refusal.message.is_empty()),
    }
}

/// What is read as one is written and read back the same.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<T>(&written).unwrap(), read);
    }
}

/// A line of an answer, and what it may carry.
pub fn control_answer(bytes: &[u8]) {
    again::<Answer>(bytes);
    let content = match serde_json::from_slice::<Answer>(bytes) {
        Ok(Answer::Item(value) | Answer::Done(value)) => value.to_string(),
        Ok(Answer::Error(_)) | Err(_) => return,
    };
    let content = content.as_bytes();
    again::<StatusReport>(content);
    again::<SyncReport>(content);
    again::<DoorReport>(content);
    again::<ReaderReport>(content);
    again::<BoardReport>(content);
    again::<CertificateReport>(content);
    again::<CredentialReport>(content);
    again::<GrantReport>(content);
    again::<ExplainReport>(content);
    again::<VerifyReport>(content);
    again::<CommandDone>(content);
    again::<CommandFailed>(content);
}

/// A configuration is good, or its mistakes are named where they are.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(config) => assert_eq!(parse(text).as_ref(), Ok(&config)),
        Err(problems) => {
            assert!(!problems.is_empty(), "it is refused, and nothing is wrong with it");
            let lines = text.split('\n').count();
            for problem in &problems {
                assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{problem:?}");
                assert!(!problem.message.is_empty(), "{problem:?}");
            }
            assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
        }
    }
}

/// An answer is given as soon as it can be, by the limit at the latest, and it is whole.
pub fn metrics_head(bytes: &[u8]) {
    let bytes = bytes.get(..request::MAX_HEAD).unwrap_or(bytes);
    let read = request::read(bytes);
    assert!(read.is_some() || bytes.len() < request::MAX_HEAD, "the limit is reached, and it still reads");
    let Some(asked) = read else { return };
    let answer = request::answer(asked.content, asked.is_good.map(|()| "latchd_up 1\n"));
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let is_whole = length.parse() == Ok(body.len());
    assert!(is_whole || asked.content == request::Content::Unwanted && body.is_empty());
    assert_eq!(head.starts_with("HTTP/1.1 200 "), asked.is_good.is_ok());
}

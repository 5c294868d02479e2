//! The daemon's metrics as Prometheus gets them, and `promtool`, which knows what Prometheus takes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Output, Stdio};

use super::build::Builder;
use super::{LIMIT, eventually_asking};

impl Builder {
    /// With its metrics on this port.
    pub fn metrics(self, port: u16) -> Builder {
        self.edit_once("[clock]\n", &format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n\n[clock]\n"))
    }
}

/// What is answered to a request: status line, header lines, content.
pub fn http(port: u16, request: &str) -> io::Result<(String, String, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, content) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let (status, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    Ok((status.to_owned(), headers.to_owned(), content.to_owned()))
}

/// A scrape, once there is one to be had.
#[track_caller]
pub fn scrape(port: u16) -> Scrape {
    eventually_asking("answer to a scrape", || {
        let (status, _, page) = http(port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
        (status == "HTTP/1.1 200 OK").then_some(Scrape(page))
    })
}

/// Scrapes until a sample has this value.
#[track_caller]
pub fn wait_for(port: u16, sample: &str, value: f64) -> Scrape {
    eventually_asking(&format!("{sample} of {value}"), || {
        let scrape = scrape(port);
        (scrape.value(sample) == Some(value)).then_some(scrape)
    })
}

/// A page.
#[derive(Debug)]
pub struct Scrape(pub String);

impl Scrape {
    /// The value of a sample, by its name with its labels.
    pub fn value(&self, sample: &str) -> Option<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    #[track_caller]
    pub fn assert(&self, sample: &str, value: f64) {
        assert_eq!(self.value(sample), Some(value), "{sample} in\n{}", self.0);
    }

    /// Whether a metric of this name has a sample, as a histogram too.
    pub fn has(&self, name: &str) -> bool {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        let named = |line: &str| line.split(['{', ' ']).next() == Some(name);
        samples.into_iter().any(named)
    }
}

/// Runs promtool with this on its standard input.
#[track_caller]
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .expect("promtool is needed for this test: apt-get install --no-install-recommends prometheus");
    let mut to = child.stdin.take().expect("piped");
    // It may end before it has read everything.
    let _ended = to.write_all(input.as_bytes());
    drop(to);
    child.wait_with_output().expect("promtool ends")
}

/// Fails with what it said unless promtool found nothing.
#[track_caller]
pub fn assert_promtool(arguments: &[&str], input: &str) {
    let output = promtool(arguments, input);
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "promtool {arguments:?}: {}\n{}", said.concat(), input);
}
